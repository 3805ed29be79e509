"""A fit that is killed at any moment goes on, and ends with the bits of one that was not."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.depth import examples
from tests.processes import run_apart
from tests.robustness import killed_fit
from tests.robustness.killed_fit import PHASES
from tests.runs import content_of, same
from transformertf.checkpoint.writing import SUFFIX
from transformertf.cli import main

KILLS = examples(5, 50)
EPOCHS, CHECKPOINT_EVERY = 3, 2


def moment(seed: int) -> tuple[str, int, float]:
    """Return phase, event and delay; all phases come up, and all of a fit."""
    generator = random.Random(seed)
    phase = list(PHASES)[seed % len(PHASES)]
    # of 18 steps, 2 batches of validation before them and after each epoch, 10 checkpoints or more
    last = {"start": 1, "step": 18, "validation": 8, "writing": 10}[phase]
    return phase, generator.randint(1, last), generator.uniform(0, PHASES[phase][2])


@pytest.fixture(scope="module")
def config(experiment: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    def short(tree: dict[str, Any]) -> None:
        tree["trainer"] |= {"max_epochs": EPOCHS, "enable_model_summary": False}
        tree["checkpoint_every"] = CHECKPOINT_EVERY

    path: Path = experiment.write(tmp_path_factory.mktemp("killed"), short)
    return path


@pytest.fixture(scope="module")
def undisturbed(config: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(config.parent)
        assert main(["fit", "--config", str(config)]) == 0
        return weights()


def weights() -> dict[str, Any]:
    newest = max(Path("runs", "tiny").iterdir(), key=lambda path: int(path.name.split("_")[1]))
    content = content_of(newest / "checkpoints" / "last.ckpt")
    return {key: content[key] for key in ("epoch", "global_step", "state_dict", "optimizer_states")}


@pytest.mark.parametrize("seed", range(KILLS))
def test_goes_on_after_a_kill(
    config: Path,
    undisturbed: dict[str, Any],
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
    seed: int,
) -> None:
    phase, event, delay = moment(seed)
    fit = ["fit", "--config", str(config), "--ckpt_path", "last"]
    done = run_apart(killed_fit.fit, phase, event, delay, fit, folder=workdir)
    assert done.returncode == -9, done.stderr
    record_property("phase", phase)
    for path in Path("runs").rglob("*.ckpt"):
        torch.load(path, weights_only=True)  # whole, whatever was under way
    capsys.readouterr()

    assert main(fit) == 0
    told = capsys.readouterr().err
    assert re.search("starting anew|checkpoint: runs/tiny/version_0", told)
    assert same(weights(), undisturbed)
    assert not list(Path("runs").rglob(f"*{SUFFIX}"))

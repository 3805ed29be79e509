"""What is given anew where a fit goes on is what runs, and what is written is what runs."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Experiment
from tests.runs import content_of, last, metrics, same
from transformertf.cli import main


def fit(*words: object) -> int:
    return main(["fit", "--config", "tiny.yml", *map(str, words)])


def resume(epochs: int, *words: object) -> int:
    return fit("--ckpt_path", "last", "--trainer.max_epochs", epochs, *words)


def group(version: int) -> dict[str, Any]:
    state = content_of(last("tiny", version))["optimizer_states"][0]
    found: dict[str, Any] = state["param_groups"][0]
    return found


def scheduler(version: int) -> dict[str, Any]:
    found: dict[str, Any] = content_of(last("tiny", version))["lr_schedulers"][0]
    return found


def written(version: int, key: str = "optimizer") -> dict[str, Any]:
    text = Path(f"runs/tiny/version_{version}/config.yaml").read_text()
    arguments: dict[str, Any] = yaml.safe_load(text)["model"]["init_args"][key]["init_args"]
    return arguments


@pytest.fixture(autouse=True)
def tiny(experiment: Experiment, workdir: Path) -> Path:
    return experiment.write(workdir, lambda tree: tree["trainer"].update(max_epochs=1))


def test_the_rate_given_anew_is_used_written_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit() == 0
    assert resume(2, "--optimizer.lr", "1e-5") == 0
    assert "optimizer.lr is 1e-05 now, 0.01 in the checkpoint" in capsys.readouterr().err
    assert group(1)["lr"] == written(1)["lr"] == 1e-5
    # what the configuration's file says, runs
    assert resume(3) == 0
    assert "optimizer.lr is 0.01 now, 1e-05 in the checkpoint" in capsys.readouterr().err
    assert group(2)["lr"] == written(2)["lr"] == 0.01
    # the moments go on
    step = content_of(last("tiny", 2))["optimizer_states"][0]["state"][0]["step"]
    assert step == content_of(last("tiny", 2))["global_step"]


def test_the_run_that_was_lowered_is_made_again_from_what_it_wrote() -> None:
    assert fit() == 0
    before = str(last("tiny", 0))
    words = ("--ckpt_path", before, "--trainer.max_epochs", 2)
    assert fit(*words, "--optimizer.lr", "1e-5") == 0
    config = "runs/tiny/version_1/config.yaml"
    assert main(["fit", "--config", config, "--ckpt_path", before]) == 0
    left, right = (content_of(last("tiny", version)) for version in (1, 2))
    assert same(left["state_dict"], right["state_dict"])


@pytest.mark.parametrize(
    ("flag", "value", "name", "expected"),
    [
        ("--optimizer.weight_decay", "0.25", "weight_decay", 0.25),
        ("--optimizer.init_args.betas", "[0.5, 0.75]", "betas", [0.5, 0.75]),
        ("--model.optimizer.lr", "0.5", "lr", 0.5),
        ("--model.init_args.optimizer.init_args.eps", "1e-4", "eps", 1e-4),
    ],
)
def test_any_setting_of_the_optimizer(flag: str, value: str, name: str, expected: Any) -> None:
    assert fit() == 0
    assert resume(2, flag, value) == 0
    found = group(1)[name]
    assert (list(found) if isinstance(found, tuple) else found) == expected
    assert written(1)[name] == expected


def test_what_is_not_said_goes_on(experiment: Experiment, tiny: Path) -> None:
    experiment.write(tiny.parent, lambda tree: tree.pop("optimizer"))
    assert fit("--trainer.max_epochs", 1) == 0
    assert resume(2, "--optimizer.lr", "0.5") == 0  # of the default
    assert resume(3, "--optimizer.weight_decay", "0.25") == 0
    assert resume(4) == 0
    for found in (group(3), written(3)):
        assert (found["lr"], found["weight_decay"]) == (0.5, 0.25)


def test_a_state_that_was_not_kept_is_named(fails: Any) -> None:
    assert fit() == 0
    words = ("fit", "--config", "tiny.yml", "--ckpt_path", "last", "--trainer.max_epochs", "2")
    line = fails(*words, "--optimizer.amsgrad", "true")
    assert "optimizer.amsgrad: wants 'max_exp_avg_sq' of each parameter" in line


def cosine(base: float, place: int, period: int) -> float:
    return base * (1 + math.cos(math.pi * place / period)) / 2


COSINE = ("--lr_scheduler.class_path", "CosineAnnealingLR", "--lr_scheduler.T_max", 20)


def test_a_schedule_goes_on_at_its_place_from_the_new_rate() -> None:
    assert fit(*COSINE, "--lr_scheduler.interval", "step") == 0
    place = content_of(last("tiny", 0))["global_step"]
    assert group(0)["lr"] == pytest.approx(cosine(0.01, place, 20))
    assert resume(2, "--optimizer.lr", "0.001") == 0
    assert group(1)["lr"] == pytest.approx(cosine(0.001, 2 * place, 20))
    assert group(1)["initial_lr"] == 0.001
    assert scheduler(1)["base_lrs"] == [0.001]


def test_other_settings_of_a_schedule(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(*COSINE) == 0
    assert resume(3, "--lr_scheduler.T_max", 5) == 0
    assert "lr_scheduler.T_max is 5 now, 20 in the checkpoint" in capsys.readouterr().err
    assert group(1)["lr"] == pytest.approx(cosine(0.01, 3, 5))
    assert written(1, "lr_scheduler")["T_max"] == scheduler(1)["T_max"] == 5
    # by steps from here
    assert resume(4, "--lr_scheduler.T_max", 100, "--lr_scheduler.interval", "step") == 0
    place = content_of(last("tiny", 2))["global_step"]
    assert group(2)["lr"] == pytest.approx(cosine(0.01, place, 100))
    assert resume(5, "--lr_scheduler.interval", "epoch") == 0
    assert group(3)["lr"] == pytest.approx(cosine(0.01, 5, 100))


def test_a_plateau_keeps_what_it_has_seen(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("--lr_scheduler.threshold", 1e6, "--lr_scheduler.threshold_mode", "abs")
    plateau = ("--lr_scheduler.class_path", "ReduceLROnPlateau", *settings)
    assert fit(*plateau, "--lr_scheduler.patience", 0, "--trainer.max_epochs", 3) == 0
    # written before the last look, which the fit that goes on takes
    assert resume(4, "--lr_scheduler.patience", 9, "--lr_scheduler.factor", 0.5) == 0
    assert group(1)["lr"] == pytest.approx(group(0)["lr"])
    assert scheduler(1)["patience"] == written(1, "lr_scheduler")["patience"] == 9
    assert scheduler(1)["best"] == scheduler(0)["best"]
    assert resume(5, "--optimizer.lr", 0.5) == 0
    assert group(2)["lr"] == 0.5
    capsys.readouterr()
    # the best of another value is no measure
    assert resume(6, "--lr_scheduler.monitor", "train/loss") == 0
    assert "lr_scheduler.monitor is train/loss now" in capsys.readouterr().err
    assert scheduler(3)["best"] == pytest.approx(
        metrics("tiny", 2)["train/loss"].dropna().iloc[-1], rel=1e-5
    )


def test_patience_given_anew_is_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    def stopping(patience: int) -> tuple[str, str]:
        words = f"monitor: validation/loss, min_delta: 1.0e6, patience: {patience}"
        callback = f"[{{class_path: EarlyStopping, init_args: {{{words}}}}}]"
        return "--trainer.callbacks", callback

    assert fit(*stopping(1), "--trainer.max_epochs", 9) == 0
    assert content_of(last("tiny", 0))["epoch"] == 1
    assert resume(9, *stopping(1)) == 0
    assert "was stopped early after 2 epochs" in capsys.readouterr().err
    assert resume(9, *stopping(3)) == 0
    assert content_of(last("tiny", 1))["epoch"] == 3


def test_the_seed_that_runs_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert fit("--seed_everything", 5) == 0
    assert resume(2, "--seed_everything", 7) == 0
    assert "seed_everything stays 5" in capsys.readouterr().err
    assert resume(3, "--seed_everything", 5) == 0
    assert "seed_everything" not in capsys.readouterr().err
    text = Path("runs/tiny/version_1/config.yaml").read_text()
    assert yaml.safe_load(text)["seed_everything"] == 5


# -- schedulers made of others

WARM_UP: dict[str, Any] = {
    "class_path": "SequentialLR",
    "init_args": {
        "schedulers": [
            {"class_path": "LinearLR", "init_args": {"start_factor": 0.25, "total_iters": 3}},
            {"class_path": "CosineAnnealingLR", "init_args": {"T_max": 4}},
        ],
        "milestones": [3],
    },
}
CHAINED: dict[str, Any] = {
    "class_path": "torch.optim.lr_scheduler.ChainedScheduler",
    "init_args": {
        "schedulers": [
            {"class_path": "ConstantLR", "init_args": {"factor": 0.5, "total_iters": 2}},
            {"class_path": "ExponentialLR", "init_args": {"gamma": 0.9}},
        ]
    },
}


def warm_up(epoch: int) -> float:
    return 0.25 + 0.25 * epoch if epoch < 3 else cosine(1.0, epoch - 3, 4)


def chained(epoch: int) -> float:
    return 0.9**epoch * (0.5 if epoch < 2 else 1.0)


@pytest.mark.parametrize(("described", "factor"), [(WARM_UP, warm_up), (CHAINED, chained)])
def test_schedulers_made_of_others(
    experiment: Experiment, tiny: Path, described: dict[str, Any], factor: Any
) -> None:
    experiment.write(tiny.parent, lambda tree: tree.update(lr_scheduler=described))
    assert main(["fit", "--config", str(tiny), "-n", "whole", "--trainer.max_epochs", "5"]) == 0
    for version, epochs in enumerate((1, 4, 5)):
        assert (resume if version else fit)(
            *((epochs,) if version else ("--trainer.max_epochs", 1))
        ) == 0
        assert group(version)["lr"] == pytest.approx(0.01 * factor(epochs))
    whole, parts = content_of(last("whole", 0)), content_of(last("tiny", 2))
    for key in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert same(whole[key], parts[key]), key
    # what was written says the same
    assert resume(7, "--config", "runs/tiny/version_2/config.yaml", "-n", "tiny") == 0
    assert group(3)["lr"] == pytest.approx(0.01 * factor(7))
    assert resume(8, "--optimizer.lr", 1.0) == 0
    assert group(4)["lr"] == pytest.approx(factor(8))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"milestones": [3, 5]}, "milestones has 2 numbers, but SequentialLR of 2 schedulers"),
        ({"milestones": [0]}, r"milestones is \[0\]; expected whole numbers from 1 on"),
        ({"milestones": 3}, "milestones in tiny.yml: expected"),
        ({"schedulers": []}, "milestones has 1 numbers"),
        ({"schedulers": [], "milestones": []}, "milestones has 0 numbers"),
        ({"schedulers": ["StepLR", "StepLR"]}, "schedulers"),
        ({"schedulers": [{"class_path": "ReduceLROnPlateau"}] * 2}, "ReduceLROnPlateau looks at"),
        ({"schedulers": [{"class_path": "StepLR"}] * 2}, "schedulers.* step_size"),
        ({"milestone": [3]}, "did you mean 'milestones'"),
    ],
)
def test_wrong_schedulers_are_told_in_one_line(
    experiment: Experiment, tiny: Path, fails: Any, change: dict[str, Any], named: str
) -> None:
    described = {**WARM_UP, "init_args": {**WARM_UP["init_args"], **change}}
    experiment.write(tiny.parent, lambda tree: tree.update(lr_scheduler=described))
    line = fails("fit", "--config", "tiny.yml")
    assert re.search(named, line), line

"""Which checkpoint a word names, where outputs go, and what is said of both."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Experiment, make_frame
from tests.runs import content_of, last, same, weights
from transformertf.cli import main
from transformertf.models import ForecastModule

Fails = Callable[..., str]
RUN = Path("runs/tiny/version_0")


@pytest.fixture
def config(experiment: Experiment, workdir: Path) -> str:
    """The configuration of an experiment that has run."""
    shutil.copytree(experiment.root / "runs", "runs")
    return str(experiment.write(workdir))


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("best", "-n", "tiny"), "best.ckpt"),
        (("last", "-n", "tiny"), "last.ckpt"),
        (("tiny",), "best.ckpt"),
        (("tiny/version_0",), "best.ckpt"),
        (("runs/tiny",), "best.ckpt"),
        (("runs/tiny/version_0/",), "best.ckpt"),
        (("runs/tiny/version_0/checkpoints",), "best.ckpt"),
        (("runs/tiny/version_0/checkpoints/last.ckpt",), "last.ckpt"),
    ],
)
def test_words(
    config: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], found: str
) -> None:
    assert main(["show", *words, "--json"]) == 0
    printed = capsys.readouterr()
    path = RUN / "checkpoints" / found
    assert json.loads(printed.out)["file"] == str(path)
    # what is not the file itself is told
    assert (f"checkpoint: {path}" in printed.err) == (words[0] != str(path))


def test_the_newest_version_that_is_whole_is_taken(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = RUN.with_name("version_1") / "checkpoints"
    newer.mkdir(parents=True)
    (newer / "best.ckpt").write_bytes(b"half")
    RUN.with_name("version_10").mkdir()
    assert main(["show", "tiny", "--json"]) == 0
    path = RUN / "checkpoints" / "best.ckpt"
    assert json.loads(capsys.readouterr().out)["file"] == str(path)


def test_words_that_name_nothing(config: str, fails: Fails) -> None:
    Path("empty").mkdir()
    told = {
        "tinny": "tinny: no such file or run; did you mean 'tiny'?",
        "tiny/version_7": "tiny/version_7: no such file",
        "none.ckpt": "none.ckpt: no such file",
        "empty": "empty: not a file, and no whole best.ckpt is in empty",
        "best": "best wants the experiment",
    }
    for word, line in told.items():
        assert line in fails("validate", "--ckpt_path", word)
    assert "no whole checkpoint under runs/other; fit first" in fails(
        "validate", "--ckpt_path", "best", "-n", "other"
    )
    assert "--transfer-ckpt tinny: no such file or run" in fails(
        "fit", "--config", config, "--transfer-ckpt", "tinny"
    )


def test_a_fit_goes_on_from_the_last_of_a_run_and_starts_from_the_best(config: str) -> None:
    frozen = ["--trainer.max_epochs", "1", "--optimizer.init_args.lr", "0.0"]
    assert main(["fit", "--config", config, "--transfer-ckpt", "tiny", "-n", "own", *frozen]) == 0
    best = RUN / "checkpoints" / "best.ckpt"
    assert same(weights(last("own", 0)), weights(best))
    words = ["--ckpt_path", "tiny/version_0", "--trainer.max_epochs", "3"]
    assert main(["fit", "--config", config, *words]) == 0
    path = RUN / "checkpoints" / "last.ckpt"
    assert Path("runs/tiny/version_1/config.yaml").read_text().startswith(f"# resumed from {path}")
    record = json.loads(Path("runs/tiny/version_1/run.json").read_text())
    assert (record["parent"], record["epochs"], record["state"]) == (str(path), 3, "done")
    assert content_of(last("tiny", 1))["epoch"] == 2


def test_outputs_go_to_the_run(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_frame(30, 8).to_parquet("run.parquet")
    files = ["--data.predict_df_paths", "run.parquet"]
    assert main(["predict", "--ckpt_path", "tiny", *files]) == 0
    assert f"forecasts: {RUN / 'forecasts.parquet'} (" in capsys.readouterr().err
    assert main(["evaluate", "-n", "tiny", "--ckpt_path", "best", "--no-plots"]) == 0
    assert f"evaluation: {RUN / 'evaluation' / 'metrics.json'}" in capsys.readouterr().err
    # of a checkpoint that lies in no run they lie here
    shutil.copy(RUN / "checkpoints" / "best.ckpt", "own.ckpt")
    assert main(["predict", "--ckpt_path", "own.ckpt", *files]) == 0
    names = {path.name for path in Path().iterdir()}
    assert names == {"runs", "tiny.yml", "run.parquet", "own.ckpt", "forecasts.parquet"}


def test_what_becomes_of_a_calibration_is_told(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", "--ckpt_path", "last", "-n", "tiny"]) == 0
    path = RUN / "checkpoints" / "last.ckpt"
    told = capsys.readouterr().err
    assert f"{path} was replaced; a fit that goes on from it drops the calibration" in told
    words = ["--ckpt_path", "last", "--trainer.max_epochs", "3"]
    assert main(["fit", "--config", config, *words]) == 0
    assert f"the calibration of {path} is dropped" in capsys.readouterr().err
    assert "calibration" not in content_of(last("tiny", 1))


def test_nothing_to_go_on_with_is_promised_before_the_first_step(
    config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ForecastModule, "training_step", stop)
    assert main(["fit", "--config", config, "-n", "short"]) == 130
    told = capsys.readouterr().err
    assert "no step trained, nothing is kept" in told
    assert told.splitlines()[-1] == "interrupted"
    assert not Path("runs/short").exists()

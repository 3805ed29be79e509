"""A fit goes on with the rows that it began with, or says that they are others."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.cli.conftest import Experiment
from tests.runs import content_of, last, same, weights
from transformertf.cli import main


@pytest.fixture
def words(experiment: Experiment, workdir: Path) -> tuple[str, ...]:
    """Words of a fit that goes on with files of the working directory, those of the training."""
    for name in "ab":
        shutil.copy(experiment.root / f"{name}.parquet", workdir)
    config = experiment.write(workdir)
    longer = ("--trainer.max_epochs", "3", "--data.train_df_paths", "*.parquet")
    return ("--config", str(config), "--ckpt_path", str(experiment.checkpoint), *longer)


def append(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame[-1:].assign(t=1e6)])


def correct(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(known=np.where(frame.index == 7, 0.5, frame["known"]))


def shift(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(t=frame["t"] + 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (append, "108 rows in 2 series now, the 107 rows in 2 series that the checkpoint"),
        (correct, "other 107 rows in 2 series than the 107 rows"),
        (shift, "other 107 rows in 2 series than the 107 rows"),
    ],
)
def test_a_fit_goes_on_only_with_the_rows_that_it_began_with(
    words: tuple[str, ...],
    fails: Callable[..., str],
    change: Callable[[pd.DataFrame], pd.DataFrame],
    told: str,
) -> None:
    change(pd.read_parquet("b.parquet")).to_parquet("b.parquet")
    line = fails("fit", *words)
    assert "data.train_df_paths *.parquet: " in line
    assert told in line
    assert line.endswith(f"on other data with --transfer-ckpt {words[3]}")


def test_the_same_rows_in_other_files_go_on(
    words: tuple[str, ...], experiment: Experiment, workdir: Path
) -> None:
    for name in "ab":
        pd.read_parquet(f"{name}.parquet").to_feather(f"{name}.feather")
    assert main(["fit", *words[:-1], "*.feather", "-n", "feather"]) == 0
    assert main(["fit", *words, "-n", "parquet"]) == 0
    assert same(weights(last("feather")), weights(last("parquet")))


def test_a_fit_goes_on_with_weights_that_it_began_without(
    words: tuple[str, ...], workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.parquet", "b.parquet"):
        frame = pd.read_parquet(name)
        frame.assign(w=frame["known"].abs()).to_parquet(name)
    val = str(workdir / "a.parquet")
    assert main(["fit", *words, "--data.weight_covariate", "w", "--data.val_df_paths", val]) == 0
    assert "data.weight_covariate is w now, None in the" in capsys.readouterr().err


def test_a_checkpoint_that_does_not_tell_its_rows_goes_on(
    words: tuple[str, ...], experiment: Experiment
) -> None:
    content = content_of(experiment.checkpoint)
    assert content["EncoderDecoderDataModule"].pop("content")["rows"] == 107
    torch.save(content, "old.ckpt")
    append(pd.read_parquet("b.parquet")).to_parquet("b.parquet")
    assert main(["fit", *words, "--ckpt_path", "old.ckpt"]) == 0
    assert content_of(last("tiny"))["EncoderDecoderDataModule"]["content"]["rows"] == 108

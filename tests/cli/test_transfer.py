"""A fit that starts from another one's weights, on other data: the scaling comes with them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.cli.conftest import Experiment, make_frame
from tests.runs import content_of, last, weights
from transformertf.cli import main

Change = Callable[[dict[str, Any]], None]
DATA = "EncoderDecoderDataModule"


def other_data(folder: Path, **more: Any) -> Change:
    """Write data on another level and scale, with a new column, and let a config take it."""
    frame = make_frame(70, 9)
    frame["target"] = 1000 + 50 * frame["target"]
    frame["rain"] = np.arange(70.0)
    frame.to_parquet(folder / "other.parquet")
    paths = {"train_df_paths": "other.parquet", "val_df_paths": "other.parquet"}

    def change(config: dict[str, Any]) -> None:
        config["data"]["init_args"].update(paths, test_df_paths=None, **more)

    return change


def state_of(checkpoint: Path) -> dict[str, Any]:
    """Return what the data module was fitted to."""
    state: dict[str, Any] = content_of(checkpoint)[DATA]
    return state


def fit(*words: object) -> int:
    return main(["fit", "--config", "tiny.yml", "--trainer.max_epochs", "1", *map(str, words)])


def test_scaling_is_taken_along_unless_told(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment.write(workdir, other_data(workdir))
    source = ("--transfer-ckpt", experiment.checkpoint)
    assert fit(*source) == 0
    told = capsys.readouterr().err
    assert f"scaling and categories of {experiment.checkpoint}: taken along for 4 columns" in told
    assert f"beside {experiment.checkpoint}: 'target' is 1" in told  # in units of another level
    before = state_of(experiment.checkpoint)
    assert state_of(last("tiny", 0))["scaling"] == before["scaling"]

    assert fit(*source, "--refit-scaling") == 0
    told = capsys.readouterr().err
    assert f"of {experiment.checkpoint}: fitted anew, as told" in told
    assert "beside" not in told
    (target,) = state_of(last("tiny", 1))["scaling"]["columns"]["target"]["states"]
    assert target["mean"] == pytest.approx(pd.read_parquet("other.parquet")["target"].mean())
    assert target["mean"] != before["scaling"]["columns"]["target"]["states"][0]["mean"]


def test_a_resume_keeps_the_scaling_that_was_taken(experiment: Experiment, workdir: Path) -> None:
    experiment.write(workdir, other_data(workdir))
    assert fit("--transfer-ckpt", experiment.checkpoint) == 0
    assert fit("--ckpt_path", "last", "--trainer.max_epochs", "2") == 0
    before = state_of(experiment.checkpoint)["scaling"]
    assert state_of(last("tiny", 1))["scaling"] == before
    command = ["predict", "--ckpt_path", str(last("tiny", 1)), "--data.predict_df_paths"]
    assert main([*command, "other.parquet"]) == 0


def test_frozen_weights_forecast_as_they_did(experiment: Experiment, workdir: Path) -> None:
    """With a rate of 0 the new checkpoint is the old one, on any data."""
    experiment.write(workdir, other_data(workdir))
    assert fit("--transfer-ckpt", experiment.checkpoint, "--optimizer.lr", "0.0") == 0
    tables = []
    for number, checkpoint in enumerate((experiment.checkpoint, last("tiny", 0))):
        command = ["predict", "--ckpt_path", str(checkpoint), "--output", f"{number}.parquet"]
        data = str(experiment.root / "test.parquet")
        assert main([*command, "--data.predict_df_paths", data]) == 0
        tables.append(pd.read_parquet(f"{number}.parquet"))
    pd.testing.assert_frame_equal(tables[0], tables[1])


def test_what_cannot_be_taken_is_named(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = other_data(
        workdir, known_covariates=["rain", "known"], extra_transforms={"past": "MaxScaler"}
    )
    experiment.write(workdir, changed)
    assert fit("--transfer-ckpt", experiment.checkpoint) == 0
    told = capsys.readouterr().err
    assert "taken along for 'known', 'target', 'time'" in told
    assert "'rain' (not there)" in told
    assert "'past' (with other transforms there)" in told
    before, now = (
        state_of(path)["scaling"]["columns"] for path in (experiment.checkpoint, last("tiny", 0))
    )
    assert now["known"] == before["known"]
    (rain,) = now["rain"]["states"]
    assert rain["mean"] == pytest.approx(34.5)

    experiment.write(workdir, other_data(workdir, normalize=False))
    assert fit("--transfer-ckpt", experiment.checkpoint) == 0
    assert "(normalize is False, there 'global')" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (
            {"known_covariates": ["past"], "known_past_covariates": ["known"]},
            "'past' for 'known', ",
        ),
        ({"target_covariate": "rain"}, "'rain' for 'target'"),
        ({}, ""),
    ],
)
def test_weights_of_other_columns_are_told(
    experiment: Experiment,
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
    columns: dict[str, Any],
    told: str,
) -> None:
    experiment.write(workdir, other_data(workdir, **columns))
    words = ["--transfer-ckpt", experiment.checkpoint, "--trainer.limit_train_batches", "1"]
    assert fit(*words, "--trainer.limit_val_batches", "0") == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "other columns" in line]
    assert len(lines) == bool(told)
    assert all(f"are used for other columns: {told}" in line for line in lines)


def panel(stores: str, scale: float) -> pd.DataFrame:
    frames = [
        make_frame(40, place).assign(store=store, target=lambda f: scale * (1 + f["target"]))
        for place, store in enumerate(stores)
    ]
    return pd.concat(frames, ignore_index=True)


def panels(train: str) -> Change:
    def change(config: dict[str, Any]) -> None:
        config["data"]["init_args"].update(
            train_df_paths=train, val_df_paths=None, test_df_paths=None, series_id="store",
            static_covariates="store", categorical_covariates="store", normalize="series",
        )  # fmt: skip

    return change


def test_categories_and_series_are_taken_along(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    panel("bdf", 1.0).to_parquet("old.parquet")
    panel("abde", 9.0).to_parquet("new.parquet")
    experiment.write(workdir, panels("old.parquet"))
    assert fit("-n", "old") == 0
    experiment.write(workdir, panels("new.parquet"))
    capsys.readouterr()
    assert fit("-n", "new", "--transfer-ckpt", last("old"), "--optimizer.lr", "0.0") == 0
    told = capsys.readouterr().err
    assert "2 of 4 values of 'store' are unknown there" in told
    assert "2 of 4 series take the statistics of all" in told
    before, now = state_of(last("old")), state_of(last("new"))
    # else the vectors of b and d would be those of others
    assert now["vocabularies"] == before["vocabularies"] == {"store": ["b", "d", "f"]}
    assert now["scaling"]["series"] == before["scaling"]["series"] == ["b", "d", "f"]
    for left, right in zip(
        now["scaling"]["statistics"], before["scaling"]["statistics"], strict=True
    ):
        assert torch.equal(left, right)
    assert weights(last("old")).keys() == weights(last("new")).keys()
    assert "not in the checkpoint with this shape" not in told
    # its categories are not those of its own data
    resume = ("-n", "new", "--ckpt_path", "last", "--trainer.max_epochs", "2")
    assert fit(*resume) == 0
    assert state_of(last("new", 1))["vocabularies"] == now["vocabularies"]
    assert fit("-n", "anew", "--transfer-ckpt", last("old"), "--refit-scaling") == 0
    assert state_of(last("anew"))["vocabularies"] == {"store": list("abde")}


def test_units_of_a_distribution_are_those_of_the_scaling(
    experiment: Experiment, workdir: Path
) -> None:
    criterion = '{"class_path": "DistributionLoss", "init_args": {"distribution": "log_normal"}}'
    experiment.write(workdir, other_data(workdir))
    words = ("--model.criterion", criterion)
    assert fit("--transfer-ckpt", experiment.checkpoint, *words) == 0
    content = content_of(last("tiny", 0))
    (target,) = content[DATA]["scaling"]["columns"]["target"]["states"]
    loc, scale = content["state_dict"]["criterion._extra_state"].tolist()
    assert loc == target["mean"]
    assert scale == pytest.approx(np.sqrt(target["squares"] / target["count"]))
    assert target == state_of(experiment.checkpoint)["scaling"]["columns"]["target"]["states"][0]


def test_option_alone_is_refused(experiment: Experiment, workdir: Path, fails: Any) -> None:
    experiment.write(workdir)
    told = fails("fit", "--config", "tiny.yml", "--refit-scaling")
    assert "--refit-scaling leaves the scaling of --transfer-ckpt; give that, too" in told


@pytest.mark.parametrize(
    "spec",
    [
        {"StandardScaler": {"mean": 0.0, "std": 100.0}},
        {"class_path": "RunningNormalizer", "init_args": {"mean": 0, "std": 100}},
        [{"MinMaxScaler": {"minimum": 0.0, "maximum": 100.0}}],
        {"MaxScaler": {"maximum": 100}},
    ],
)
def test_constants_from_yaml_are_what_is_trained_on(
    experiment: Experiment, workdir: Path, spec: Any
) -> None:
    """Without normalising, the network sees the target over 100, whatever the data is."""
    extra = {"extra_transforms": {"target": spec}, "normalize": False}
    experiment.write(workdir, other_data(workdir, **extra))
    assert fit("--optimizer.lr", "0.0") == 0
    state = state_of(last("tiny", 0))["scaling"]["columns"]["target"]["states"][0]
    assert state["count"] == 0
    command = ["predict", "--ckpt_path", str(last("tiny", 0)), "--data.predict_df_paths"]
    assert main([*command, "other.parquet"]) == 0
    # an untrained network says about 0
    assert pd.read_parquet("forecasts.parquet")["prediction"].abs().max() < 100

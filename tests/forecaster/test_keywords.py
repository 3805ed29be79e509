"""Keywords are the keys of a configuration, each in its place."""

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
import yaml

from tests.forecaster.conftest import ROLES, SMALL, make_frame
from tests.runs import same, weights
from transformertf import Forecaster
from transformertf.cli.classes import arguments_of
from transformertf.cli.config import Composer
from transformertf.cli.keywords import ROLES as SHORT
from transformertf.cli.keywords import RUN, SECTIONS, tree_of
from transformertf.cli.lightning_cli import LINKS
from transformertf.cli.main import main
from transformertf.cli.proposing import Call
from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.errors import InputError
from transformertf.models import TFT, EncoderDecoderLSTM


def tree(**keywords: Any) -> dict[str, Any]:
    return tree_of({"model": "TFT", **keywords}, "here", Composer())[0]


PLACES: dict[str, tuple[dict[str, Any], list[str], Any]] = {
    "a role": ({"target": "y"}, ["data", "init_args", "target_covariate"], "y"),
    "of the data": ({"normalize": "window"}, ["data", "init_args", "normalize"], "window"),
    "of the model": ({"d_model": 8}, ["model", "init_args", "d_model"], 8),
    "of the base": ({"monotone": True}, ["model", "init_args", "monotone"], True),
    "of the trainer": ({"precision": "64-true"}, ["trainer", "precision"], "64-true"),
    "epochs": ({"epochs": 3}, ["trainer", "max_epochs"], 3),
    "seed": ({"seed": 3}, ["seed_everything"], 3),
    "a linked one": ({"context": 9}, ["data", "init_args", "ctxt_seq_len"], 9),
    "a number of numpy": ({"horizon": np.int64(9)}, ["data", "init_args", "tgt_seq_len"], 9),
    "a path": ({"val_df_paths": Path("a.csv")}, ["data", "init_args", "val_df_paths"], "a.csv"),
    "an index": ({"past": pd.Index(["a"])}, ["data", "init_args", "known_past_covariates"], ["a"]),
    "a class": ({"optimizer": torch.optim.SGD}, ["optimizer"], "torch.optim.sgd.SGD"),
    "a key at the top": ({"ema": 0.9}, ["ema"], 0.9),
    "beside a dictionary": (
        {"trainer": {"max_steps": 5}, "epochs": 2},
        ["trainer"],
        {"max_steps": 5, "max_epochs": 2},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PLACES)
def test_a_keyword_has_its_place(kind: str) -> None:
    keywords, path, expected = PLACES[kind]
    found: Any = tree(**keywords)
    for key in path:
        found = found[key]
    assert found == expected
    assert type(found) is type(expected)


def test_no_name_has_two_places() -> None:
    linked = {target.rpartition(".")[2] for target in LINKS.values()}
    for data in (EncoderDecoderDataModule, TimeSeriesDataModule):
        own = [set(arguments_of(cls) or ()) for cls in (data, TFT, lightning.Trainer)]
        pairs = itertools.combinations(own, 2)
        shared = {name for one, other in pairs for name in one & other}
        assert shared <= linked
        assert not set.union(*own) & {*SHORT, *RUN, *SECTIONS}
    assert set(SHORT.values()) <= set(arguments_of(EncoderDecoderDataModule) or ())


class Exchanged:
    """A frame of a library that knows the older protocol alone."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._table = pa.Table.from_pandas(frame)

    def __dataframe__(self, **options: Any) -> Any:
        return self._table.__dataframe__(**options)


def test_every_kind_of_frame_is_one() -> None:
    frame = make_frame().drop(columns="t")
    for given in (frame, pa.Table.from_pandas(frame), Exchanged(frame)):
        keywords = {"model": "TFT", "train_df_paths": given, "val_df_paths": given}
        made, frames = tree_of(keywords, "here", Composer())
        assert made["data"]["init_args"]["train_df_paths"] == "the frame"
        assert set(frames) == {"train_df_paths", "val_df_paths"}
        for one in frames.values():
            pd.testing.assert_frame_equal(one, frame, check_dtype=False)


def proposed(**keywords: Any) -> dict[str, Any]:
    composer = Composer()
    given = {"train_df_paths": make_frame(), **keywords}
    Call("here", given, proposes=True).add_to(composer)
    return composer.compose()


def test_what_is_not_given_is_proposed() -> None:
    found = proposed(target="y", context=8, horizon=4)["data"]["init_args"]
    assert (found["series_id"], found["time_column"]) == (["unit"], "t")
    assert found["known_past_covariates"] == ["x", "kind", "p"]
    assert found["categorical_covariates"] == ["kind"]
    assert (found["ctxt_seq_len"], found["tgt_seq_len"]) == (8, 4)
    given = proposed(target="y", known=["x"], past=[], context=8, horizon=4, val_fraction=0.3)
    found = given["data"]["init_args"]
    assert (found["known_covariates"], found["known_past_covariates"]) == (["x"], [])
    assert found["val_fraction"] == 0.3
    other = proposed(target="y", model="EncoderDecoderLSTM", context=8, horizon=4)["model"]
    assert other["class_path"].endswith("EncoderDecoderLSTM")


def test_a_proposal_gives_way() -> None:
    lengths = {"context": 8, "horizon": 4}
    whole = proposed(target="y", **lengths)
    assert "val_fraction" in whole["data"]["init_args"]
    files = proposed(target="y", val_df_paths=make_frame(), **lengths)["data"]["init_args"]
    assert files["val_df_paths"] == "the frame"
    assert "val_fraction" not in files
    assert proposed(target="y", max_steps=5, **lengths)["trainer"]["max_epochs"] == -1
    assert "callbacks" not in proposed(target="y", val_fraction=0.0, **lengths)["trainer"]
    categories = proposed(target="y", known="x", categorical="x", **lengths)["data"]["init_args"]
    assert categories["categorical_covariates"] == ["x", "kind"]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a configuration, in a folder to work in."""
    monkeypatch.chdir(tmp_path)
    make_frame().to_parquet("frame.parquet")
    roles = {SHORT.get(name, name): value for name, value in ROLES.items()}
    written = {
        "model": {"class_path": SMALL["model"], "init_args": {"d_encoder": 4, "d_decoder": 4}},
        "data": {**roles, "train_df_paths": "frame.parquet", "ctxt_seq_len": 8, "tgt_seq_len": 4},
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False},
    }
    path = tmp_path / "mine.yml"
    path.write_text(yaml.safe_dump(written))
    return path


def test_a_file_is_fitted_as_the_command_does(config: Path) -> None:
    made = Forecaster.from_yaml(config, trainer={"max_epochs": 2}, stride=2)
    assert made.run == Path("runs", "mine", "version_0")
    words = ["--trainer.max_epochs", "2", "--data.stride", "2", "-n", "command"]
    assert main(["fit", "--config", str(config), *words]) == 0
    folder = Path("checkpoints", "last.ckpt")
    expected = weights(Path("runs", "command", "version_0") / folder)
    assert same(weights(made.run / folder), expected)
    # a frame in the place of the file, and a fit that goes on
    again = Forecaster.from_yaml(config, train_df_paths=make_frame(), stride=2, name="python")
    on = Forecaster.from_yaml(
        config, train_df_paths=make_frame(), stride=2, epochs=2, name="python", ckpt_path="last"
    )
    assert again.run != on.run
    assert on.run is not None
    assert same(weights(on.run / folder), expected)
    with pytest.raises(InputError, match="nothing to do; raise epochs to go on"):
        Forecaster.from_yaml(config, stride=2, epochs=2, name="python", ckpt_path="last")
    with pytest.raises(InputError, match=r"^config none\.yml: no such file"):
        Forecaster.from_yaml("none.yml")


def test_the_package_is_imported_without_torch() -> None:
    script = (
        "import sys, transformertf\nassert 'Forecaster' in transformertf.__all__\n"
        "assert not {'torch', 'lightning'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_model_takes_what_it_takes() -> None:
    with pytest.raises(InputError, match="no argument 'd_hidden_continuous'"):
        tree_of({"model": EncoderDecoderLSTM, "d_hidden_continuous": 3}, "here", Composer())


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, {"val_fraction", "val_blocks", "test_fraction"}),
        ({"val_start": "2025-06-01"}, {"val_start", "test_fraction"}),
        ({"test_start": "2025-06-01"}, {"val_fraction", "val_blocks", "test_start"}),
        ({"val_df_paths": "v.csv"}, {"test_fraction"}),
        ({"val_fraction": 0.0}, {"val_fraction", "test_fraction"}),
    ],
)
def test_a_proposal_keeps_no_part_that_is_given_otherwise(
    given: dict[str, Any], kept: set[str]
) -> None:
    hours = pd.date_range("2024-01-01", periods=16000, freq="h")
    frame = pd.DataFrame({"t": hours, "y": np.sin(np.arange(16000) * np.pi / 12)})
    call = Call("here", {"train_df_paths": frame, "target": "y", "context": 48, **given}, True)
    composer = Composer()
    call.add_to(composer)
    data = composer.compose()["data"]["init_args"]
    names = {name for name in data if name.startswith(("val_", "test_")) and "paths" not in name}
    assert names == kept

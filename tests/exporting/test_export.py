"""Exported forecasters against the live ones, and the runner where there is no torch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from transformertf.checkpoint import Checkpoint
from transformertf.cli import main
from transformertf.data import EncoderDecoderDataModule
from transformertf.errors import InputError
from transformertf.exported import Session, load
from transformertf.exporting import export, prove
from transformertf.models import EncoderDecoderLSTM
from transformertf.models.encoder_decoder_lstm import EncoderDecoderLSTMModel

ROOT = Path(__file__).parents[2]
CONTEXT, HORIZON, ROWS = 8, 4, 61
# imports nothing that the runner is to do without
RUN = """
import sys
for name in ("torch", "lightning", "pandas", "pyarrow", "scipy"):
    sys.modules[name] = None
import numpy as np
from transformertf.exported import Session, load
rows = dict(np.load("rows.npz"))
np.savez("found.npz", **load("model.onnx").predict(rows))
"""


def make_frame() -> pd.DataFrame:
    pieces = []
    for number, unit in enumerate(["b", "a"]):
        rng = np.random.default_rng(number)
        x = rng.normal(size=ROWS)
        pieces.append(
            pd.DataFrame(
                {
                    "unit": unit,
                    "t": pd.date_range("2024-03-30", periods=ROWS, freq="h"),
                    "x": x,
                    "kind": np.array(["off", "on"])[rng.integers(0, 2, size=ROWS)],
                    "size": 3.0 + number,
                    "p": rng.uniform(1, 3, size=ROWS),
                    "y": 5 + 2 * np.roll(x, 1) + 10 * number,
                }
            )
        )
    return pd.concat(pieces, ignore_index=True)


def fitted(**given: Any) -> EncoderDecoderDataModule:
    """Return a data module that is fitted to the rows."""
    data = EncoderDecoderDataModule(
        "y", ctxt_seq_len=CONTEXT, tgt_seq_len=HORIZON, min_ctxt_seq_len=2, **given
    )
    data.stages.give("train_df_paths", make_frame())
    data.hparams["train_df_paths"] = "frame"
    data.setup("fit")
    return data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Path:
    """Fit a small model in `folder`, and export it."""
    make_frame().to_parquet(folder / "train.parquet")
    (folder / "tiny.yml").write_text(
        """
model:
  class_path: EncoderDecoderLSTM
  init_args: {d_encoder: 4, d_decoder: 6, prediction_type: delta, criterion: QuantileLoss}
data:
  class_path: EncoderDecoderDataModule
  init_args:
    {target_covariate: y, known_covariates: [x, kind], known_past_covariates: p,
     static_covariates: size, categorical_covariates: kind, series_id: unit, time_column: t,
     train_df_paths: train.parquet, ctxt_seq_len: 8, tgt_seq_len: 4, min_ctxt_seq_len: 2,
     normalize: window, encoder_alignment: right, extra_transforms: {p: LogTransform}}
trainer: {max_epochs: 1, accelerator: cpu, enable_progress_bar: false}
"""
    )
    pytest.importorskip("onnxscript")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["fit", "--config", "tiny.yml"]) == 0
        path = folder / "runs" / "tiny" / "version_0" / "checkpoints" / "last.ckpt"
        assert main(["export", "--ckpt_path", str(path), "-o", "model.onnx"]) == 0
    return path


def test_the_file_says_what_it_is_and_how_it_was_proven(checkpoint: Path, folder: Path) -> None:
    import onnx

    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    shapes = [
        [axis.dim_param or axis.dim_value for axis in one.type.tensor_type.shape.dim]
        for one in model.graph.output
    ]
    assert shapes == [["batch", "horizon"], ["batch", "horizon", 7]]
    card = load(folder / "model.onnx").card
    assert card["model"] == "EncoderDecoderLSTM"
    assert card["columns"]["known"] == ["x"]
    assert card["vocabularies"] == {"kind": ["off", "on"]}
    assert 0 < card["proof"]["difference"] < 1e-5 * card["proof"]["spread"]
    assert len(card["checkpoint"]["sha256"]) == 64


@pytest.mark.parametrize("origin", ["auto", "last", "end"])
def test_the_runner_gives_the_table_of_the_live_forecaster(
    checkpoint: Path, folder: Path, origin: str
) -> None:
    from transformertf import Forecaster

    rows = make_frame()
    # what follows the last targets is known of the one series alone, and less than a horizon
    ahead = rows["unit"].eq("a") & (rows["t"] >= rows["t"].max() - pd.Timedelta("2h"))
    if origin == "end":
        ahead = rows["t"] >= rows["t"].max() - pd.Timedelta("2h")
    rows.loc[ahead, ["y", "p"]] = np.nan
    live = Forecaster.load(checkpoint).predict(rows, origin=origin)
    found = load(folder / "model.onnx").predict(rows, origin)
    places = ["series", "origin", "step", "time"]
    pd.testing.assert_frame_equal(
        found[places], live[places], check_dtype=False, check_index_type=False
    )
    numbers = ["prediction", *(name for name in live if str(name).startswith("q")), "actual"]
    np.testing.assert_allclose(found[numbers], live[numbers], atol=2e-5)


def test_the_runner_does_without_torch_and_pandas(checkpoint: Path, folder: Path) -> None:
    rows = make_frame()
    columns: dict[str, Any] = {str(name): rows[name].to_numpy() for name in rows}
    columns |= {name: columns[name].astype(str) for name in ("unit", "kind")}
    np.savez(folder / "rows.npz", **columns)
    path = [str(ROOT), *(one for one in sys.path if one)]
    ended = subprocess.run(
        [sys.executable, "-c", RUN], cwd=folder, env={"PYTHONPATH": ":".join(path)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found = np.load(folder / "found.npz", allow_pickle=True)
    expected = load(folder / "model.onnx").predict(rows)
    np.testing.assert_array_equal(found["prediction"], expected["prediction"])


def test_rows_that_lack_something_are_refused(checkpoint: Path, folder: Path) -> None:
    forecaster, rows = load(folder / "model.onnx"), make_frame()
    with pytest.raises(InputError, match="no column 'x'"):
        forecaster.predict(rows.drop(columns="x"))
    with pytest.raises(InputError, match="'p' has 1 missing or infinite values, first in row 3"):
        forecaster.predict(rows.assign(p=np.where(rows.index == 3, np.nan, rows["p"])))
    with pytest.raises(InputError, match="time does not rise in row 1"):
        forecaster.predict(rows.iloc[::-1])
    with pytest.raises(InputError, match="rows after the last one have to be known"):
        forecaster.predict(rows, origin="end")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"missing": "mask"}, "data.missing 'mask'"),
        ({"target_lags": [4]}, r"data.target_lags \[4\]"),
        ({"extra_transforms": {"y": "DeltaTransform"}}, "DeltaTransform of 'y'"),
        (
            {"time_column": "t", "calendar_features": "hour"},
            r"data.calendar_features \['hour'\]",
        ),
    ],
)
def test_what_has_no_place_is_named_before_anything_is_written(
    given: dict[str, Any], named: str, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    given = {"known_covariates": "x", "series_id": "unit", "drop_short_series": True, **given}
    data = fitted(**given)
    model = EncoderDecoderLSTM.for_data(data, d_encoder=2, d_decoder=2)
    with pytest.raises(InputError, match=named):
        export(model, data, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_graph_that_is_not_the_model_is_refused(checkpoint: Path, folder: Path) -> None:
    read = Checkpoint.read(checkpoint)
    model, data = read.make_model(EncoderDecoderLSTM), read.make_data(EncoderDecoderDataModule)
    session = Session(str(folder / "model.onnx"), "model.onnx")
    prove(session, model.eval(), data)
    network = model.model
    assert isinstance(network, EncoderDecoderLSTMModel)
    with torch.no_grad():
        network.head.get_parameter("0.bias").add_(1e-3)
    with pytest.raises(InputError, match="from the live model on random windows"):
        prove(session, model.eval(), data)

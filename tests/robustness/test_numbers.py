"""Targets of extreme scale, level and shape, and what is learned, scored and shown of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch

from transformertf.data import EncoderDecoderDataModule
from transformertf.errors import InputError
from transformertf.models import EncoderDecoderLSTM

Tried = Callable[[str], None]
FloatArray = npt.NDArray[np.float64]
ROWS, CONTEXT, HORIZON = 60, 6, 3


def frame(target: FloatArray, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    rows = len(target)
    return pd.DataFrame({"t": np.arange(rows), "x": generator.normal(size=rows), "y": target})


def walk(seed: int) -> FloatArray:
    """Return a target of spread near 1."""
    return np.random.default_rng(seed).normal(size=ROWS).cumsum() / 4


def data_of(
    folder: Path, *targets: FloatArray, validation: FloatArray | None = None, **options: Any
) -> EncoderDecoderDataModule:
    """Return a data module of training series, and one to validate with: else the last of them."""
    validation = targets[-1] if validation is None else validation
    for number, target in enumerate((*targets, validation)):
        frame(target, number).to_parquet(folder / f"{number}.parquet")
    paths = [str(folder / f"{number}.parquet") for number in range(len(targets) + 1)]
    return EncoderDecoderDataModule(
        **{
            "target_covariate": "y",
            "known_covariates": ["x"],
            "time_column": "t",
            "train_df_paths": paths[:-1],
            "val_df_paths": paths[-1],
            "test_df_paths": paths[-1],
            "ctxt_seq_len": CONTEXT,
            "tgt_seq_len": HORIZON,
            "batch_size": 16,
            "shuffle": False,
            **options,
        }
    )


class Losses(lightning.Callback):
    """Keeps the loss of each step."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        """Keep a loss."""
        self.values.append(float(outputs["loss"]))


def fit(
    data: EncoderDecoderDataModule, **options: Any
) -> tuple[EncoderDecoderLSTM, list[float], dict[str, float]]:
    """Return a model after a few steps, the losses of these, and what its validation logs."""
    data.setup("fit")
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "d_encoder": 4,
        "d_decoder": 4,
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
        "dropout": 0.0,
    }
    module = EncoderDecoderLSTM(
        data.num_past_known_covariates, data.num_future_known_covariates, **sizes, **options
    )
    if data.hparams["dtype"] == "float64":
        module = module.double()
    losses = Losses()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_train_batches=4,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[losses],
    )
    trainer.fit(module, datamodule=data)
    logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return module, losses.values, logged


@torch.no_grad()
def forecasts(
    module: EncoderDecoderLSTM, data: EncoderDecoderDataModule
) -> tuple[FloatArray, FloatArray]:
    """Return forecasts and targets in original units of the validation windows."""
    module.eval()
    found, truth = [], []
    batch: Any
    for batch in data.val_dataloader():
        mask = batch["target_mask"]
        found.append(data.inverse_transform_target(module(batch)["output"], batch)[mask])
        truth.append(data.inverse_transform_target(batch["target"], batch)[mask])
    return torch.cat(found).double().numpy(), torch.cat(truth).double().numpy()


# what a target of spread 1 is multiplied by, and the level it is put on
AFFINE = {
    "1e9": (1e9, 0.0),
    "1e-9": (1e-9, 0.0),
    "1e-30": (1e-30, 0.0),
    "1e30": (1e30, 0.0),
    "1 at 1e9": (1.0, 1e9),
    "1e-3 at 1e6": (1e-3, 1e6),
    "-1": (-1.0, -5.0),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    known: dict[Any, Any] = {}

    def get(**options: Any) -> Any:
        key = tuple(sorted(options.items()))
        if key not in known:
            folder = tmp_path_factory.mktemp("plain")
            data = data_of(folder, walk(1), walk(2), **options)
            module, losses, logged = fit(data)
            known[key] = losses, logged, forecasts(module, data)
        return known[key]

    return get


@pytest.mark.parametrize(
    ("normalize", "dtype"),
    [("global", "float32"), ("global", "float64"), ("series", "float32"), ("window", "float64")],
)
@pytest.mark.parametrize("affine", AFFINE)
def test_losses_do_not_depend_on_unit_and_level(
    affine: str,
    normalize: str,
    dtype: str,
    plain: Callable[..., Any],
    tmp_path: Path,
    tried: Tried,
) -> None:
    factor, level = AFFINE[affine]
    options: dict[str, Any] = {"normalize": normalize, "dtype": dtype}
    data = data_of(tmp_path, walk(1) * factor + level, walk(2) * factor + level, **options)
    module, losses, logged = fit(data)
    if factor < 0:
        # the network is not the same for the negative, only as good
        assert np.isfinite(losses).all()
        tried("works")
        return
    expected, expected_logs, (shown, _) = plain(**options)
    # the digits that the file's float64 has of the spread, and those of the batch
    lost = 1e-15 * max(abs(level) / abs(factor), 1.0)
    tolerance = max(1e-4 if dtype == "float32" else 1e-9, 100 * lost)
    np.testing.assert_allclose(losses, expected, rtol=tolerance)
    assert logged["validation/loss"] == pytest.approx(
        expected_logs["validation/loss"], rel=tolerance
    )
    for name in ("validation/MAE", "validation/RMSE"):
        assert logged[name] == pytest.approx(expected_logs[name] * factor, rel=10 * tolerance)
    found, truth = forecasts(module, data)
    np.testing.assert_allclose(
        (found - level) / factor, shown, atol=100 * tolerance * np.ptp(shown)
    )
    # the files' own values come back, to the digits of the batch
    values = walk(2) * factor + level
    digits = 1e-6 if dtype == "float32" else 1e-12
    for value in truth:
        assert np.abs(values - value).min() <= digits * np.ptp(values) + 4e-16 * abs(level)
    error = np.abs(found - truth)
    assert logged["validation/MAE"] == pytest.approx(error.mean(), rel=1e-6)
    assert logged["validation/RMSE"] == pytest.approx(
        factor * np.sqrt(np.square(error / factor).mean()), rel=1e-6
    )
    tried("works")


# -- constants


CONSTANTS = {"0": 0.0, "1": 1.0, "1e9": 1e9, "-1e-9": -1e-9, "0.1": 0.1}
SCALERS = ["MinMaxScaler", "MaxScaler", "StandardScaler"]


def assert_finite(data: EncoderDecoderDataModule, **options: Any) -> EncoderDecoderLSTM:
    module, losses, logged = fit(data, **options)
    assert np.isfinite(losses).all()
    assert np.isfinite(list(logged.values())).all(), logged
    found, _ = forecasts(module, data)
    assert np.isfinite(found).all()
    return module


@pytest.mark.parametrize("normalize", ["global", "series", "window", False])
@pytest.mark.parametrize("constant", ["0", "0.1"])
@pytest.mark.parametrize("of", ["all", "one"])
def test_constant_targets(
    constant: str, normalize: Any, of: str, tmp_path: Path, tried: Tried
) -> None:
    level = np.full(ROWS, CONSTANTS[constant])
    assert_finite(data_of(tmp_path, walk(1) if of == "one" else level, level, normalize=normalize))
    tried("works")


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("constant", CONSTANTS)
def test_constant_targets_with_a_scaler(
    constant: str, scaler: str, tmp_path: Path, tried: Tried
) -> None:
    level = np.full(ROWS, CONSTANTS[constant])
    data = data_of(tmp_path, level, extra_transforms={"y": scaler})
    module = assert_finite(data)
    _, truth = forecasts(module, data)
    np.testing.assert_allclose(truth, level[0], rtol=1e-6, atol=0)
    tried("works")


@pytest.mark.parametrize("scaler", [*SCALERS, None])
@pytest.mark.parametrize("factor", [1e-30, 1e-9, 1e9, 1e30])
def test_scalers_of_extreme_targets(
    factor: float, scaler: str | None, tmp_path: Path, tried: Tried
) -> None:
    values = walk(1) * factor
    data = data_of(tmp_path, values, extra_transforms={"y": scaler} if scaler else None)
    module = assert_finite(data)
    _, truth = forecasts(module, data)
    for value in truth:
        assert np.abs(values - value).min() <= 1e-6 * np.ptp(values)
    tried("works")


SHAPES: dict[str, FloatArray] = {
    "0 and 1": (walk(1) > 0).astype(float),
    "integers": np.round(walk(1) * 10),
    "one step": np.repeat([0.0, 1e9], ROWS // 2),
    "one spike": np.where(np.arange(ROWS) == 30, 1e9, walk(1)),
    "alternating": np.where(np.arange(ROWS) % 2, 1e12, -1e12),
    "subnormal": walk(1) * 1e-310,
}


@pytest.mark.parametrize("normalize", ["global", "series", "window"])
@pytest.mark.parametrize("shape", SHAPES)
def test_odd_targets(shape: str, normalize: str, tmp_path: Path, tried: Tried) -> None:
    assert_finite(data_of(tmp_path, SHAPES[shape], walk(2), normalize=normalize))
    tried("works")


def test_integer_columns_are_numbers(tmp_path: Path, tried: Tried) -> None:
    data = data_of(tmp_path, np.round(walk(1) * 10).astype(np.int64))
    assert_finite(data)
    tried("works")


def test_a_logarithm_of_negative_targets_is_refused(tmp_path: Path, tried: Tried) -> None:
    data = data_of(tmp_path, walk(1), extra_transforms={"y": "LogTransform"})
    with pytest.raises(InputError, match=r"'y'.*LogTransform"):
        data.setup("fit")
    tried("refused")


def test_targets_too_large_for_a_batch_are_refused(tmp_path: Path, tried: Tried) -> None:
    data = data_of(tmp_path, walk(1) * 1e30, normalize=False)
    with pytest.raises(InputError, match=r"column 'y' holds .* too large"):
        fit(data)
    tried("refused")


# -- targets that are not observed


def hidden(*rows: slice) -> FloatArray:
    values = walk(1)
    for part in rows:
        values[part] = np.nan
    return values


MISSING: dict[str, FloatArray] = {
    "one horizon": hidden(slice(20, 24)),
    "half of all": hidden(slice(30, None)),
    "whole batches": hidden(slice(10, 50)),
    "all but one": hidden(slice(0, 30), slice(31, None)),
    "every other": hidden(slice(0, None, 2)),
}


@pytest.mark.parametrize("normalize", ["global", "series", "window"])
@pytest.mark.parametrize("missing", MISSING)
def test_targets_that_are_not_observed(
    missing: str, normalize: str, tmp_path: Path, tried: Tried
) -> None:
    data = data_of(
        tmp_path, walk(2), MISSING[missing], validation=walk(2), missing="mask", normalize=normalize
    )
    assert_finite(data)
    data = data_of(tmp_path, walk(2), validation=MISSING[missing], missing="mask")
    _, losses, logged = fit(data)
    assert np.isfinite([*losses, *logged.values()]).all()
    tried("works")


def test_a_series_of_training_without_any_target(tmp_path: Path, tried: Tried) -> None:
    data = data_of(tmp_path, hidden(slice(None)), walk(2), validation=walk(2), missing="mask")
    assert_finite(data)
    with pytest.raises(InputError, match="no value in the training data"):
        data_of(tmp_path, hidden(slice(None)), missing="mask").setup("fit")
    tried("works")
    tried("refused")


@pytest.mark.parametrize("context", [1, 2])
@pytest.mark.parametrize("normalize", ["global", "series", "window"])
def test_contexts_of_one_row(normalize: str, context: int, tmp_path: Path, tried: Tried) -> None:
    assert_finite(data_of(tmp_path, walk(1), normalize=normalize, ctxt_seq_len=context))
    tried("works")

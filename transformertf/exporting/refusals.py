"""What a checkpoint may hold that an exported graph has no place for yet."""

from collections.abc import Iterator
from typing import Any

from transformertf.data import EncoderDecoderDataModule
from transformertf.data.transform import DeltaTransform, TargetTransform
from transformertf.errors import InputError
from transformertf.models import ForecastModule
from transformertf.nn import DistributionLoss

# arguments of the data that change what rows windows are of, and their values that change nothing
_ROWS: dict[str, Any] = {
    "target_lags": None,
    "difference_covariates": None,
    "target_depends_on": None,
    "missing": "error",
    "downsample": 1,
    "freq": None,
    "max_gap": None,
    "time_zone": None,
}


def refuse(model: ForecastModule, data: object, calibrated: bool) -> EncoderDecoderDataModule:
    """Return the data module of a forecaster for all of which there is a place in a graph.

    Args:
        model: the trained model.
        data: its data module.
        calibrated: whether the checkpoint moves intervals.

    Raises:
        InputError: names all there is.
    """
    if not isinstance(data, EncoderDecoderDataModule):
        raise InputError(
            f"export: {type(model).__name__} takes sequences, and windows of context and horizon "
            "alone can be exported; give a checkpoint of EncoderDecoderDataModule"
        )
    found = [*_of_data(data), *_of_model(model, data)]
    if calibrated:
        found.append("a calibration")
    if found:
        raise InputError(
            f"export: no place in the file for {', '.join(found)}; give a checkpoint without"
        )
    return data


def _of_data(data: EncoderDecoderDataModule) -> Iterator[str]:
    """Yield the settings of the data that have no place."""
    for name, nothing in _ROWS.items():
        value = data.hparams.get(name, nothing)
        if value not in (nothing, [], ""):
            yield f"data.{name} {value!r}"
    if data.columns.calendar_fields:
        yield f"data.calendar_features {list(data.columns.calendar_fields)}"
    for name, chain in data.scaling.chains.items():
        for one in chain.extra.transforms:
            if isinstance(one, DeltaTransform | TargetTransform):
                yield f"{type(one).__name__} of {name!r} in data.extra_transforms"


def _of_model(model: ForecastModule, data: EncoderDecoderDataModule) -> Iterator[str]:
    """Yield what the outputs of the model mean that has no place."""
    levels = model.quantiles
    if model.prediction_type == "ridge":
        yield "model.prediction_type 'ridge'"
    if isinstance(model.criterion, DistributionLoss):
        yield f"criterion {model.outputs.name}"
    elif levels is not None and data.scaling.target_is_turned():
        yield "a transform that turns the order of the quantiles round"

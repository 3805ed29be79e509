"""What a session can be of: a fitted data module, without options that take whole files."""

from typing import Any

from transformertf.data.base import WindowDataModule
from transformertf.errors import InputError
from transformertf.models import ForecastModule
from transformertf.models.inputs import check_source

# data options that only whole files can be given to: what they must be, and what to do instead
WHOLE_FILES: dict[str, tuple[Any, str]] = {
    "freq": (None, "give rows at that distance"),
    "max_gap": (None, "begin a session anew after a gap"),
    "downsample": (1, "thin the rows before"),
}


def check_data(model: ForecastModule, data: WindowDataModule) -> None:
    """Refuse data that a session of a model cannot be of.

    Raises:
        InputError: data of another kind, not fitted, or with options that take whole files.
    """
    check_source(data, model.takes, model.prediction_type, type(model).__name__)
    if data.seed is None:
        raise InputError(
            "the data module is not fitted: load it from a checkpoint, or call its setup('fit')"
        )
    for name, (expected, remedy) in WHOLE_FILES.items():
        if data.hparams[name] != expected:
            raise InputError(
                f"{name} is {data.hparams[name]!r}, which takes whole files; a session takes rows "
                f"as they come: {remedy}, and load the data module with {name} {expected}"
            )
    if data.columns.indicators and data.hparams["impute"] == "interpolate":
        raise InputError(
            "impute is 'interpolate', which draws lines to values that a session does not know "
            "yet; train with impute 'last'"
        )
    if data.scaling.has_delta and model.takes == "sequences":
        raise InputError(
            f"a DeltaTransform of {data.columns.target!r} counts from the target before the rows, "
            f"which a session of {type(model).__name__} need not know; train without it"
        )

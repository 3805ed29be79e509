"""Forecasting of long, ragged, covariate-driven time series.

The way of the data, and of this package from the bottom layer to the top:

    parquet/csv -> frames -> transforms -> windows -> batch -> model -> loss
        -> predictions -> parquet, metrics, plots

`transformertf.data` makes batches of files, `transformertf.models` makes forecasts of
batches, and the two share only `transformertf.batch` and `transformertf.utils.sequence`.
`transformertf.cli` drives both from YAML, `transformertf.Forecaster` forecasts from Python.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformertf.forecaster import Forecaster

__version__ = "0.1.0"
__all__ = ["Forecaster", "__version__"]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import; `transformertf --version` and `--help` do without
    if name == "Forecaster":
        return import_module("transformertf.forecaster").Forecaster
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

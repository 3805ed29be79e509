"""Forecasting of long, ragged, covariate-driven time series.

The way of the data, and of this package from the bottom layer to the top:

    parquet/csv -> Table -> Panel -> Series -> Windows -> ScaledRows -> Batch -> Outputs
        -> forecast table -> parquet, scores, plots

`transformertf.data` makes batches of files, `transformertf.models` makes forecasts of
batches, and the two share only `transformertf.batch` and `transformertf.utils.sequence`.
`transformertf.cli` drives both from YAML, `transformertf.Forecaster` forecasts from Python.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from transformertf.version import __version__

if TYPE_CHECKING:
    from transformertf.forecaster import Forecaster

__all__ = ["Forecaster", "__version__"]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import; `transformertf --version` and `--help` do without
    if name == "Forecaster":
        return import_module("transformertf.forecaster").Forecaster
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

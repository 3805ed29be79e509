"""From files to batches; a room is a step of the flow, named after what it hands on:

1. `reading`    files -> Table -> Panel -> Series
2. `windows`    Series -> Part -> Windows -> Request
3. `scaling`    what is fitted to the training rows; Series -> ScaledRows
4. `batches`    ScaledRows + Request -> Batch; `Fitted` is the way through 3 and 4
5. `base`       wires 1 to 4; its data modules: `datamodule`, windows with context and horizon, and
                `time_series`, sequences
6. `summary`    what they have read and make of it, in a few lines

Below them lie `columns` (which column has which role; the order of the features),
`series` (one series in original units), `rates` (how its rows are apart in time), `arguments` (of
the data modules) and `transform` (of single columns).
"""  # noqa: D415 -- a list, not a sentence

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformertf.data.arguments import ARGUMENTS, Csv, Missing, Rescaled, Stage
    from transformertf.data.base import WindowDataModule
    from transformertf.data.columns import Columns, as_list
    from transformertf.data.datamodule import EncoderDecoderDataModule
    from transformertf.data.rates import (
        A_DAY,
        A_WEEK,
        DAY,
        HOUR,
        length_of,
        length_text,
        seasons,
        usual_step,
    )
    from transformertf.data.series import Codes, FloatArray, IntArray, Series
    from transformertf.data.summary import Summary, summary_of
    from transformertf.data.time_series import TimeSeriesDataModule

__all__ = [
    "ARGUMENTS",
    "A_DAY",
    "A_WEEK",
    "DAY",
    "HOUR",
    "Codes",
    "Columns",
    "Csv",
    "EncoderDecoderDataModule",
    "FloatArray",
    "IntArray",
    "Missing",
    "Rescaled",
    "Series",
    "Stage",
    "Summary",
    "TimeSeriesDataModule",
    "WindowDataModule",
    "as_list",
    "length_of",
    "length_text",
    "seasons",
    "summary_of",
    "usual_step",
]

# what only looks at files does without torch, which takes seconds to import
_MODULES = {
    "arguments": ("ARGUMENTS", "Csv", "Missing", "Rescaled", "Stage"),
    "base": ("WindowDataModule",),
    "columns": ("Columns", "as_list"),
    "datamodule": ("EncoderDecoderDataModule",),
    "rates": (
        "A_DAY",
        "A_WEEK",
        "DAY",
        "HOUR",
        "length_of",
        "length_text",
        "seasons",
        "usual_step",
    ),
    "series": ("Codes", "FloatArray", "IntArray", "Series"),
    "summary": ("Summary", "summary_of"),
    "time_series": ("TimeSeriesDataModule",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

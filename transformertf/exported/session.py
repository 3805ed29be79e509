"""An exported graph, and the windows that it takes; all of it is NumPy."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from transformertf.errors import InputError

Array = npt.NDArray[Any]
# what a file calls the description of its forecaster, and the version of that
CARD, FORMAT = "transformertf", 1


class Window(NamedTuple):
    """A window of a series, whose rows are R.

    Attributes:
        values: (R, V) float64 real columns: known ones, past ones, the target.
        time: (R,) float64 since any one moment, in seconds of dates; None without.
        codes: (R, C) int64 categories, known ones first.
        static: (S,) float64.
        static_codes: (Cs,) int64.
        statistics: row of the series' own statistics; 0 for those of all series.
        begin: row of the first context step.
        context: context steps.
        horizon: horizon steps.
    """

    values: Array
    time: Array | None
    codes: Array
    static: Array
    static_codes: Array
    statistics: int
    begin: int
    context: int
    horizon: int


class Session:
    """A graph that is ready to run.

    Args:
        model: the file's path, or what it holds.
        where: the file, for messages.
        threads: that a run may use; 0 for one on each core.

    Attributes:
        card: what the file says of its forecaster.

    Raises:
        InputError: onnxruntime lacks, or the file is none that `transformertf export` wrote.
    """

    def __init__(self, model: str | bytes, where: str, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise InputError(f"{where}: wants onnxruntime: pip install onnxruntime") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
            self.card = json.loads(self._session.get_modelmeta().custom_metadata_map[CARD])
        except Exception as error:  # bytes that are no graph can fail in any way
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(
                f"{where}: no file that `transformertf export` wrote ({reason:.300})"
            ) from None
        if self.card["format"] != FORMAT:
            raise InputError(
                f"{where}: written by transformertf {self.card['version']} in format "
                f"{self.card['format']}, expected {FORMAT}; install that version, or export anew"
            )
        self._outputs = [one.name for one in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs of a batch by their names; see `feed`."""
        found = self._session.run(self._outputs, dict(inputs))
        return dict(zip(self._outputs, found, strict=True))


def feed(card: Mapping[str, Any], windows: Sequence[Window]) -> dict[str, Array]:
    """Return the inputs of a batch of B windows; padding, which comes last, is NaN.

    Args:
        card: of the session.
        windows: at least one.
    """
    known, codes = len(card["columns"]["known"]), len(card["columns"]["known_categories"])
    contexts = np.array([one.context for one in windows])
    horizons = np.array([one.horizon for one in windows])
    first = np.array([one.begin for one in windows])
    middle = first + contexts
    values = [one.values for one in windows]
    found = {
        "past": _padded(values, first, contexts, np.nan),
        # a column of nothing, where nothing is known ahead, tells the steps
        "future": _padded(
            [one[:, :known] if known else one[:, -1:] for one in values], middle, horizons, np.nan
        ),
        "past_lengths": contexts,
        "future_lengths": horizons,
        "static": np.array([one.static for one in windows], dtype=np.float64),
        "static_categories": np.array([one.static_codes for one in windows], dtype=np.int64),
        "statistics": np.array([one.statistics for one in windows], dtype=np.int64),
    }
    times = [np.empty((0, 1)) if one.time is None else one.time[:, None] for one in windows]
    if card["columns"]["time"] is not None:
        found["past_time"] = _padded(times, first, contexts, np.nan)[..., 0]
        found["future_time"] = _padded(times, middle, horizons, np.nan)[..., 0]
    numbers = [one.codes for one in windows]
    found["past_categories"] = _padded(numbers, first, contexts, 0)
    found["future_categories"] = _padded([one[:, :codes] for one in numbers], middle, horizons, 0)
    return {name: found[name] for name in card["inputs"]}


def _padded(rows: Sequence[Array], first: Array, lengths: Array, padding: float) -> Array:
    """Return (B, T, F): of each of B arrays (R, F) so many rows from its first on."""
    shape = len(rows), int(lengths.max()), rows[0].shape[1]
    found = np.full(shape, padding, dtype=rows[0].dtype)
    for place, (own, begin, length) in enumerate(zip(rows, first, lengths, strict=True)):
        found[place, :length] = own[begin : begin + length]
    return found

"""Scores of forecast tables that come in pieces: sums for each step and each series.

`docs/metrics.md` defines every metric.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from transformertf.data import FloatArray
from transformertf.errors import InputError
from transformertf.forecasts import check_columns, check_levels, known_rows, quantile_column
from transformertf.nn import relative_error, symmetric_error

# rows summed at once: enough that calls cost little, few enough for a core's cache
_BLOCK = 2**15
_BASELINES = ("naive", "seasonal_naive")
# metrics of some of the rows, and the sums whose rows they are
_PARTIAL = {"MAPE": "relative", "MASE": "scaled", **{f"skill_{name}": name for name in _BASELINES}}


class Scores:
    """Metrics of forecasts against actuals, pooled over rows.

    Memory is in proportion to the series and the steps, whatever the number of rows. The rows of
    one forecast (series and origin) must stand together, as in the table that predict writes:
    that is how forecasts are counted.

    Args:
        levels: quantile levels of the forecasts, rising; none for point forecasts.

    Raises:
        InputError: the levels do not rise, or are not between 0 and 1.
    """

    def __init__(self, levels: Sequence[float] = ()) -> None:
        self.levels = check_levels(levels)
        self._intervals = _intervals(self.levels)
        self._columns = ["prediction", *map(quantile_column, self.levels)]
        no_rows = pd.DataFrame(columns=[*self._columns, "actual"], dtype=np.float64)
        self._names = ["windows", *self._row_values(no_rows)]
        self._series: dict[Hashable, int] = {}
        self._by_series: FloatArray = np.zeros((len(self._names), 0))
        self._by_step: FloatArray = np.zeros((len(self._names), 0))
        self._waiting: list[pd.DataFrame] = []
        self._rows_waiting = 0
        self._last: tuple[Hashable, int] | None = None

    def update(self, forecasts: pd.DataFrame) -> None:
        """Add rows of a forecast table; those without an actual do not count.

        Args:
            forecasts: the columns `series`, `origin`, `step`, `prediction`, `actual` and one for
                each level; where there, also `naive` and `seasonal_naive` (forecasts of the
                baselines, NaN where none) and `scale` (MASE's denominator for the row's series,
                NaN where none).

        Raises:
            InputError: a column is missing, or a forecast is not finite.
        """
        check_columns(forecasts, ["series", "origin", "step", *self._columns, "actual"])
        self._waiting.append(forecasts.copy(deep=False))  # shared until either is written to
        self._rows_waiting += len(forecasts)
        if self._rows_waiting >= _BLOCK:
            self._sum()

    def merge(self, other: "Scores") -> None:
        """Add the sums of other forecasts, none of them counted here.

        Raises:
            InputError: the other scores are of other levels.
        """
        if other.levels != self.levels:
            raise InputError(
                f"scores of the levels {list(self.levels)} and {list(other.levels)} cannot be "
                "added: expected the same levels"
            )
        other._sum()
        self._add(list(other._series), other._by_series, other._by_step)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return all sums as arrays: what `from_state` takes, in another process too."""
        self._sum()
        return {
            "levels": np.array(self.levels),
            "series": pd.Index(list(self._series)).to_numpy(),
            "by_series": self._by_series.copy(),
            "by_step": self._by_step.copy(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Return scores from the arrays of `state`."""
        scores = cls(state["levels"].tolist())
        scores._add(state["series"].tolist(), state["by_series"], state["by_step"])
        return scores

    def overall(self) -> dict[str, float]:
        """Return each metric over all rows; those that cannot be computed are absent."""
        metrics = self._metrics(self._totals())
        values = {name: value.item() for name, value in metrics.items() if not np.isnan(value)}
        return {**values, **{name: int(values[name]) for name in ("windows", "rows")}}

    def by_step(self) -> pd.DataFrame:
        """Return the metrics at each step with actuals, `windows` being the forecasts there."""
        self._sum()
        metrics = self._metrics(self._sums(self._by_step))
        metrics["windows"] = metrics["rows"]
        steps = pd.RangeIndex(self._by_step.shape[1], name="step")
        return self._frame(metrics, steps)

    def by_series(self) -> pd.DataFrame:
        """Return the metrics of each series with actuals."""
        self._sum()
        metrics = self._metrics(self._sums(self._by_series))
        return self._frame(metrics, pd.Index(list(self._series), name="series"))

    @property
    def skipped(self) -> dict[str, int]:
        """Rows with an actual that a metric leaves out, for lack of what it divides by."""
        totals = self._totals()
        return {
            metric: int(totals["rows"] - totals[f"{name}_rows"])
            for metric, name in _PARTIAL.items()
        }

    def reliability(self) -> pd.DataFrame:
        """Return each level with the share of actuals at or below its quantile, and the rows."""
        totals = self._totals()
        below = np.array([totals[f"below_{level}"] for level in self.levels])
        rows = np.full(len(self.levels), int(totals["rows"]))
        observed = _ratio(below, rows.astype(np.float64))
        return pd.DataFrame({"level": self.levels, "observed": observed, "rows": rows})

    def intervals(self) -> pd.DataFrame:
        """Return for each central interval its nominal and found coverage, and its mean width."""
        metrics = self._metrics(self._totals())
        return pd.DataFrame(
            {
                "nominal": [float(nominal) for nominal in self._intervals],
                "coverage": [metrics[f"coverage_{n}"].item() for n in self._intervals],
                "width": [metrics[f"width_{n}"].item() for n in self._intervals],
            }
        )

    def _sum(self) -> None:
        """Bring the rows that wait into the sums."""
        if self._rows_waiting == 0:
            return
        block = known_rows(pd.concat(self._waiting, ignore_index=True), self._columns)
        self._waiting, self._rows_waiting = [], 0
        if block.empty:
            return
        codes, names = pd.factorize(block["series"])
        values = {"windows": self._starts(block, codes), **self._row_values(block)}
        assert list(values) == self._names
        step = block["step"].to_numpy(np.int64)
        self._add(
            names.tolist(),
            np.stack([np.bincount(codes, value) for value in values.values()]),
            np.stack([np.bincount(step, value) for value in values.values()]),
        )

    def _add(self, names: Sequence[Hashable], by_series: FloatArray, by_step: FloatArray) -> None:
        """Add sums: (K, S) of the series named, (K, T) of the first steps, from 0."""
        places = [self._series.setdefault(name, len(self._series)) for name in names]
        self._by_series = _padded(self._by_series, len(self._series))
        self._by_series[:, places] += by_series
        self._by_step = _padded(self._by_step, by_step.shape[1])
        self._by_step[:, : by_step.shape[1]] += by_step

    def _starts(self, block: pd.DataFrame, codes: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        """Return which rows (N,) begin another forecast than the row before."""
        # origins may be of any type, and missing: equal ones have equal hashes
        origin = pd.util.hash_pandas_object(block["origin"], index=False).to_numpy()
        first = (block["series"].iloc[0], int(origin[0]))
        begins = np.empty(len(block), dtype=np.bool_)
        begins[0] = first != self._last
        begins[1:] = (codes[1:] != codes[:-1]) | (origin[1:] != origin[:-1])
        self._last = (block["series"].iloc[-1], int(origin[-1]))
        return begins

    def _row_values(self, block: pd.DataFrame) -> dict[str, npt.NDArray[Any]]:
        """Return what is summed, (N,) each, but the starts of forecasts."""
        # before any difference: errors may be tiny beside the level
        names = block.columns.intersection([*self._columns, "actual", "scale", *_BASELINES])
        floats = {name: block[name].to_numpy(np.float64, na_value=np.nan) for name in names}
        actual, prediction = floats["actual"], floats["prediction"]
        none = np.full(len(block), np.nan)
        error, size = np.abs(prediction - actual), np.abs(actual)
        # copies: columns may be read-only, or stand in reverse
        points = [torch.from_numpy(values.copy()) for values in (prediction, actual)]
        relative, known = (part.numpy() for part in relative_error(*points))
        quantiles = [floats[quantile_column(level)] for level in self.levels]
        values: dict[str, npt.NDArray[Any]] = {
            "rows": np.ones(len(block)),
            "error": error,
            "square": error**2,
            "size": size,
            "symmetric": symmetric_error(*points)[0].numpy(),
            "loss": _doubled_pinball(actual, quantiles, self.levels) if quantiles else error,
            "relative": relative,
            "relative_rows": known,
            **_where_known("scaled", _ratio(error, floats.get("scale", none))),
        }
        for name in _BASELINES:
            baseline = np.abs(floats.get(name, none) - actual)
            values |= _where_known(name, baseline)
            values[f"{name}_square"] = values[name] ** 2
            values[f"{name}_own"] = np.where(np.isnan(baseline), 0, error)
        for level, quantile in zip(self.levels, quantiles, strict=True):
            values[f"below_{level}"] = actual <= quantile
        for nominal, (low, high) in self._intervals.items():
            lower, upper = quantiles[low], quantiles[high]
            values[f"inside_{nominal}"] = (lower <= actual) & (actual <= upper)
            values[f"width_{nominal}"] = upper - lower
        return values

    def _sums(self, table: FloatArray) -> dict[str, FloatArray]:
        return dict(zip(self._names, table, strict=True))

    def _totals(self) -> dict[str, FloatArray]:
        self._sum()
        return self._sums(self._by_step.sum(axis=1))

    def _metrics(self, sums: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Return metrics of sums, of one shape, NaN where they cannot be computed."""
        rows = sums["rows"]
        metrics = {
            "windows": sums["windows"],
            "rows": rows,
            "MAE": _ratio(sums["error"], rows),
            "RMSE": np.sqrt(_ratio(sums["square"], rows)),
            "MAPE": _ratio(sums["relative"], sums["relative_rows"]),
            "sMAPE": _ratio(sums["symmetric"], rows),
            "MASE": _ratio(sums["scaled"], sums["scaled_rows"]),
            "WQL": _ratio(sums["loss"], sums["size"]),
            "CRPS": _ratio(sums["loss"], rows),
        }
        for nominal in self._intervals:
            metrics[f"coverage_{nominal}"] = _ratio(sums[f"inside_{nominal}"], rows)
            metrics[f"width_{nominal}"] = _ratio(sums[f"width_{nominal}"], rows)
        for name in _BASELINES:
            metrics[f"skill_{name}"] = 1 - _ratio(sums[f"{name}_own"], sums[name])
            metrics[f"MAE_{name}"] = _ratio(sums[name], sums[f"{name}_rows"])
            metrics[f"RMSE_{name}"] = np.sqrt(_ratio(sums[f"{name}_square"], sums[f"{name}_rows"]))
        return {
            name: np.where(np.isfinite(found), found, np.nan) for name, found in metrics.items()
        }

    def _frame(self, metrics: Mapping[str, FloatArray], index: pd.Index) -> pd.DataFrame:
        """Return the metrics that there are overall, of the groups with rows."""
        frame = pd.DataFrame(metrics, index=index)[list(self.overall())]
        counts = {"windows": np.int64, "rows": np.int64}
        return frame[frame["rows"] > 0].astype(counts)


def _intervals(levels: Sequence[float]) -> dict[str, tuple[int, int]]:
    """Return by nominal coverage, rising, the places of the levels symmetric about 0.5."""
    found = {}
    for high, level in enumerate(levels):
        for low in range(high):
            if abs(levels[low] + level - 1) < 1e-9:
                found[f"{level - levels[low]:g}"] = (low, high)
    return found


def _doubled_pinball(
    actual: FloatArray, quantiles: Sequence[FloatArray], levels: Sequence[float]
) -> FloatArray:
    """Return twice the pinball loss (N,), the mean over levels."""
    loss = np.zeros_like(actual)
    for level, quantile in zip(levels, quantiles, strict=True):
        error = actual - quantile
        loss += np.maximum(level * error, (level - 1) * error)
    return 2 * loss / len(levels)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Return the quotient, NaN where the denominator is not above 0."""
    ratio = np.full(np.shape(numerator), np.nan)
    with np.errstate(over="ignore"):  # by a tiny actual: infinite
        np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio


def _where_known(name: str, values: FloatArray) -> dict[str, npt.NDArray[Any]]:
    """Return values with 0 for what is missing, and which are there."""
    known = ~np.isnan(values)
    return {name: np.where(known, values, 0), f"{name}_rows": known}


def _padded(table: FloatArray, groups: int) -> FloatArray:
    """Return the table (K, G) with at least `groups` columns, new ones 0."""
    return np.pad(table, ((0, 0), (0, max(groups - table.shape[1], 0))))

"""Forecasts of several forecasters held against each other, on the same windows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from transformertf.data import FloatArray, IntArray
from transformertf.errors import InputError, first_names
from transformertf.evaluation.page import Section
from transformertf.evaluation.scores import Scores
from transformertf.evaluation.significance import bootstrap_interval, diebold_mariano
from transformertf.forecasts import NAIVE, quantile_column, table_levels
from transformertf.plots import can_plot, comparison_figure

KEY = ["series", "origin", "step"]
COLUMNS = [*KEY, "time", "prediction"]
SUFFIXES = (".parquet", ".csv")
# by how much actuals of one row may differ, relative to their size: single precision
_SAME = 1e-5


@dataclass(frozen=True)
class Comparison:
    """What forecasters lost on the same windows.

    Attributes:
        scores: metrics, a row for each forecaster.
        pairs: each forecaster against the first: columns `difference` of the MAE, `low` and `high`
            of its 95 % interval, `statistic` and `p` of Diebold and Mariano.
        by_step: mean absolute error, a row for each step and a column for each forecaster.
        windows: that all have.
        left_out: windows that not all have, of each table.
        partial: naive baselines that have no forecast of some rows, and are no forecasters here.
        overlap: origins in a row whose windows share rows.
    """

    scores: pd.DataFrame
    pairs: pd.DataFrame
    by_step: pd.DataFrame
    windows: int
    left_out: Mapping[str, int]
    partial: Sequence[str]
    overlap: int

    def as_dict(self) -> dict[str, Any]:
        """Return everything as primitives, None for what is missing."""
        return {
            "scores": _records(self.scores),
            "pairs": _records(self.pairs),
            "by_step": _records(self.by_step),
            "windows": self.windows,
            "left_out": dict(self.left_out),
            "overlap": self.overlap,
        }

    def sections(self) -> list[Section]:
        """Return what a page shows."""
        lost = [f"{name}: {count}" for name, count in self.left_out.items() if count]
        text = f"Over the {self.windows:,} windows that all have, in units of the target."
        if lost:
            text += f" Windows left out, for not all have them: {', '.join(lost)}."
        return [
            Section("Metrics", text, table=self.scores),
            Section(
                "Differences",
                f"MAE of each less that of {self.scores.index[0]}: below 0 it errs less. `low` and "
                "`high` hold 95 % of a bootstrap over origins; p is that of Diebold and Mariano's "
                "test with the correction of Harvey, Leybourne and Newbold, of each by itself: of "
                "many comparisons some are small by chance. Windows of "
                f"{self.overlap} origins in a row share rows, which both take into account.",
                table=self.pairs,
            ),
            Section(
                "Error by horizon step",
                "How the error grows with the distance from the origin.",
                figure=comparison_figure(self.by_step) if can_plot() else None,
            ),
        ]


def read_forecasts(path: Path) -> pd.DataFrame:
    """Read a table of forecasts, of ours or of another tool in our columns.

    Raises:
        InputError: it cannot be read, or lacks a column.
    """
    try:
        if path.suffix == ".csv":  # in which names of series look like numbers
            table = pd.read_csv(path, dtype={"series": str})
        else:
            table = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # of pandas and pyarrow
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read as forecasts ({reason:.200})") from error
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise InputError(
            f"{path}: no column {missing[0]!r} among {', '.join(map(str, table.columns))}; "
            f"expected {', '.join(COLUMNS)}, and where there are actual, q0.1, ...; rename columns"
        )
    return table


def compare_tables(
    tables: Mapping[str, pd.DataFrame], scales: Mapping[str, float] | None = None
) -> Comparison:
    """Hold tables of forecasts against each other.

    Args:
        tables: by the name of the forecaster, the first one being what others are held against.
            Columns `series`, `origin`, `step`, `time`, `prediction`; where there, `actual`,
            quantiles and the naive baselines, which become forecasters of their own.
        scales: denominator of MASE, by series; none without.

    Raises:
        InputError: they have no row in common, no actual, or not the same one.
    """
    plain = {name: _plain(name, table) for name, table in tables.items()}
    common = _common(plain)
    own = {name: _at(table, common) for name, table in plain.items()}
    actual = _actual(own)
    levels = _levels(own.values())
    shared = {
        name: pd.DataFrame(
            {**common, "actual": actual, "prediction": table["prediction"]}
            | {quantile_column(level): table[quantile_column(level)] for level in levels
               if quantile_column(level) in table}
        )
        for name, table in {**own, **_baselines(own)}.items()
    }  # fmt: skip
    time = next(iter(own.values()))["time"]
    errors = {
        name: (table["prediction"] - actual).abs().to_numpy() for name, table in shared.items()
    }
    origin, overlap = _origins(common["origin"], time)
    first, *others = errors
    return Comparison(
        pd.DataFrame({name: _scores(table, scales) for name, table in shared.items()}).T,
        pd.DataFrame(
            {name: _pair(errors[name] - errors[first], origin, overlap) for name in others},
            index=["difference", "low", "high", "statistic", "p"],
        ).T,
        pd.DataFrame(errors).groupby(common["step"].to_numpy()).mean().rename_axis("step"),
        _windows(common),
        {name: _windows(table) - _windows(common) for name, table in plain.items()},
        [
            name
            for name in NAIVE
            if name not in shared and any(name in table for table in own.values())
        ],
        overlap,
    )


def _plain(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose keys compare with those of others, without rows that are not known.

    Raises:
        InputError: times are neither numbers nor time stamps, or a row stands there twice.
    """
    made: pd.DataFrame = table.assign(series=table["series"].astype(str))
    for column in ("origin", "time"):
        try:
            made[column] = _instants(made[column])
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{name}: column {column!r} holds {made[column].iloc[0]!r}; expected numbers, or "
                "time stamps such as 2024-05-06T23:00"
            ) from error
    twice = made.duplicated(KEY)
    if twice.any():
        row = made[twice].iloc[0]
        raise InputError(
            f"{name}: series {row['series']!r}, origin {row['origin']}, step {row['step']} is "
            "there twice; expected one row for each"
        )
    if "actual" in made and made["actual"].isna().all():  # of the future; another may know
        made = made.drop(columns="actual")
    numbers = made[[name for name in ("prediction", "actual") if name in made]]
    finite = np.isfinite(numbers.to_numpy(np.float64, na_value=np.nan)).all(axis=1)
    known: pd.DataFrame = made.loc[finite]
    return known


def _instants(stamps: pd.Series) -> pd.Series:
    """Return time stamps in UTC without a zone, as numbers or as they are."""
    if pd.api.types.is_string_dtype(stamps.dtype):
        stamps = pd.to_datetime(stamps, format="ISO8601", utc=True)
    if isinstance(stamps.dtype, pd.DatetimeTZDtype):
        stamps = stamps.dt.tz_convert("UTC").dt.tz_localize(None)
    if pd.api.types.is_datetime64_dtype(stamps.dtype):
        return stamps.astype("datetime64[ns]")
    return pd.Series(stamps.to_numpy(np.float64, na_value=np.nan), stamps.index)


def _common(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the keys (rows, 3) that all tables have, sorted.

    Raises:
        InputError: there are none.
    """
    (first, table), *others = tables.items()
    keys = table[KEY]
    for name, other in others:
        if other["origin"].dtype != keys["origin"].dtype:
            raise InputError(
                f"{name}: origins are {_kind(other)}, those of {first} {_kind(table)}; give "
                "forecasts of the same data"
            )
        keys = keys.merge(other[KEY], on=KEY)
        if keys.empty:
            raise InputError(
                f"{name}: no window in common with {first} (series "
                f"{first_names(list(other['series'].unique()))} and "
                f"{first_names(list(table['series'].unique()))}); give forecasts of the same "
                "series from the same origins"
            )
    return keys.sort_values(["origin", "series", "step"], ignore_index=True)


def _kind(table: pd.DataFrame) -> str:
    is_date = pd.api.types.is_datetime64_dtype(table["origin"].dtype)
    return "time stamps" if is_date else "numbers"


def _at(table: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table at keys, in their order."""
    return keys.merge(table, on=KEY, how="left", validate="one_to_one")


def _actual(tables: Mapping[str, pd.DataFrame]) -> pd.Series:
    """Return what happened, which all tables that say it must agree on.

    Raises:
        InputError: none says it, or two say other things.
    """
    known = {name: table["actual"] for name, table in tables.items() if "actual" in table}
    if not known:
        raise InputError("nothing to compare with: no table has a column 'actual'; add it to one")
    (first, actual), *others = known.items()
    actual = actual.astype(np.float64)
    for name, other in others:
        differs = ((other - actual).abs() > _SAME * actual.abs().clip(lower=_SAME)).to_numpy()
        if differs.any():
            row = tables[name].iloc[int(differs.argmax())]
            raise InputError(
                f"{name}: actual of series {row['series']!r}, origin {row['origin']}, step "
                f"{row['step']} is {row['actual']:g}, in {first} "
                f"{actual.iloc[int(differs.argmax())]:g}; give forecasts of the same data in the "
                "same units"
            )
    return actual


def _levels(tables: Any) -> list[float]:
    """Return the quantile levels that all tables with quantiles have."""
    found = [set(levels) for table in tables if (levels := table_levels(table.columns))]
    return sorted(set.intersection(*found)) if found else []


def _baselines(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the naive forecasts that tables bring along, where they have all rows."""
    found = {}
    for table in tables.values():
        for name in NAIVE:
            if name in table and table[name].notna().all() and name not in tables:
                found[name] = pd.DataFrame({"prediction": table[name]})
    return found


def _scores(table: pd.DataFrame, scales: Mapping[str, float] | None) -> dict[str, float]:
    """Return the metrics of a table; the pinball loss and coverage only of quantiles."""
    levels = table_levels(table.columns)
    scores = Scores(levels)
    scale = table["series"].map(dict(scales or {})).astype(np.float64)
    # the rows of a window stand together
    order = ["series", "origin", "step"]
    scores.update(table.assign(scale=scale).sort_values(order, ignore_index=True))
    found = scores.overall()
    own = ["MAE", "RMSE", "MASE", *(["CRPS"] if levels else [])]
    own += [name for name in found if name.startswith("coverage_")]
    return {name: found[name] for name in own if name in found}


def _origins(origin: pd.Series, time: pd.Series) -> tuple[IntArray, int]:
    """Return the number of each row's origin, in their order, and how many windows overlap."""
    codes, stamps = pd.factorize(origin, sort=True)
    codes = np.where(codes < 0, 0, codes).astype(np.int64)  # a sequence that starts its series
    ends = time.groupby(codes).max()
    behind = np.asarray(stamps.searchsorted(ends.to_numpy())) - ends.index.to_numpy()
    return codes, max(1, int(behind.max()))


def _pair(
    difference: FloatArray, origin: IntArray, overlap: int
) -> tuple[float, float, float, float, float]:
    """Return the mean difference of errors (rows,), its interval, the statistic and p.

    Of each origin the sum counts, so that the mean over origins is that over rows.
    """
    sums = np.bincount(origin, difference)
    by_origin = sums * len(sums) / len(difference)
    interval = bootstrap_interval(by_origin, overlap)
    return float(difference.mean()), *interval, *diebold_mariano(by_origin, overlap)


def _windows(table: pd.DataFrame) -> int:
    return len(table[["series", "origin"]].drop_duplicates())


def _records(frame: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Return the rows by their name, None for what is missing."""
    return {
        str(name): {str(key): None if pd.isna(value) else float(value)
                    for key, value in row.items()}
        for name, row in frame.iterrows()
    }  # fmt: skip

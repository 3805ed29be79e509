"""What an evaluation found: metrics over all, by step and by series, and some of its forecasts."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow.parquet

from transformertf.evaluation.scores import Scores
from transformertf.wording import number

# series, and forecasts of each, to draw
SERIES, WINDOWS = 3, 6
DIGITS = 5  # of metrics


@dataclass(frozen=True, repr=False)
class Evaluation(Mapping[str, float]):
    """Scores of forecasts against what happened; as a mapping, the metrics over all.

    `docs/metrics.md` defines every metric.

    Attributes:
        overall: metrics over all rows.
        by_step: metrics at each horizon step, indexed by step.
        by_series: metrics of each series, indexed by its name.
        intervals: nominal and found coverage, and mean width, of each central interval.
        reliability: share of actuals at or below each quantile.
        skipped: rows with an actual that a metric leaves out.
        settings: how the forecasts were made.
        sample: rows of the forecast table, to draw: a few forecasts of the first series that do
            not overlap.
    """

    overall: Mapping[str, float]
    by_step: pd.DataFrame
    by_series: pd.DataFrame
    intervals: pd.DataFrame
    reliability: pd.DataFrame
    skipped: Mapping[str, int]
    settings: Mapping[str, Any] = field(default_factory=dict)
    sample: pd.DataFrame = field(default_factory=pd.DataFrame)

    @classmethod
    def of(
        cls,
        pieces: Iterable[pd.DataFrame],
        levels: Sequence[float],
        scales: Mapping[str, float],
        settings: Mapping[str, Any],
    ) -> Self:
        """Score a forecast table that comes in pieces.

        Args:
            pieces: rows of the table, in its order, with baselines as `Scores.update` takes them.
            levels: levels of its quantiles.
            scales: denominator of MASE, by series.
            settings: how the forecasts were made.
        """
        scores, sample = Scores(levels), _Sample()
        for piece in pieces:
            scores.update(piece.assign(scale=piece["series"].map(scales).astype(np.float64)))
            sample.add(piece)
        return cls(
            scores.overall(),
            scores.by_step(),
            scores.by_series(),
            scores.intervals(),
            scores.reliability(),
            scores.skipped,
            settings,
            sample.frame(),
        )

    def __getitem__(self, metric: str) -> float:
        """Return a metric over all rows."""
        return self.overall[metric]

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the metrics."""
        return iter(self.overall)

    def __len__(self) -> int:
        """Return the number of metrics."""
        return len(self.overall)

    @property
    def title(self) -> str:
        """What the metrics are of."""
        names = {"stage": "", "origin": "origin ", "horizon": "horizon ", "refit": "folds "}
        told = [f"{name}{self.settings[key]}" for key, name in names.items()
                if self.settings.get(key) not in (None, 1)]  # fmt: skip
        return ", ".join([f"{self.settings.get('target')} in original units", *told])

    def shown(self) -> list[tuple[str, str]]:
        """Return the metrics and their values as users read them."""
        return [
            (name, f"{value:,}" if isinstance(value, int) else number(value, DIGITS))
            for name, value in self.items()
        ]

    def __repr__(self) -> str:
        """Say what it is, in a line."""
        target, windows = self.settings.get("target"), self.overall.get("windows")
        error = number(self.overall.get("MAE", np.nan), DIGITS)
        return f"Evaluation({target}, {windows} windows, MAE {error})"

    def __str__(self) -> str:
        """Return a table of the metrics over all."""
        rows = self.shown()
        left, right = (max(len(row[side]) for row in rows) for side in (0, 1))
        lines = [f"{name:<{left}}  {value:>{right}}" for name, value in rows]
        return "\n".join([self.title, *lines])

    def _repr_html_(self) -> str:
        """Return the same table, for a notebook."""
        return html_table(self.title, self.shown())

    def as_json(self) -> str:
        """Return the metrics over all, `by_step`, `by_series`, `skipped` and `settings` as JSON."""
        whole = {
            **self.overall,
            "by_step": _records(self.by_step),
            "by_series": _records(self.by_series),
            "reliability": _records(self.reliability.set_index("level")),
            "skipped": dict(self.skipped),
            "settings": dict(self.settings),
        }
        return json.dumps(whole, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def html_table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Return names and values as a small table of a notebook."""
    cells = "".join(
        f"<tr><td>{escape(name)}</td><td style='text-align: right'>{escape(value)}</td></tr>"
        for name, value in rows
    )
    return f"<table><caption>{escape(title)}</caption>{cells}</table>"


def read_pieces(path: Path) -> Iterator[pd.DataFrame]:
    """Read a forecast table piece by piece; of a csv file dates stay text."""
    if path.suffix == ".csv":
        with pd.read_csv(path, dtype={"series": str}, chunksize=2**16) as file:
            yield from file
        return
    with pyarrow.parquet.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number).to_pandas()


def sample_of(pieces: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return rows of a forecast table that comes in pieces, to draw; see `Evaluation.sample`."""
    sample = _Sample()
    for piece in pieces:
        sample.add(piece)
    return sample.frame()


class _Sample:
    """Keeps a few forecasts of the first series, none of which overlaps another."""

    def __init__(self) -> None:
        self._kept: list[pd.DataFrame] = []
        self._ends: dict[str, list[Any]] = {}

    def add(self, piece: pd.DataFrame) -> None:
        """Keep what is wanted of a piece."""
        for name in piece["series"].unique():
            if len(self._ends) == SERIES and name not in self._ends:
                return
            ends = self._ends.setdefault(name, [])
            own = piece[piece["series"] == name]
            if ends:
                own = own[own["origin"] >= ends[-1]]
            while len(ends) < WINDOWS and len(own):
                origin = own["origin"]
                # of a sequence that starts its series the origin is missing
                window = own[origin.isna() if pd.isna(origin.iloc[0]) else origin == origin.iloc[0]]
                self._kept.append(window)
                ends.append(window["time"].iloc[-1])
                own = own[origin >= ends[-1]]

    def frame(self) -> pd.DataFrame:
        """Return the rows that were kept."""
        return pd.concat(self._kept, ignore_index=True) if self._kept else pd.DataFrame()


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows with their index, None for what is missing."""
    records = frame.reset_index().to_dict("records")
    return [
        {str(key): None if pd.isna(value) else value for key, value in record.items()}
        for record in records
    ]

"""Tables for tests of how they are read: of several series, in several files, in small pieces."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

from transformertf.data.columns import Columns
from transformertf.data.reading.filling import fill_panel
from transformertf.data.reading.panel import Rules, open_all
from transformertf.data.reading.tables import Table
from transformertf.data.series import Series

# every role there is
COLUMNS = Columns(("a",), ("b",), "y", "t", ("store",), ("area",), ("k",), ("p",), ("region",))
TEXTS = ("x", "007", "7", "NA", "a b")


def time_of(series: Series) -> Any:
    """Return the time of a series that has some, an index of the kind that the caller expects."""
    assert series.time is not None
    return series.time


def make_rows(store: str, rows: int, seed: int = 0) -> pd.DataFrame:
    """Return the rows of one series."""
    generator = np.random.default_rng([seed, rows])
    reals = {name: generator.normal(size=rows) for name in ("a", "b", "y")}
    return pd.DataFrame(
        {
            "store": store,
            "t": generator.integers(1, 4, rows).cumsum() - seed,
            **reals,
            "k": generator.choice(TEXTS, rows),
            "p": generator.integers(-2, 3, rows),
            "area": seed / 7,
            "region": TEXTS[seed % len(TEXTS)],
        }
    )


@st.composite
def panels(draw: st.DrawFn, *, sorted_by_time: bool = True) -> list[pd.DataFrame]:
    """Return files of up to four series, whose rows are mixed and cut as they may be.

    Args:
        draw: draws.
        sorted_by_time: the rows of a series rise in time, and in one file after the other.
    """
    lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    files = draw(st.integers(1, 3))
    singles = [make_rows(f"s{n}", length, n) for n, length in enumerate(lengths)]
    parts = []
    for single in singles:
        cuts = draw(st.lists(st.integers(0, len(single)), min_size=files - 1, max_size=files - 1))
        order = draw(st.permutations(range(files)))
        parts.append(single.assign(file=np.repeat(order, np.diff([0, *sorted(cuts), len(single)]))))
    whole = pd.concat(parts, ignore_index=True)
    series = whole["store"].str[1:].astype(int).to_numpy()
    if draw(st.booleans()):
        taken = [iter(np.flatnonzero(series == n).tolist()) for n in range(len(lengths))]
        whole = whole.iloc[[next(taken[n]) for n in draw(st.permutations(series.tolist()))]]
    if not sorted_by_time:
        whole = whole.iloc[draw(st.permutations(range(len(whole))))]
        whole["file"] = draw(st.permutations(whole["file"].tolist()))
    found = [whole[whole["file"] == n].drop(columns="file") for n in range(files)]
    return [frame.reset_index(drop=True) for frame in found if len(frame)]


def write(frames: Sequence[pd.DataFrame], folder: Path, ending: str) -> list[str]:
    """Write a file of each frame, and return their paths."""
    paths = [str(folder / f"{n}.{ending}") for n in range(len(frames))]
    for frame, path in zip(frames, paths, strict=True):
        if ending == "csv":
            frame.to_csv(path, index=False)
        else:
            getattr(frame, f"to_{ending}")(path)
    return paths


@contextlib.contextmanager
def piece_of(rows: int) -> Iterator[None]:
    """Read in pieces of so many rows."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("feather_files", "parquet_files", "checks"):
            patch.setattr(f"transformertf.data.reading.{module}.PIECE", rows)
        # rows of text are about as long
        patch.setattr("transformertf.data.reading.csv_files.BLOCK", 8 * rows)
        yield


def read(spec: str | list[str], columns: Columns = COLUMNS, **rules: Any) -> list[Series]:
    """Read files into series."""
    tables, names = open_all(spec, "train_df_paths", columns, Rules(**rules))
    return fill_panel(tables, columns, names, Rules(**rules)).series()


def series_of(*frames: pd.DataFrame, columns: Columns = COLUMNS, **rules: Any) -> list[Series]:
    """Read frames as if they were files 0.csv, 1.csv, ..."""
    tables = [Table.of_frame(f"{n}.csv", frame) for n, frame in enumerate(frames)]
    return fill_panel(
        tables, columns, [f"{n}" for n in range(len(frames))], Rules(**rules)
    ).series()


def texts(series: Series, column: int) -> list[str | None]:
    """Return a categorical column as text."""
    codes = series.categories[column]
    return [None if code < 0 else codes.texts[code] for code in codes.codes.tolist()]

"""Tables of odd layout, names and ids: refused in one clear line, or the numbers are right."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.robustness.frames import (
    OPTIONS,
    REALS,
    ROWS,
    Tried,
    assert_same,
    examples,
    make_frame,
    outcome,
)
from transformertf.batch import Batch


def labelled(*names: object) -> pd.DataFrame:
    frame = make_frame()
    frame.columns = pd.Index(names, dtype=object)
    return frame


# tables of another layout; the options that name their columns; a message, or the same batches
LAYOUTS: dict[str, tuple[Callable[[], pd.DataFrame], dict[str, Any], str | None]] = {
    "no rows": (lambda: make_frame()[:0], {}, "the frame: no rows"),
    "no columns": (pd.DataFrame, {}, "no column 'known'; known: none"),
    "rows without columns": (lambda: pd.DataFrame(index=range(9)), {}, "no column 'known'"),
    "one row": (lambda: make_frame()[:1], {}, "series 'frame' is too short: 1 rows"),
    "two rows": (lambda: make_frame()[:2], {}, "series 'frame' is too short: 2 rows"),
    "too few rows": (lambda: make_frame()[:7], {}, "is too short: 5 rows, expected at least 4 of "),
    "a column twice": (
        lambda: pd.concat([make_frame(), make_frame()[["known"]] + 1], axis=1),
        {},
        "the frame: 2 columns are named 'known'; rename all but one",
    ),
    "the target twice": (
        lambda: pd.concat([make_frame(), make_frame()[["target"]]], axis=1),
        {},
        "2 columns are named 'target'",
    ),
    "a column that is not read twice": (
        lambda: pd.concat(
            [make_frame().assign(a=1), make_frame()[["t"]].set_axis(["a"], axis=1)], axis=1
        ),
        {},
        None,
    ),
    "labels that look alike": (
        lambda: labelled("t", "1", "past", "target").assign(**{"x": 0.0}).rename(columns={"x": 1}),
        {"known_covariates": "1"},
        "2 columns are named '1'",
    ),
    "integer labels": (
        lambda: labelled(0, 1, 2, 3),
        {
            "time_column": "0",
            "known_covariates": "1",
            "known_past_covariates": "2",
            "target_covariate": "3",
        },
        None,
    ),
    "labels of dates": (
        lambda: labelled("t", pd.Timestamp("2024-01-01"), "past", "target"),
        {"known_covariates": "2024-01-01 00:00:00"},
        None,
    ),
    "labels of two levels": (
        lambda: pd.concat({"a": make_frame()}, axis=1),
        {},
        "no column 'known'; known: ('a', 'known')",
    ),
    "labels of two levels as text": (
        lambda: pd.concat({"a": make_frame()}, axis=1),
        {
            "time_column": "('a', 't')",
            "known_covariates": "('a', 'known')",
            "known_past_covariates": "('a', 'past')",
            "target_covariate": "('a', 'target')",
        },
        None,
    ),
    "time as the index": (
        lambda: make_frame().set_index("t"),
        {},
        "no column 't', which is its index; give frame.reset_index()",
    ),
    "an index of one value": (lambda: make_frame().set_axis([0] * ROWS), {}, None),
    "an index that falls": (lambda: make_frame().set_axis(range(ROWS)[::-1]), {}, None),
    "an index of NaN": (lambda: make_frame().set_axis([np.nan] * ROWS), {}, None),
    "an index of two levels": (
        lambda: make_frame().set_axis(pd.MultiIndex.from_product([["a"], range(ROWS)])),
        {},
        None,
    ),
    "columns in another order": (lambda: make_frame()[["target", "past", "t", "known"]], {}, None),
    "a slice with steps": (
        lambda: make_frame(2 * ROWS).assign(
            **{name: make_frame()[name].repeat(2).to_numpy() for name in ("t", *REALS)}
        )[::2],
        {},
        None,
    ),
}


@pytest.mark.parametrize(("make", "options", "message"), LAYOUTS.values(), ids=LAYOUTS)
def test_the_layout_of_a_table(
    tried: Tried,
    clean: list[Batch],
    make: Callable[[], pd.DataFrame],
    options: dict[str, Any],
    message: str | None,
) -> None:
    found = outcome(make(), tried, **options)
    if message is None:
        assert_same(found, clean)
    else:
        assert message in found


NAMES = [
    "a.b", 'with "quotes"', "it's", "Größe µ", "with space", "[m/s]", "a/b", "new\nline", "tab\t",
    "n" * 300, "series", "0", "time", "prediction", "position", "{x}", "%s", "nan",
    "None", "a,b", "😀", "=1+1", "*", "__index_level_0__", " lead", "-1e5", "#1", "a;b",
]  # fmt: skip
ROLES = {"known": "known_covariates", "target": "target_covariate", "t": "time_column"}


@pytest.mark.parametrize("column", ROLES)
@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:9]))
def test_columns_may_have_any_name(
    tried: Tried, clean: list[Batch], tmp_path: Path, column: str, name: str
) -> None:
    frame = make_frame().rename(columns={column: name})
    assert_same(outcome(frame, tried, **{ROLES[column]: name}), clean)
    if column == "known":
        for ending in ("csv", "parquet", "feather"):
            path = tmp_path / f"run.{ending}"
            frame.to_csv(path, index=False) if ending == "csv" else getattr(frame, f"to_{ending}")(
                path
            )
            assert_same(outcome(path, tried, known_covariates=name), clean)


def test_a_column_may_not_be_called_as_the_time_feature_is(
    tried: Tried, clean: list[Batch]
) -> None:
    for column in ("known", "target"):
        frame = make_frame().rename(columns={column: "__time__"})
        line = outcome(frame, tried, **{ROLES[column]: "__time__"})
        assert "column '__time__' has the name that the time feature has" in line
    frame = make_frame().rename(columns={"t": "__time__"})
    assert_same(outcome(frame, tried, time_column="__time__"), clean)


# ids of a first and a second series; a message, or the names they have
IDS: dict[str, tuple[Any, Any, str | list[str]]] = {
    "missing": ("a", None, f"has {ROWS} missing values, first in row {ROWS}"),
    "NaN": (1.0, np.nan, f"has {ROWS} missing values"),
    "empty text": ("a", "", f"has {ROWS} missing values"),
    "a number and text of it": (1, "1", "series '1': time column 't' does not rise"),
    "mixed": ("a", 1, ["1", "a"]),
    "slashes": ("a/b", "a", ["a", "a/b"]),
    "blanks": ("a", "a ", ["a", "a "]),
    "line breaks": ("a", "a\nb", ["a", "a\nb"]),
    "dots": ("..", ".", [".", ".."]),
    "long": ("x" * 5000, "y", ["x" * 5000, "y"]),
    "text of missing values": ("nan", "NA", ["NA", "nan"]),
    "booleans": (True, False, ["False", "True"]),
    "days": (datetime.date(2024, 1, 1), datetime.date(2024, 1, 2), ["2024-01-01", "2024-01-02"]),
    "large integers": (10**40, 1, ["1", str(10**40)]),
    "fractions": (1.5, 2.5, "holds 1.5, expected text, whole numbers, booleans or dates; convert"),
    "infinite": (np.inf, 1.0, "holds inf, expected text"),
    "bytes": (b"a", b"b", "holds b'a', expected text"),
    "lists": (["a"], ["b"], "holds ['a'], expected text"),
    "dictionaries": ({"a": 1}, {"a": 2}, "holds {'a': 1}, expected text"),
    "decimals": (Decimal(1), Decimal(2), ["1", "2"]),
    "parts of decimals": (Decimal("1.5"), Decimal(2), "holds Decimal('1.5'), expected text"),
    "lengths of time": (pd.Timedelta("1h"), pd.Timedelta("2h"), "holds Timedelta("),
    "complex": (1j, 2j, "holds 1j, expected text"),
    "UUIDs": (UUID(int=1), UUID(int=2), "holds UUID("),
}


@pytest.mark.parametrize(("first", "second", "expected"), IDS.values(), ids=IDS)
def test_ids_tell_series_apart_or_are_refused(
    tried: Tried, clean: list[Batch], first: Any, second: Any, expected: str | list[str]
) -> None:
    frame = pd.concat([make_frame(), make_frame()], ignore_index=True)
    frame["id"] = pd.Series([first] * ROWS + [second] * ROWS)
    found = outcome(frame, tried, series_id="id")
    if isinstance(expected, str):
        assert expected in found
        return
    assert not isinstance(found, str), found
    # two series of the same rows: both halves of the first batch are that of one
    windows = len(clean[0]["series"])
    for half in (slice(0, windows), slice(windows, 2 * windows)):
        assert (found[0]["encoder_input"][half] - clean[0]["encoder_input"]).abs().max() < 1e-5
    assert sorted(map(str, (first, second))) == expected


@examples(0.4)
@given(name=st.text(max_size=20), role=st.sampled_from(sorted(ROLES)))
def test_any_name_is_a_name(tried: Tried, clean: list[Batch], name: str, role: str) -> None:
    if name in OPTIONS.values() or name in ("known", "past"):
        return
    frame = make_frame().rename(columns={role: name})
    assert_same(outcome(frame, tried, **{ROLES[role]: name}), clean)


@examples(0.3)
@given(rows=st.integers(0, 16), context=st.integers(1, 8), horizon=st.integers(1, 8))
def test_any_number_of_rows_is_enough_or_refused(
    tried: Tried, rows: int, context: int, horizon: int
) -> None:
    lengths = {"ctxt_seq_len": context, "tgt_seq_len": horizon}
    found = outcome(make_frame(rows), tried, **lengths, val_df_paths=None)
    if rows * 0.3 >= horizon + 1 and rows * 0.7 >= context + horizon:
        assert not isinstance(found, str), found

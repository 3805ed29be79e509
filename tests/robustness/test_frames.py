"""Tables that are not what they should be: refused in one clear line, or the numbers are right."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.robustness.frames import (
    REALS,
    ROWS,
    Tried,
    assert_same,
    examples,
    make_frame,
    outcome,
)
from transformertf.batch import Batch

HALF = ROWS // 2


def hours(**options: Any) -> pd.DatetimeIndex:
    return pd.date_range("2024-03-30", periods=ROWS, freq="h", **options)


def thousandths(column: pd.Series) -> list[Decimal]:
    return [Decimal(f"{value:.3f}") for value in column]


# types that hold the same numbers
SAME: dict[str, Callable[[pd.Series], Any]] = {
    "objects": lambda column: column.astype(object),
    "decimals": lambda column: [Decimal(str(value)) for value in column],
    "categories": lambda column: column.astype("category"),
    "nullable": lambda column: column.astype("Float64"),
    "arrow": lambda column: column.astype("double[pyarrow]"),
    "sparse": lambda column: pd.arrays.SparseArray(column.to_numpy()),
    "long doubles": lambda column: column.astype("longdouble"),
    "objects and floats": lambda column: pd.Series([*map(np.float32, column[:1]), *column[1:]]),
}
# types that hold other numbers
OTHER: dict[str, Callable[[pd.Series], Any]] = {
    "half floats": lambda column: column.astype("float16"),
    "small integers": lambda column: np.linspace(-128, 127, ROWS).astype(np.int8),
    "large unsigned integers": lambda _: np.arange(ROWS, dtype=np.uint64) + np.uint64(2**64 - ROWS),
    "largest integers": lambda _: np.arange(ROWS) + (2**63 - ROWS),
    "nullable integers": lambda _: pd.array(range(ROWS), dtype="Int64"),
    "arrow decimals": lambda column: pd.Series(
        thousandths(column), dtype=pd.ArrowDtype(pa.decimal128(20, 3))
    ),
    "numbers of 1e39": lambda column: column * 1e39,
    "numbers of 1e-300": lambda column: column * 1e-300,
    "smallest numbers": lambda _: np.arange(ROWS) * 5e-324,
}
# types that hold no numbers, and what is found of them
NONE: dict[str, tuple[Callable[[pd.Series], Any], str]] = {
    "text": (lambda _: ["off"] * ROWS, "'off' in row 0 "),
    "text of numbers": (lambda column: column.astype(str), "in row 0 "),
    "one text of a number": (lambda column: [*column[:5], "0.5", *column[6:]], "'0.5' in row 5 "),
    "one word": (lambda column: [*column[:5], "off", *column[6:]], "'off' in row 5 "),
    "empty text": (lambda column: [*column[:5], "", *column[6:]], "'' in row 5 "),
    "words as categories": (lambda _: pd.Categorical(["a", "b"] * HALF), "'a' in row 0 "),
    "complex": (lambda column: column.astype(complex), "j) in row 0 "),
    "dates": (lambda _: hours(), "Timestamp('2024-03-30 00:00:00') in row 0 "),
    "dates in a zone": (lambda _: hours(tz="Europe/Zurich"), "Timestamp('2024-03-30 00:00:00+01"),
    "days": (lambda _: [datetime.date(2024, 1, 1)] * ROWS, "datetime.date(2024, 1, 1) in row 0 "),
    "lengths of time": (lambda _: hours() - hours()[0], "Timedelta('0 days 00:00:00') in row 0 "),
    "periods": (lambda _: hours().to_period("h"), "Period('2024-03-30 00:00', 'h') in row 0 "),
    "intervals": (lambda _: pd.interval_range(0, ROWS), "Interval(0, 1, closed='right') in row 0 "),
    "lists": (lambda _: [[1.0]] * ROWS, "[1.0] in row 0 "),
    "dictionaries": (lambda _: [{"a": 1.0}] * ROWS, "{'a': 1.0} in row 0 "),
    "arrays": (lambda _: [np.ones(2)] * ROWS, "array([1., 1.]) in row 0 "),
    "bytes": (lambda _: [b"1"] * ROWS, "b'1' in row 0 "),
}
# values that are no finite number
BAD: dict[str, tuple[Callable[[pd.Series], Any], str]] = {
    "NaN": (
        lambda column: column.where(column.index != 7),
        "1 missing (NaN) value, first in row 7",
    ),
    "None": (lambda column: [*column[:7], None, *column[8:]], "1 missing (NaN) value"),
    "pd.NA": (lambda column: pd.array([*range(7), pd.NA, *range(8, ROWS)], "Int64"), "1 missing"),
    "no category": (
        lambda column: column.where(column.index != 7).astype("category"),
        "1 missing (NaN) value, first in row 7",
    ),
    "nothing but NaN": (lambda _: np.nan, f"{ROWS} missing (NaN) values, first in row 0, 1, 2 "),
    "nothing but None": (lambda _: [None] * ROWS, f"{ROWS} missing (NaN) values"),
    "inf": (
        lambda column: column.where(column.index != 7, np.inf),
        "1 infinite value, first in row 7",
    ),
    "-inf": (lambda column: column.where(column.index != 7, -np.inf), "1 infinite value"),
    "a number of 400 digits": (
        lambda column: pd.Series([*column[:7], 10**400, *column[8:]], dtype=object),
        "a number beyond those of float64 in row 7 ",
    ),
    "1e300": (lambda column: column * 1e300, "too large for float64, expected at most 1e+150"),
    "1e160": (lambda column: column * 1e160, "in row 0 of the series (counted from 0): too large"),
    "largest doubles": (lambda _: [1.7e308, -1.7e308] * HALF, "holds 1.7e+308 in row 0 "),
    "one 1e300": (lambda column: column.where(column.index != 7, 1e300), "holds 1e+300 in row 7 "),
    "1e300 after training": (
        lambda column: column.where(column.index != 30, 1e300),
        "once scaled: too large for float32, expected at most 1e+16; correct it",
    ),
    "FLT_MAX after training": (
        lambda column: column.where(column.index != 30, -3.4028235e38),
        "holds -3.4028235e+38 in row 30 of the series (counted from 0)",
    ),
}
# what is no time, or does not rise
TIMES: dict[str, tuple[Callable[[pd.Series], Any], str]] = {
    "text": (lambda _: ["soon"] * ROWS, "holds 'soon' in row 0 "),
    "one word among numbers": (
        lambda t: [*t[:5].astype(str), "x", *t[6:].astype(str)],
        "'x' in row 5 ",
    ),
    "numbers and dates": (lambda _: [hours()[0], *range(1, ROWS)], "Timestamp('2024-03-30"),
    "dates and a number": (
        lambda _: pd.Series([*hours()[:-1], 7], dtype=object),
        f"7 in row {ROWS - 1} ",
    ),
    "booleans": (lambda _: [False, True] * HALF, "holds False in row 0 "),
    "complex": (lambda t: t.astype(complex), "holds 0j in row 0 "),
    "lengths of time": (
        lambda _: hours() - hours()[0],
        "holds Timedelta('0 days 00:00:00') in row 0 ",
    ),
    "times of day": (
        lambda _: [f"{n // 60:02}:{n % 60:02}:00" for n in range(ROWS)],
        "'00:00:00' in row 0",
    ),
    "lists": (lambda _: [[1.0]] * ROWS, "holds [1.0] in row 0 "),
    "NaN": (lambda t: t.where(t.index != 7), "holds nan in row 7 "),
    "inf": (lambda t: t.where(t.index < ROWS - 1, np.inf), f"holds inf in row {ROWS - 1} "),
    "NaT": (lambda _: hours().where(np.arange(ROWS) != 7), "holds NaT in row 7 "),
    "nothing but NaT": (lambda _: pd.NaT, "holds NaT in row 0 "),
    "repeats": (
        lambda t: t.where(t.index != 7, 3.0),
        "row 7 (counted from 0): 3.0 after 3.0; drop repeats",
    ),
    "falls": (lambda t: t[::-1].to_numpy(), "set sort: true"),
    "one stamp": (lambda _: 3.0, "row 1 (counted from 0): 3.0 after 3.0; drop repeats"),
    "a year mistyped": (
        lambda _: hours().where(np.arange(ROWS) != 7, pd.Timestamp("2204")),
        "sort: true",
    ),
    "integers without end": (
        lambda _: np.linspace(-(2**63), 2**63 - 2048, ROWS).astype(np.int64),
        "farther than int64 reaches; correct the time stamps",
    ),
    "nanoseconds without end": (
        lambda _: pd.DatetimeIndex(["1677-10-01", *hours()[1:-1], "2262-04-01"]).as_unit("ns"),
        "goes from 1677-10-01 00:00:00 to 2262-04-01 00:00:00, farther than int64 reaches",
    ),
    "largest doubles": (
        lambda _: np.linspace(-1, 1, ROWS) * 1.79e308,
        "farther than float64 reaches; correct",
    ),
    "a last stamp of 1e30": (
        lambda t: t.where(t.index < ROWS - 1, 1e30),
        "correct the time stamps",
    ),
    "a number of 400 digits": (lambda _: [*range(ROWS - 1), 10**400], "beyond those of float64"),
}


def spoilt(name: str, change: Callable[[pd.Series], Any]) -> pd.DataFrame:
    frame = make_frame()
    made = change(frame[name])
    frame[name] = made.to_numpy() if isinstance(made, pd.Series) and made.dtype == object else made
    return frame


@pytest.mark.parametrize("name", ["t", *REALS])
@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_the_type_of_numbers_does_not_matter(
    tried: Tried, clean: list[Batch], name: str, change: Callable[[pd.Series], Any]
) -> None:
    assert_same(outcome(spoilt(name, change), tried), clean)


@pytest.mark.parametrize("name", REALS)
@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_numbers_of_any_size_are_scaled(
    tried: Tried, name: str, change: Callable[[pd.Series], Any]
) -> None:
    found = outcome(spoilt(name, change), tried)
    assert not isinstance(found, str), found
    assert all(float(batch["encoder_input"].abs().max()) < 100 for batch in found)


@pytest.mark.parametrize("name", REALS)
@pytest.mark.parametrize(("change", "message"), NONE.values(), ids=NONE)
def test_what_is_no_number_is_told_with_its_row(
    tried: Tried, name: str, change: Callable[[pd.Series], Any], message: str
) -> None:
    line = outcome(spoilt(name, change), tried)
    assert f"the frame: column {name!r} must be numeric, found " in line
    assert message in line


@pytest.mark.parametrize("name", REALS)
@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_numbers_to_work_with_are_finite(
    tried: Tried, name: str, change: Callable[[pd.Series], Any], message: str
) -> None:
    line = outcome(spoilt(name, change), tried)
    assert message in line
    assert f"column {name!r}" in line


@pytest.mark.parametrize(("change", "message"), TIMES.values(), ids=TIMES)
def test_what_is_no_time_is_told(
    tried: Tried, change: Callable[[pd.Series], Any], message: str
) -> None:
    line = outcome(spoilt("t", change), tried)
    assert message in line
    assert "'t'" in line


# stamps that stand for the same distances
STAMPS: dict[str, Callable[[], Any]] = {
    "small integers": lambda: np.arange(ROWS, dtype=np.int8) * 7 - 126,
    "small unsigned integers": lambda: np.arange(ROWS, dtype=np.uint8) * 7,
    "largest unsigned integers": lambda: np.arange(ROWS, dtype=np.uint64) + np.uint64(2**64 - ROWS),
    "smallest integers": lambda: np.arange(ROWS) + np.iinfo(np.int64).min,
    "half floats": lambda: np.arange(ROWS, dtype=np.float16),
    "floats of 1e-300": lambda: np.arange(ROWS) * 1e-300,
    "floats of 1e300": lambda: np.arange(ROWS) * 1e300,
    "integers as objects": lambda: pd.Series(range(ROWS), dtype=object),
    "decimals": lambda: [Decimal(row) / 2 for row in range(ROWS)],
    "dates": hours,
    "dates over the end of winter": lambda: hours(tz="Europe/Zurich", unit="ns"),
    "text with offsets": lambda: hours(tz="Europe/Zurich").strftime("%Y-%m-%dT%H:%M%z"),
    "python's dates": lambda: pd.Series(list(hours().to_pydatetime()), dtype=object),
    "days": lambda: [datetime.date(2024, 1, 1) + datetime.timedelta(row) for row in range(ROWS)],
    "dates far away": lambda: pd.date_range("0001-01-01", periods=ROWS, freq="36524D", unit="s"),
    "categories": lambda: pd.Categorical(hours()),
}


@pytest.mark.parametrize("stamps", STAMPS.values(), ids=STAMPS)
def test_the_type_of_time_does_not_matter(
    tried: Tried, clean: list[Batch], stamps: Callable[[], Any]
) -> None:
    frame = make_frame()
    frame["t"] = stamps()
    assert_same(outcome(frame, tried), clean)


def test_rows_in_any_order_are_sorted_on_request(tried: Tried, clean: list[Batch]) -> None:
    mixed = make_frame().sample(frac=1, random_state=3)
    assert_same(outcome(mixed, tried, sort=True), clean)


# by Hypothesis

moderate = st.floats(-1e6, 1e6, width=32)
wild = st.one_of(
    st.floats(), st.sampled_from([np.nan, np.inf, 3.4e38, -1e300, 1.7e308, 5e-324, 1e17])
)
objects = st.one_of(
    wild,
    st.integers(),
    st.booleans(),
    st.none(),
    st.text(max_size=3),
    st.decimals(allow_nan=False),  # pandas fails on a signalling NaN
    st.dates(),
    st.binary(max_size=2),
    st.lists(st.integers(), max_size=2),
)


def columns(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """A column of values, or one of moderate numbers with a few of them."""
    few = st.tuples(
        st.lists(moderate, min_size=ROWS, max_size=ROWS),
        st.lists(st.tuples(st.integers(0, ROWS - 1), values), max_size=3),
    )

    def spoil(drawn: tuple[list[Any], list[tuple[int, Any]]]) -> list[Any]:
        made, others = drawn
        for row, value in others:
            made[row] = value
        return made

    return st.lists(values, min_size=ROWS, max_size=ROWS) | few.map(spoil)


@examples(0.6)
@given(
    drawn=st.fixed_dictionaries({name: columns(wild) for name in REALS}),
    normalize=st.sampled_from([True, "series", "window", False]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_any_numbers_are_refused_or_scaled(
    tried: Tried, drawn: dict[str, list[float]], normalize: Any, dtype: str
) -> None:
    frame = make_frame().assign(**drawn)
    found = outcome(frame, tried, normalize=normalize, dtype=dtype)
    sizes = frame[list(REALS)].abs()
    # beside numbers of no size, on which alone a column may be scaled, others are too large
    alike = (sizes.max() / sizes.where(sizes > 0).min()).fillna(1).max() < 1e15
    if alike and sizes.max().max() < 1e9 and not frame.isna().any().any():
        assert not isinstance(found, str), found


@examples(0.6)
@given(name=st.sampled_from(["t", *REALS]), values=columns(objects))
def test_any_objects_are_refused_or_numbers(tried: Tried, name: str, values: list[Any]) -> None:
    frame = make_frame()
    frame[name] = pd.Series(values, dtype=object)
    outcome(frame, tried)

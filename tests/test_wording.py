"""Numbers, times and tables as people read them."""

import math

import pytest

from transformertf.wording import duration, number, pace, table


@pytest.mark.parametrize("exponent", range(-12, 12))
@pytest.mark.parametrize("mantissa", [1.0, 1.2345678, -9.9996, 9.9994, 4.4445])
def test_a_number_keeps_its_digits(exponent, mantissa):
    value = mantissa * 10.0**exponent
    # half a unit of the last of four digits
    assert float(number(value)) == pytest.approx(value, rel=5.01e-4)
    assert float(number(value, 6)) == pytest.approx(value, rel=5.01e-6)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0312345, "0.03123"), (1.3, "1.300"), (0, "0.000"), (12345.6, "12346"),
        (9999.96, "10000"), (0.000012345, "1.234e-05"), (2.5e7, "2.500e+07"), (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)  # fmt: skip
def test_numbers_are_written_out_where_that_is_short(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (100, "1:40"), (3599.4, "59:59"), (3661, "1:01:01"),
     (108000, "30:00:00")],
)  # fmt: skip
def test_a_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(12.3, "12 steps/s"), (1, "1.0 steps/s"), (0.5, "2.0 s/step")]
)
def test_a_pace(rate, text):
    assert pace(rate, "step") == text


def test_a_table_is_aligned():
    assert table([("part", "count"), ("encoder", "1,200"), ("h", "3")]) == [
        "part     count", "encoder  1,200", "h            3",
    ]  # fmt: skip
    assert table([("a", "kind", "n"), ("bb", "k", "12")]) == ["a   kind   n", "bb  k     12"]

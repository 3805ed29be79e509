"""Dates that are written as numbers, without anything between their parts: 20240131, 2024013123."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from transformertf.data.series import IntArray
from transformertf.errors import InputError

log = logging.getLogger(__name__)
# how they are written, by the number of their digits
COMPACT = {6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_FIRST_YEAR, _LAST_YEAR = 1700, 2199
# share of the numbers beside which the others are mistakes
_NEARLY_ALL = 0.9
Dates = npt.NDArray[np.datetime64]


def read_compact(numbers: IntArray, digits: int) -> Dates:
    """Return the dates (n,) that whole numbers are, in microseconds; NaT where one is none.

    Args:
        numbers: (n,) such as 202401312350.
        digits: how many they must have; see `COMPACT`.
    """
    rest = numbers
    # month, day, hour, minute, second where they are not written
    parts: list[Any] = [1, 1, 0, 0, 0]
    for place in reversed(range(digits // 2 - 2)):
        rest, parts[place] = np.divmod(rest, 100)
    month, day, hour, minute, second = parts
    is_date = (rest >= _FIRST_YEAR) & (rest <= _LAST_YEAR) & (month >= 1) & (month <= 12)
    is_date &= (day >= 1) & (hour < 24) & (minute < 60) & (second < 60)
    months = np.where(is_date, 12 * (rest - 1970) + month - 1, 0).astype("M8[M]")
    days = months.astype("M8[D]") + (day - 1)
    is_date &= days.astype("M8[M]") == months
    seconds = np.asarray(3600 * hour + 60 * minute + second).astype("m8[s]")
    return np.where(is_date, days + seconds, np.datetime64("NaT")).astype("M8[us]")


class CompactDates:
    """Tells whether all the numbers of a time column are dates, from one piece after the other.

    Args:
        name: of the column, for messages.
        is_date: whether it is known to hold dates.

    Attributes:
        digits: how many each number has; None as long as there are none, or they are no dates.
    """

    def __init__(self, name: str, *, is_date: bool) -> None:
        self.digits: int | None = None
        self._name = name
        self._is_date = is_date
        self._rows = self._lost = 0
        self._first_lost: tuple[str, int, object] | None = None
        self._years: set[int] = set()
        self._last_month = 0

    def add(self, numbers: npt.NDArray[np.number], where: str, begin: int) -> bool:
        """Take the next numbers, and return whether they may be dates.

        Args:
            numbers: (n,) finite.
            where: the table, for messages.
            begin: row at which they begin.
        """
        if self._rows == 0:
            count = len(str(abs(int(numbers[0]))))
            self.digits = count if count in COMPACT else None
        if self.digits is None:
            return False
        whole = _as_whole(numbers)
        lost = np.isnat(read_compact(whole, self.digits)) | (whole != numbers)
        if lost.any() and self._first_lost is None:
            row = int(lost.argmax())
            self._first_lost = where, begin + row, numbers[row]
        self._rows += len(numbers)
        self._lost += int(np.count_nonzero(lost))
        if self.digits == min(COMPACT):
            self._years.update(np.unique(whole // 100).tolist())
            self._last_month = max(self._last_month, int((whole % 100).max()))
        if self._lost > (1 - _NEARLY_ALL) * self._rows:
            self.digits = None
        return self.digits is not None

    def settle(self) -> int | None:
        """Return the digits of the dates, None where the numbers are none.

        Raises:
            InputError: a few are none.
        """
        if self.digits is None:
            return None
        if self._first_lost is not None:
            where, row, number = self._first_lost
            raise InputError(
                f"{where}: time column {self._name!r} holds dates as numbers, written "
                f"{COMPACT[self.digits]}, but {number} in row {row} (counted from 0) is none; "
                "correct it, or write dates as 2024-01-31 13:00"
            )
        # months of one year are as evenly spaced as other numbers, and quarters no months
        is_month = len(self._years) > 1 and self._last_month > 4
        return self.digits if self.digits > min(COMPACT) or is_month or self._is_date else None


def _as_whole(numbers: npt.NDArray[np.number]) -> npt.NDArray[np.int64]:
    """Return numbers as whole ones; what is too large becomes another one."""
    with np.errstate(invalid="ignore"):
        return numbers.astype(np.int64)


def tell_likely_dates(numbers: npt.NDArray[np.number], name: str, where: str) -> None:
    """Warn of unevenly spaced numbers that look like dates of a kind that is not taken for such."""
    whole = _as_whole(numbers)
    if (whole == numbers).all() and len(np.unique(np.diff(whole))) < 2:
        return
    for written, fits in _LIKELY.items():
        if fits(whole).all():
            log.warning(
                "%s: time column %r holds numbers, such as %s; if they are dates (%s), write them "
                "as 2024-01-31: as numbers they are not evenly spaced",
                where, name, numbers[0], written,
            )  # fmt: skip
            return


def _years(years: IntArray) -> npt.NDArray[np.bool_]:
    return (years >= 1900) & (years < 2100)


_LIKELY: dict[str, Callable[[IntArray], npt.NDArray[np.bool_]]] = {
    "year and quarter": lambda n: _years(n // 10) & (n % 10 >= 1) & (n % 10 <= 4),
    "year and month, quarter or week": lambda n: (
        _years(n // 100) & (n % 100 >= 1) & (n % 100 <= 53)
    ),
    "year and day of the year": lambda n: _years(n // 1000) & (n % 1000 >= 1) & (n % 1000 <= 366),
    "a year of two digits": lambda n: ~np.isnat(read_compact(n + 20_000_000, 8)) & (n < 10**6),
    "parts of a day": lambda n: ~np.isnat(read_compact(n, 8)),
}

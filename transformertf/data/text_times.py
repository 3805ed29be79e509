"""Text to time stamps, in one way for a whole column; nothing is guessed row by row."""

import re
import warnings

import pandas as pd
from pandas.tseries.api import guess_datetime_format

from transformertf.data.tables import shown
from transformertf.errors import InputError

# which of day and month comes first, where they could change places
DAY, MONTH = "day", "month"
_ISO = re.compile(r"\d{4}-\d")
_OFFSET = r"(?:Z|[+-]\d{2}(?::?\d{2})?)$"
# pandas guesses neither halves of the day, nor years of two digits, nor fractions after a comma
_HALF = re.compile(r"(.*\d)(\s?)[AaPp][Mm]")
_SHORT_YEAR = re.compile(r"(\d{1,2}\.\d{1,2}\.)(\d{2})(?!\d)")
_COMMA = re.compile(r"(:\d{2}),(\d+)")


def read_text(column: pd.Series, name: str, where: str) -> dict[str, pd.Series]:
    """Return what a column of text may mean.

    Args:
        column: whole, as only all of it tells how it is written.
        name: of the column, for messages.
        where: the table, likewise.

    Returns:
        Time stamps, NaT where a text is none, by which of day and month comes first: both where
        both can be, "" where it makes no difference. In UTC where the text changes its offset.

    Raises:
        InputError: some of it has an offset from UTC, and some has not.
    """
    column = column.str.strip()
    # pandas takes these for the time of reading
    column = column.mask(column.isin(["now", "today"]))
    texts = column.dropna()
    first = str(texts.iloc[0]) if len(texts) else ""
    if not first or _ISO.match(first):
        return {"": _parse(column, "ISO8601", name, where)}
    readings = {
        order: _parse(column, written, name, where) for order, written in _formats(first).items()
    }
    if not readings:
        return {"": pd.Series(pd.NaT, column.index)}
    missing = {order: int(stamps.isna().sum()) for order, stamps in readings.items()}
    least = min(missing.values())
    readings = {order: readings[order] for order in readings if missing[order] == least}
    if len(readings) == 2 and readings[DAY].equals(readings[MONTH]):
        return {"": readings[DAY]}
    # read the other way, it would leave out a month at each midnight
    steady = {order: stamps for order, stamps in readings.items() if _is_steady(stamps)}
    return steady if len(steady) == 1 else readings


def _is_steady(stamps: pd.Series) -> bool:
    """Whether rows come one after the other by one step, of less than a day."""
    steps = stamps.diff().iloc[1:]
    if steps.empty:
        return False
    step = steps.iloc[0]
    return bool(pd.Timedelta(0) < step < pd.Timedelta(days=1) and (steps == step).all())


def _formats(text: str) -> dict[str, str]:
    """Return in which formats a text is a date, by which of day and month comes first."""
    plain = _COMMA.sub(r"\1.\2", _SHORT_YEAR.sub(r"\g<1>20\2", text))
    half = _HALF.fullmatch(plain)
    found = {}
    for first in (DAY, MONTH):
        with warnings.catch_warnings():
            # pandas warns where a day beyond 12 tells which it is
            warnings.simplefilter("ignore", UserWarning)
            written = guess_datetime_format(half[1] if half else plain, dayfirst=first == DAY)
        # else what is missing would be that of today
        if written is None or not all(part in written for part in ("%Y", "%d")):
            continue
        # nobody writes the day between year and month; a month in words is at no risk
        day, month = written.index("%d"), written.find("%m")
        if written.startswith("%Y") and day < month:
            continue
        order = "" if written.startswith("%Y") or month < 0 else DAY if day < month else MONTH
        if _SHORT_YEAR.match(text):
            written = written.replace("%Y", "%y")
        if _COMMA.search(text):
            written = written.replace(".%f", ",%f")
        if half:
            written = written.replace("%H", "%I") + half[2] + "%p"
        found[order] = written
    return found


def _parse(column: pd.Series, written: str, name: str, where: str) -> pd.Series:
    try:
        return pd.to_datetime(column, format=written, errors="coerce")
    except ValueError:
        stamps = pd.to_datetime(column, format=written, errors="coerce", utc=True)
    bare = ~column.str.contains(_OFFSET, na=True) & stamps.notna()
    if bare.any():
        row = int(bare.to_numpy().argmax())
        raise InputError(
            f"{where}: time column {name!r} holds {shown(column.iloc[row])} in row {row} (counted "
            "from 0) without an offset from UTC, and others with one; write all in one way"
        )
    return stamps

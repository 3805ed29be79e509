"""What names of columns tell: words that people write in them."""

import itertools
import re
from collections.abc import Collection

TIME_WORDS = {
    "time", "date", "datetime", "timestamp", "ds", "ts", "t", "zeit", "datum", "day", "hour",
    "step", "cycle", "index",
}  # fmt: skip
ID_WORDS = {
    "id", "series", "unit", "item", "store", "station", "machine", "engine", "site", "sensor",
    "run", "meter", "customer", "sku", "uid", "product", "device", "asset", "region", "name",
}  # fmt: skip
# known ahead: planned, commanded, forecast by others, or told by the calendar
PLAN_WORDS = {
    "forecast", "forecasts", "forecasted", "fcst", "fc", "prognosis", "prognose", "prediction",
    "predicted", "plan", "planned", "schedule", "scheduled", "setpoint", "setpoints", "sp",
    "sollwert", "soll", "reference", "ref", "command", "commanded", "cmd", "holiday",
    "holidays", "promo", "promotion", "campaign", "tariff",
}  # fmt: skip
CALENDAR_WORDS = {
    "minute", "hour", "day", "weekday", "dayofweek", "dow", "dayofyear", "doy", "week",
    "weekend", "weekofyear", "month", "quarter", "season", "year",
}  # fmt: skip
# kinds of something, where whole numbers stand for them
CATEGORY_WORDS = {
    "mode", "type", "class", "code", "status", "state", "kind", "category", "flag", "group",
    "level", "phase", "regime", "id", "zone", "region",
}  # fmt: skip
TARGET_WORDS = {
    "target", "y", "ot", "label", "output",
}  # fmt: skip
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words(name: str) -> list[str]:
    """Return the words of a name in small letters: of `setPoint_T1` set, point, t, 1."""
    return [word.lower() for word in _WORD.findall(name)]


def has_word(name: str, known: Collection[str]) -> bool:
    """Whether one of the words of a name, or two together, is among those known."""
    own = words(name)
    pairs = [one + other for one, other in itertools.pairwise(own)]
    return any(word in known for word in (*own, *pairs))

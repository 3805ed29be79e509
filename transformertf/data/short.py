"""Series too short for a stage: refused together, or left out and told."""

import logging
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from transformertf.data.messages import first_names
from transformertf.errors import TooShortError

log = logging.getLogger(__name__)


class Named(Protocol):
    """What has the name of a series."""

    @property
    def name(self) -> str:
        """The name."""


Item = TypeVar("Item", bound=Named)
Made = TypeVar("Made")


class ShortSeries:
    """Which series were too short, by stage.

    Args:
        leave_out: leave them out; if not, they are refused.

    Attributes:
        names: names of the series left out, by what they were too short for.
    """

    def __init__(self, leave_out: bool) -> None:
        self.leave_out = leave_out
        self.names: dict[str, list[str]] = {}
        self._told: dict[str, list[str]] = {}

    def keep(self, what: str, items: Iterable[Item], make: Callable[[Item], Made]) -> list[Made]:
        """Return what is made of the items that are long enough.

        What was left out is told, once for the same names.

        Args:
            what: what they may be too short for.
            items: series or parts of series.
            make: raises `TooShortError` for those that are too short.

        Raises:
            TooShortError: some are too short and must not be left out, or all are.
        """
        made: list[Made] = []
        short: list[str] = []
        first: TooShortError | None = None
        kept: set[str] = set()
        for item in items:
            try:
                made.append(make(item))
                kept.add(item.name)
            except TooShortError as error:
                first = first or error
                short.append(item.name)
        if first is not None and not (self.leave_out and made):
            hint = "" if self.leave_out else " with drop_short_series"
            more = f" (and {len(short) - 1} more)" if len(short) > 1 else ""
            raise TooShortError(f"{first}{hint}{more}") from first
        gone = [name for name in dict.fromkeys(short) if name not in kept]
        if short and self._told.get(what) != short:
            self._tell(what, "series", gone)
            # of a series that has other stretches
            self._tell(what, "stretches of series", [name for name in short if name in kept])
        self.names[what], self._told[what] = gone, short
        return made

    def _tell(self, what: str, which: str, names: list[str]) -> None:
        if names:
            first = first_names(list(dict.fromkeys(names)))
            log.warning("%s: %d %s too short, left out: %s", what, len(names), which, first)

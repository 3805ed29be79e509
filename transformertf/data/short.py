"""Series too short for a stage: refused together, or left out and told."""

import logging
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

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
        names: names of those left out, by what they were too short for.
    """

    def __init__(self, leave_out: bool) -> None:
        self.leave_out = leave_out
        self.names: dict[str, list[str]] = {}

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
        for item in items:
            try:
                made.append(make(item))
            except TooShortError as error:
                first = first or error
                short.append(item.name)
        if first is not None and not (self.leave_out and made):
            hint = "" if self.leave_out else " with drop_short_series"
            more = f" (and {len(short) - 1} more)" if len(short) > 1 else ""
            raise TooShortError(f"{first}{hint}{more}") from first
        if short and self.names.get(what) != short:
            log.warning(
                "%s: %d series too short, left out: %s%s",
                what,
                len(short),
                ", ".join(map(repr, short[:3])),
                ", ..." if len(short) > 3 else "",
            )
        self.names[what] = short
        return made

"""Which column is time, series id, target, known in the future, known only in the past."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformertf.errors import InputError


def as_list(value: str | Sequence[str] | None) -> list[str]:
    """Return one name or several names as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


@dataclass(frozen=True)
class Columns:
    """The roles of the columns, and with them the order of the features.

    Attributes:
        known: covariates known in past and future.
        past: covariates known only in the past.
        target: the column to forecast.
        time: column of time stamps, or None.
        ids: columns that tell the series of a table apart; without any, a file is one series.
    """

    known: tuple[str, ...]
    past: tuple[str, ...]
    target: str
    time: str | None
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a column with two roles."""
        names = self.stored
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(
                f"column {twice[0]!r} has two roles among known_covariates, "
                "known_past_covariates, target_covariate, time_column and series_id; give it one"
            )

    @property
    def values(self) -> tuple[str, ...]:
        """Names of the stored value columns, in the order they are stored: target last."""
        return (*self.known, *self.past, self.target)

    @property
    def stored(self) -> tuple[str, ...]:
        """Names of all columns that are read."""
        return (*self.values, *([] if self.time is None else [self.time]), *self.ids)

    @property
    def has_time(self) -> bool:
        """Whether a time feature comes first in both inputs."""
        return self.time is not None

    @property
    def needs_position(self) -> bool:
        """Whether the decoder would have no input at all but the place in the horizon."""
        return not self.known and not self.has_time

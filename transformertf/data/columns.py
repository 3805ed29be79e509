"""Which column has which role, and with the roles the order of all features."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from transformertf.errors import InputError, nearest

# names of roles, as the arguments of a data module have them
ROLES = (
    "known_covariates",
    "known_past_covariates",
    "static_covariates",
    "target_covariate",
    "time_column",
)


class Field(NamedTuple):
    """A field of time stamps: how many values it has, and the first of them."""

    period: int
    first: int


# A cycle is as long as its field has values, also where a month or a year has fewer. So no two
# values share a place, and one value always has the same; the price is a longer step from the
# end of a short month, a common year (of 366 days) or a year of 52 weeks to what follows it.
CALENDAR = {
    "minute": Field(60, 0),
    "hour": Field(24, 0),
    "dayofweek": Field(7, 0),
    "day": Field(31, 1),
    "dayofyear": Field(366, 1),
    "week": Field(53, 1),
    "month": Field(12, 1),
    "quarter": Field(4, 1),
}


def as_list(value: str | Sequence[str] | None) -> list[str]:
    """Return one name or several names as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _lags(given: Any) -> tuple[int, ...]:
    """Return the lags.

    Raises:
        InputError: they are no list of whole numbers.
    """
    lags = [] if given is None else [given] if type(given) is int else given
    try:
        return tuple(operator.index(lag) for lag in lags)
    except TypeError:
        raise InputError(
            f"target_lags must be a list of whole numbers of steps, found {given!r}; give one, as "
            "[24, 168]"
        ) from None


@dataclass(frozen=True)
class Columns:
    """The roles of the columns, and with them the order of the features.

    Attributes:
        known: real covariates known in past and future.
        past: real covariates known only in the past.
        target: the column to forecast.
        time: column of time stamps, or None.
        ids: columns that tell the series of a table apart; without any, a file is one series.
        static: real covariates constant within a series.
        known_categories: categorical covariates known in past and future.
        past_categories: categorical covariates known only in the past.
        static_categories: categorical covariates constant within a series.
        calendar: fields of the time stamps given as cyclic pairs.
        calendar_categories: fields of the time stamps given as categories.
        lags: lags of the target, in steps, that are known covariates.
        indicators: give a feature for each real covariate and the target that is 1 where it was
            observed and 0 where it was missing.
        weight: column that weighs rows in the loss, or None; no feature, but it may also be one.
        differences: real covariates whose difference from the row before is one, too. Each is a
            copy of its column, last among `known` or `past`; see `copies`.
    """

    known: tuple[str, ...]
    past: tuple[str, ...]
    target: str
    time: str | None
    ids: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    known_categories: tuple[str, ...] = ()
    past_categories: tuple[str, ...] = ()
    static_categories: tuple[str, ...] = ()
    calendar: tuple[str, ...] = ()
    calendar_categories: tuple[str, ...] = ()
    lags: tuple[int, ...] = ()
    indicators: bool = False
    weight: str | None = None
    differences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is named twice; only an id may be a static covariate, too."""
        if self.weight is not None and self.weight in (self.target, self.time, *self.text):
            raise InputError(
                f"weight_covariate: {self.weight!r} is the target, the time, an id or a category; "
                "name another column of numbers, or leave it out"
            )
        known = (*self.known, *self.known_categories, *self.past, *self.past_categories)
        moving = [*known, self.target, *([] if self.time is None else [self.time])]
        static = [*self.static, *self.static_categories]
        names = [*moving, *static]
        twice = {name for name in names if names.count(name) > 1}
        twice |= {name for name in self.ids if name in moving or self.ids.count(name) > 1}
        if twice:
            roles = f"{', '.join(ROLES)} and series_id"
            raise InputError(
                f"column {min(twice)!r} has two roles among {roles}; give it one (series_id and "
                "static_covariates may share one)"
            )
        fields = self.calendar_fields
        for argument, given in (("calendar_features", fields), ("target_lags", self.lags)):
            again = [item for item in given if given.count(item) > 1]
            if again:
                raise InputError(f"{argument}: {again[0]!r} is there twice; give it once")
        features = self.encoder_features(add_target=True)
        made = [name for name in features if features.count(name) > 1]
        if made:
            raise InputError(
                f"column {made[0]!r} has the name of a feature that calendar_features, target_lags "
                "or missing: mask makes; rename the column"
            )

    @classmethod
    def of(cls, given: dict[str, Any]) -> "Columns":
        """Return the roles that the arguments of a data module give.

        Raises:
            InputError: a column has two roles, or a category none, or what is no real covariate
                has a difference.
        """
        categories = as_list(given.get("categorical_covariates"))
        fields = as_list(given.get("calendar_features"))
        roles = {
            role: as_list(given.get(f"{role}_covariates"))
            for role in ("known", "known_past", "static")
        }
        others = {name for names in (*roles.values(), fields) for name in names}
        for name in categories:
            if name not in others:
                raise InputError(
                    f"categorical_covariates: {name!r} is none of known_covariates, "
                    "known_past_covariates, static_covariates and calendar_features; "
                    f"{nearest(name, others) if others else 'name it in one of them'}"
                )

        def real(names: Sequence[str]) -> tuple[str, ...]:
            return tuple(name for name in names if name not in categories)

        def categorical(names: Sequence[str]) -> tuple[str, ...]:
            return tuple(name for name in names if name in categories)

        known, past = real(roles["known"]), real(roles["known_past"])
        differences = tuple(as_list(given.get("difference_covariates")))
        _check_differences(differences, (*known, *past), given)
        return cls(
            (*known, *_copies(differences, known)),
            (*past, *_copies(differences, past)),
            given["target_covariate"],
            given.get("time_column"),
            tuple(as_list(given.get("series_id"))),
            real(roles["static"]),
            categorical(roles["known"]),
            categorical(roles["known_past"]),
            categorical(roles["static"]),
            real(fields),
            categorical(fields),
            _lags(given.get("target_lags")),
            given.get("missing") == "mask",
            given.get("weight_covariate"),
            differences,
        )

    @property
    def to_forecast(self) -> "Columns":
        """The roles of rows to forecast, which have no weight."""
        return replace(self, weight=None)

    @property
    def values(self) -> tuple[str, ...]:
        """Names of the real columns, in the order a series has them: target last."""
        return (*self.known, *self.past, self.target)

    @property
    def copies(self) -> dict[str, str]:
        """Names of the real columns that are differences, to the columns that they copy."""
        return _copies(self.differences, self.values)

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categorical columns that a series has row by row, known ones first."""
        return (*self.known_categories, *self.past_categories)

    @property
    def known_ahead(self) -> tuple[str, ...]:
        """Names of the columns that rows ahead of the data must tell."""
        return (*self._read(self.known), *self.known_categories)

    @property
    def unknown_ahead(self) -> tuple[str, ...]:
        """Names of the columns that no row ahead of the data can tell: the target and the past."""
        return (*self._read(self.past), *self.past_categories, self.target)

    @property
    def stored(self) -> tuple[str, ...]:
        """Names of all columns that are read."""
        time = () if self.time is None else (self.time,)
        weight = () if self.weight is None else (self.weight,)
        static = (*self.static, *self.static_categories)
        values = self._read(self.values)
        moving = (*values, *self.categories, *weight)
        return tuple(dict.fromkeys((*moving, *static, *time, *self.ids)))

    def source(self, name: str) -> str:
        """Return the column that a real column is read from."""
        return self.copies.get(name, name)

    @property
    def text(self) -> tuple[str, ...]:
        """Names of the columns whose values are names, even where they look like numbers."""
        names = (*self.ids, *self.categories, *self.static_categories)
        return tuple(dict.fromkeys(names))

    @property
    def calendar_fields(self) -> tuple[str, ...]:
        """Fields of the time stamps that are features, pairs first."""
        return (*self.calendar, *self.calendar_categories)

    @property
    def has_time(self) -> bool:
        """Whether a time feature comes first in both inputs."""
        return self.time is not None

    @property
    def future_features(self) -> tuple[str, ...]:
        """Names of the real features known in the future, less time and position."""
        pairs = [f"{field}_{part}" for field in self.calendar for part in ("sin", "cos")]
        lags = [f"{self.target}_lag_{lag}" for lag in self.lags]
        return (*self.known, *pairs, *lags, *self._observed(self.known))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of all real features, less time and position: future ones first, target last."""
        past = (*self.past, *self._observed(self.past))
        return (*self.future_features, *past, *self._observed((self.target,)), self.target)

    @property
    def observed(self) -> tuple[str, ...]:
        """Names of the indicators."""
        return tuple(self._observed(self.values))

    @property
    def needs_position(self) -> bool:
        """Whether the decoder would have no real input at all but the place in the horizon."""
        return not self.future_features and not self.has_time

    @property
    def decoder_features(self) -> tuple[str, ...]:
        """Names of the real inputs of a horizon step."""
        position = ("position",) if self.needs_position else ()
        return (*self._time, *self.future_features, *position)

    def encoder_features(self, add_target: bool) -> tuple[str, ...]:
        """Names of the real inputs of a context step, or of a sequence.

        Args:
            add_target: whether the target, and its indicator, are among them.
        """
        cut = None if add_target else -2 if self.indicators else -1
        return (*self._time, *self.features[:cut])

    @property
    def _time(self) -> tuple[str, ...]:
        return () if self.time is None else (self.time,)

    def _observed(self, names: Sequence[str]) -> list[str]:
        return [f"{name}_observed" for name in self._read(names)] if self.indicators else []

    def _read(self, names: Sequence[str]) -> list[str]:
        """Return those of the real columns that are no copies."""
        return [name for name in names if name not in self.copies]


def _copies(differences: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    """Return the names of the differences of columns, to the columns that they copy."""
    return {f"{name}_difference": name for name in differences if name in columns}


def _check_differences(
    differences: Sequence[str], covariates: Sequence[str], given: dict[str, Any]
) -> None:
    """Refuse differences of what is no real covariate, and names that are taken.

    Args:
        differences: the columns.
        covariates: the real covariates.
        given: arguments of a data module.
    """
    for name in differences:
        if name == given["target_covariate"]:
            problem = (
                "is the target; to forecast its changes set prediction_type: delta, or give it a "
                "DeltaTransform in extra_transforms"
            )
        elif name in as_list(given.get("categorical_covariates")):
            problem = "is categorical, and numbers alone have a difference; leave it out"
        elif name in as_list(given.get("static_covariates")):
            problem = "is constant within a series, its difference is 0; leave it out"
        elif name not in covariates:
            hint = nearest(name, covariates) if covariates else "name it in one of them"
            problem = f"is no real one of known_covariates and known_past_covariates; {hint}"
        elif differences.count(name) > 1:
            problem = "is there twice; give it once"
        else:
            continue
        raise InputError(f"difference_covariates: {name!r} {problem}")
    taken = [name for role in (*ROLES, "series_id") for name in as_list(given.get(role))]
    for name, source in _copies(differences, covariates).items():
        if name in taken:
            raise InputError(
                f"column {name!r} has the name that difference_covariates gives to the difference "
                f"of {source!r}; rename the column, or leave one of both out"
            )


def check_calendar(names: Sequence[str]) -> None:
    """Refuse fields of time stamps that are not known.

    Raises:
        InputError: there is one.
    """
    for name in names:
        if name not in CALENDAR:
            raise InputError(
                f"calendar_features: expected fields of time stamps, found {name!r}; "
                f"{nearest(name, CALENDAR)}"
            )

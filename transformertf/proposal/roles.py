"""Which column has which role, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd

from transformertf.errors import InputError, nearest
from transformertf.proposal.leaks import Leak, find_leak
from transformertf.proposal.rhythm import stretches
from transformertf.proposal.series import Arranged
from transformertf.proposal.words import (
    CALENDAR_WORDS,
    CATEGORY_WORDS,
    PLAN_WORDS,
    TARGET_WORDS,
    has_word,
    words,
)

# a column of which more is missing tells little
_MOST_MISSING = 0.5
# more texts than these are notes, or names of rows
_MOST_TEXTS = 500
# whole numbers of so few values may name kinds
_MOST_KINDS = 20
# rows in which leaks are looked for
_ROWS = 20_000
# share of the rows behind the target's end that are filled where a column is known ahead
_NEARLY_ALL = 0.99


class Answers(Protocol):
    """Who says what is meant by a proposal."""

    def columns(self, what: str, proposed: Sequence[str], known: Sequence[str]) -> list[str]:
        """Return the columns of a role, of those known."""

    def target(self, proposed: str, known: Sequence[str]) -> str:
        """Return the target, one of the columns known."""

    def number(self, what: str, proposed: int) -> int:
        """Return a number of steps, at least 1."""

    def model(self, proposed: str, known: Sequence[str]) -> str:
        """Return the model."""


class AsProposed:
    """Takes what is proposed; a target is not guessed."""

    def columns(self, what: str, proposed: Sequence[str], known: Sequence[str]) -> list[str]:
        """Return those proposed."""
        return list(proposed)

    def target(self, proposed: str, known: Sequence[str]) -> str:
        """Refuse to guess."""
        raise InputError(
            "--target is not given: name the column to forecast, one of "
            f"{', '.join(map(repr, known))}"
        )

    def number(self, what: str, proposed: int) -> int:
        """Return the one proposed."""
        return proposed

    def model(self, proposed: str, known: Sequence[str]) -> str:
        """Return the one proposed."""
        return proposed


@dataclass(frozen=True)
class Roles:
    """The columns by role, and what is said of each.

    Attributes:
        target: the column to forecast.
        known: covariates known ahead.
        past: covariates known only up to now.
        static: columns constant within each series.
        categories: those of the above that are categories.
        left_out: columns without a role.
        why: reasons, by column.
        ahead: rows behind the end of the target, of a middling series that has such; 0 without.
    """

    target: str
    known: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    why: dict[str, str] = field(default_factory=dict)
    ahead: int = 0

    @property
    def used(self) -> tuple[str, ...]:
        """All columns of covariates and the target."""
        return (self.target, *self.known, *self.past, *self.static)


@dataclass(frozen=True)
class Given:
    """Roles that the user has given; None where nothing was said."""

    target: str | None = None
    known: list[str] | None = None
    past: list[str] | None = None
    static: list[str] | None = None


def find_target(arranged: Arranged, given: str | None, answers: Answers) -> str:
    """Return the target: the one given, the only one there can be, or what is answered.

    Raises:
        InputError: it is not numeric, or there is none.
    """
    kinds = arranged.seen.kinds
    taken = (arranged.time, *arranged.ids)
    numeric = [
        name for name, kind in kinds.items()
        if kind == "number" and name not in taken and _varies(arranged, name)
    ]  # fmt: skip
    if given is not None:
        if given not in numeric:
            problem = _no_target(arranged, given)
            raise InputError(f"--target {given}: {problem}; {nearest(given, numeric)}")
        return given
    if not numeric:
        raise InputError("--data: no numeric column varies, so that there is nothing to forecast")
    if len(numeric) == 1:
        return numeric[0]
    likely = [name for name in numeric if has_word(name, TARGET_WORDS)]
    return answers.target((likely or numeric)[-1], numeric)


def find_roles(
    arranged: Arranged, target: str, given: Given, horizon: int, answers: Answers
) -> Roles:
    """Return the roles of all columns.

    Args:
        arranged: the rows.
        target: the target.
        given: roles that are given: such a role has these columns and no others.
        horizon: steps that are forecast, about.
        answers: is told the proposal for the known and the past columns.
    """
    finder = _Finder(arranged, target, given)
    finder.leave_out_useless()
    finder.find_static()
    finder.find_known(horizon, answers)
    finder.find_past(horizon, answers)
    return finder.roles()


class _Finder:
    """Hands columns out to roles, one role after the other."""

    def __init__(self, arranged: Arranged, target: str, given: Given) -> None:
        self.arranged, self.target, self.given = arranged, target, given
        self.why: dict[str, str] = {}
        self._leaks: dict[str, Leak | None] = {}
        taken = {target, arranged.time, *arranged.ids}
        self.free = [name for name in arranged.seen.columns if name not in taken]
        self.named = {n for each in (given.known, given.past, given.static) for n in each or ()}
        self.found: dict[str, list[str]] = {"known": [], "past": [], "static": []}
        self.ahead, self.filled = _behind_the_end(arranged, target, self.free)

    def leave_out_useless(self) -> None:
        """Leave out what tells nothing: constants, notes, second times."""
        for name in [name for name in self.free if name not in self.named]:
            reason = self._useless(name)
            if reason:
                self.why[name] = reason
                self.free.remove(name)

    def find_static(self) -> None:
        """Find what is constant within each series."""
        given = self.given.static
        if given is None:
            given = [n for n in self.free if n not in self.named and self._is_static(n)]
            self.why |= dict.fromkeys(given, "constant within each series")
        self._take("static", given)

    def find_known(self, horizon: int, answers: Answers) -> None:
        """Find what is known ahead; what is the target in disguise is no part of it."""
        proposed = self.given.known
        if proposed is None:
            others = self.given.past or []
            reasons = {name: self._known(name) for name in self.free if name not in others}
            likely = {name: why for name, why in reasons.items() if why}
            clean = [name for name in likely if self._leak(name, horizon) is None]
            proposed = answers.columns("known", clean, self.free)
            self.why |= {name: likely[name] for name in proposed if name in likely}
        self._take("known", [name for name in proposed if self._leak(name, horizon) is None])

    def find_past(self, horizon: int, answers: Answers) -> None:
        """Find what is known up to now: all that is left, but for what shows the target ahead."""
        proposed = self.given.past
        if proposed is None:
            clean = [name for name in self.free if self._leak(name, horizon) is None]
            proposed = answers.columns("past", clean, self.free)
        self._take("past", [name for name in proposed if self._leak(name, horizon) is None])

    def roles(self) -> Roles:
        """Return what was found."""
        for name in self.free:
            self.why.setdefault(name, "in none of the roles given")
        known, past, static = (tuple(self.found[role]) for role in ("known", "past", "static"))
        taken = (self.target, self.arranged.time, *self.arranged.ids, *known, *past, *static)
        return Roles(
            self.target, known, past, static,
            tuple(name for name in (*known, *past, *static) if self._is_category(name)),
            tuple(name for name in self.arranged.seen.columns if name not in taken),
            self.why, self.ahead,
        )  # fmt: skip

    def _take(self, role: str, names: Sequence[str]) -> None:
        self.found[role] = list(names)
        self.free = [name for name in self.free if name not in names]

    def _useless(self, name: str) -> str | None:
        column, kind = self.arranged.column(name), self.arranged.seen.kinds[name]
        if kind == "empty":
            return "holds nothing"
        if kind == "date":
            return "a second time"
        if not _varies(self.arranged, name) and not column.isna().any():
            return "constant"
        if (share := column.isna().mean()) > _MOST_MISSING and name not in self.filled:
            return f"{share:.0%} missing"
        if kind == "text" and (count := column.nunique()) > _MOST_TEXTS:
            return f"text of {count} values"
        if kind == "number" and words(name)[:1] in (["unnamed"], []) and self._counts(name):
            return "counts the rows"
        return None

    def _counts(self, name: str) -> bool:
        steps = np.delete(np.diff(self.arranged.numbers(name)), self.arranged.starts[1:] - 1)
        return bool(steps.size and (steps == steps[0]).all())

    def _is_static(self, name: str) -> bool:
        if len(self.arranged.starts) < 2:
            return False
        column = self.arranged.column(name)
        return int(column.groupby(self.arranged.series).nunique().max()) <= 1

    def _known(self, name: str) -> str | None:
        """Return why a column is known ahead, None where nothing tells that it is."""
        if name in self.filled:
            return f"goes on behind the end of {self.target}"
        if has_word(name, PLAN_WORDS):
            return "known ahead by its name"
        if set(words(name)) & CALENDAR_WORDS and len(words(name)) <= 3:
            return "told by the calendar"
        return None

    def _leak(self, name: str, horizon: int) -> Leak | None:
        if self.arranged.seen.kinds[name] != "number":
            return None
        if name not in self._leaks:
            target, own = (stretches(self.arranged, n, _ROWS) for n in (self.target, name))
            self._leaks[name] = find_leak(target, own, horizon)
        leak = self._leaks[name]
        if leak is not None:
            where = (
                f"{abs(leak.ahead)} steps {'ahead' if leak.ahead > 0 else 'ago'}"
                if leak.ahead else "on the same row"
            )  # fmt: skip
            self.why[name] = (
                f"leak: it is {self.target} {where} (correlation of changes {leak.likeness:.3f})"
            )
        return leak

    def _is_category(self, name: str) -> bool:
        kind = self.arranged.seen.kinds[name]
        if kind == "text":
            return True
        column = self.arranged.column(name).dropna()
        if kind != "number" or pd.api.types.infer_dtype(column) == "boolean":
            return False
        values = column.unique()
        is_few = 2 < len(values) <= _MOST_KINDS and bool((values % 1 == 0).all())
        if is_few and has_word(name, CATEGORY_WORDS):
            return True
        if is_few and not has_word(name, CALENDAR_WORDS):
            note = f"{len(values)} whole numbers; if they name kinds, a category"
            self.why[name] = "; ".join(filter(None, [self.why.get(name), note]))
        return False


def _no_target(arranged: Arranged, name: str) -> str:
    """Return why a column cannot be forecast."""
    if name in (arranged.time, *arranged.ids):
        return "is the time column, or tells series apart"
    known = arranged.seen.frame[name].dropna()
    if len(known.unique()) < 2:
        return "has one value only" if len(known) else "holds nothing"
    return f"holds {known.iloc[0]!r}, no numbers"


def refuse_infinite(arranged: Arranged, names: Sequence[str]) -> None:
    """Refuse infinite values, which no fit takes.

    Raises:
        InputError: names column and row.
    """
    for name in names:
        if arranged.seen.kinds[name] == "number":
            (rows,) = np.nonzero(np.isinf(arranged.seen.numbers(name)))
            if rows.size:
                place = int(rows[0])
                where = arranged.seen.files[int(arranged.seen.file[place])]
                row = place - int(np.argmax(arranged.seen.file == arranged.seen.file[place]))
                raise InputError(
                    f"{where}: column {name!r} holds an infinite value in row {row} (counted from "
                    "0); fill or cut that row"
                )


def _varies(arranged: Arranged, name: str) -> bool:
    return len(arranged.seen.frame[name].dropna().unique()) > 1


def _behind_the_end(
    arranged: Arranged, target: str, names: Sequence[str]
) -> tuple[int, tuple[str, ...]]:
    """Return how far series go on behind the last target, and the columns that are filled there."""
    there = np.isfinite(arranged.numbers(target))
    ends = np.append(arranged.starts[1:], len(there))
    behind = np.zeros(len(there), dtype=bool)
    counts = []
    for begin, end in zip(arranged.starts, ends, strict=True):
        known = np.flatnonzero(there[begin:end])
        first = begin + known[-1] + 1 if known.size else begin
        behind[first:end] = True
        if known.size and first < end:
            counts.append(end - first)
    if not counts or not arranged.seen.whole:
        return 0, ()
    filled = [n for n in names if arranged.column(n)[behind].notna().mean() >= _NEARLY_ALL]
    return int(np.median(counts)), tuple(filled)

"""What a fit takes along of what another one fitted: weights keep the scale of their inputs."""

from collections.abc import Iterable
from typing import Any

import torch

from transformertf.data.scaling.chains import TIME, Chain
from transformertf.data.scaling.scaling import Scaling
from transformertf.data.scaling.vocabulary import Vocabularies
from transformertf.data.transform import describe_transforms
from transformertf.errors import first_names

State = dict[str, Any]


class Inheritance:
    """The scaling and the categories of a finished fit, taken along into new ones.

    Columns go by name: one that both have with the same transforms keeps its state, others are
    those of the new fit. Which series have statistics of their own goes with the target. The zone
    of calendar features is that of the new data, for these are of local time.

    Args:
        scaling: of the finished fit.
        vocabularies: likewise.
    """

    def __init__(self, scaling: Scaling, vocabularies: Vocabularies) -> None:
        self._scaling = scaling
        self._vocabularies = vocabularies
        self._taken: list[str] = []
        # why a column was fitted anew, and the columns
        self._anew: dict[str, list[str]] = {}
        self._notes: list[str] = []

    def apply(self, scaling: Scaling, vocabularies: Vocabularies) -> None:
        """Put what is taken along in the place of what was fitted."""
        self._taken, self._anew, self._notes = [], {}, []
        names = [*scaling.columns.values, *scaling.columns.static]
        for name in [*names, TIME] if scaling.columns.has_time else names:
            self._judge(name, self._reason(scaling, name))
        scaling.load_state_dict(self._merged(scaling))
        ours, theirs = vocabularies.state_dict(), self._vocabularies.state_dict()
        for name, values in ours.items():
            self._judge(name, None if name in theirs else "no category there")
            new = len(set(values) - set(theirs.get(name, values)))
            if new:
                self._notes.append(f"{new} of {len(values)} values of {name!r} are unknown there")
        vocabularies.load_state_dict({name: theirs.get(name, ours[name]) for name in ours})

    def report(self) -> str:
        """Return in one line what the last fit took along, and what it did not, and why."""
        parts = [f"taken along for {_few(self._taken)}" if self._taken else "not taken along"]
        if self._anew:
            told = [f"{_few(names)} ({reason})" for reason, names in self._anew.items()]
            parts.append(f"fitted anew: {', '.join(told)}")
        return "; ".join([*parts, *self._notes])

    def _judge(self, name: str, reason: str | None) -> None:
        if reason is None:
            self._taken.append(name)
        else:
            self._anew.setdefault(reason, []).append(name)

    def _reason(self, own: Scaling, name: str) -> str | None:
        """Return why the state of a column, or of time, cannot be taken along, or None."""
        other = self._scaling
        if name == TIME:
            pairs = [(one.time_format, one.time_kind, _meaning(one.chains[TIME]))
                     for one in (own, other)]  # fmt: skip
            return None if pairs[0] == pairs[1] else "of another kind there"
        if name not in (*other.columns.values, *other.columns.static):
            return "not there"
        if (name in own.columns.static) != (name in other.columns.static):
            return "static in one of both alone"
        if own.normalize != other.normalize:
            return f"normalize is {own.normalize!r}, there {other.normalize!r}"
        ours, theirs = own.chains[name], other.chains[name]
        depends = own.target_x != other.target_x and name == own.columns.target
        if depends or _meaning(ours) != _meaning(theirs):
            return "with other transforms there"
        if theirs.scaler is not None and theirs.scaler.is_constant:
            return "constant there, which gives no scale"
        return None

    def _merged(self, own: Scaling) -> State:
        """Return the state of a scaling that has what is taken along."""
        ours, theirs = own.state_dict(), self._scaling.state_dict()
        taken = set(self._taken)
        target = own.columns.target
        as_there = target in taken and target == self._scaling.columns.target
        state: State = {**(theirs if as_there else ours), "zone": ours["zone"]}
        state["columns"] = {
            name: (theirs if name in taken else ours)["columns"][name] for name in ours["columns"]
        }
        state["time"] = (theirs if TIME in taken else ours)["time"]
        fill = zip(self._scaling.columns.values, theirs["fill"], strict=True)
        # without indicators nothing is filled in, and nothing was fitted for it
        known = dict(fill) if self._scaling.columns.indicators else {}
        state["fill"] = [
            known.get(name, value) if name in taken else value
            for name, value in zip(own.columns.values, ours["fill"], strict=True)
        ]
        if "statistics" in state:
            names = state["series"]
            sources = [(self._scaling, theirs) if name in taken else (own, ours)
                       for name in own.columns.values]  # fmt: skip
            columns = [
                _statistics(names, *source, name)
                for source, name in zip(sources, own.columns.values, strict=True)
            ]
            state["statistics"] = [
                torch.stack(tables, dim=1) for tables in zip(*columns, strict=True)
            ]
            unseen = len(set(ours["series"]) - set(names))
            if unseen:
                self._notes.append(
                    f"{unseen} of {len(ours['series'])} series take the statistics of all"
                )
        return state


def _statistics(
    names: Iterable[str], scaling: Scaling, state: State, column: str
) -> list[torch.Tensor]:
    """Return loc and scale (1 + series,) of a column: of all series, then of each named one."""
    known = {name: row for row, name in enumerate(state["series"], start=1)}
    rows = [0, *(known.get(name, 0) for name in names)]
    place = scaling.columns.values.index(column)
    return [table[rows, place] for table in state["statistics"]]


def _meaning(chain: Chain) -> Any:
    """Return what the extra transforms of a column were made with, as primitives."""
    return describe_transforms([
        {
            "name": type(one).__name__,
            **{name: value for name, value in vars(one).items() if name[0] != "_"},
            # what is given as a table is kept in the state
            "state": {} if one.learns else one.state_dict(),
        }
        for one in chain.extra.transforms
    ])  # fmt: skip


def _few(names: list[str]) -> str:
    shown = ["time" if name == TIME else name for name in names]
    return f"{len(shown)} columns ({first_names(shown)})" if len(shown) > 3 else first_names(shown)

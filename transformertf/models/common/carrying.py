"""What a recurrence remembers after the sequences of one batch, for those that go on there."""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch

from transformertf.batch import Batch
from transformertf.errors import InputError
from transformertf.models.common.layout import ForecastOutput

log = logging.getLogger(__name__)
# index of a series, and a row of it
Place = tuple[int, int]


@runtime_checkable
class Carries(Protocol):
    """A network for sequences that has a state."""

    def advance(
        self, sequence: torch.Tensor, lengths: torch.Tensor | None = None, state: Any = None
    ) -> tuple[ForecastOutput, Any]:
        """Give the target on every step of more of a sequence, and the state after it."""
        ...


class CarriedStates:
    """The states of a network after the last steps of sequences, from batch to batch.

    A sequence that begins by itself begins with zeros, whatever is held: so nothing passes from one
    round through the data to the next, nor to another model or data. Lanes, which a fit trains on,
    have states of their own: what is validated in between does not touch them. N layers, B batch, D
    width.
    """

    def __init__(self) -> None:
        # tensors (N, D) after the sequences of the last batch, and after those that stay
        self._held: dict[Place, tuple[torch.Tensor, ...]] = {}
        self._kept: dict[Place, tuple[torch.Tensor, ...] | None] = {}
        self._lanes = LaneStates()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the states out: what goes on with a copy begins anew."""
        return {"_held": {}, "_kept": {}, "_lanes": LaneStates()}

    @property
    def lanes(self) -> list[torch.Tensor]:
        """What a fit goes on with: (N, B, D) each part of the states, and (2, B) series and row."""
        return self._lanes.parts

    @lanes.setter
    def lanes(self, parts: list[torch.Tensor]) -> None:
        self._lanes = LaneStates(parts)

    def keep(self, places: Iterable[Place]) -> None:
        """Have the states that come first at some places stay, and no others any more."""
        self._kept = dict.fromkeys(places)

    def knows(self, place: Place) -> bool:
        """Whether a sequence could go on at a place."""
        return place in self._held or self._kept.get(place) is not None

    def run(self, network: torch.nn.Module, batch: Batch) -> Callable[..., ForecastOutput] | None:
        """Return what to call in the place of a network; None where there is no state to carry.

        Args:
            network: has a state, or not.
            batch: of sequences with `begins`, or any other.

        Raises:
            InputError: a sequence goes on with one that was not in the batch before.
        """
        if "begins" not in batch or not isinstance(network, Carries):
            return None
        if "lane" in batch:
            return partial(self._lanes.advance, network, batch)
        given = (batch["series"], batch["origin"], batch["lengths"], batch["begins"])
        rows = list(zip(*(values.tolist() for values in given), strict=True))
        before = [
            None if begins else self._after((series, origin)) for series, origin, _, begins in rows
        ]
        ends = [(series, origin + length) for series, origin, length, _ in rows]

        def advance(sequence: torch.Tensor, lengths: torch.Tensor) -> ForecastOutput:
            result, final = network.advance(sequence, lengths, _joined(before, sequence))
            single = zip(*(part.unbind(1) for part in _parts(final)), strict=True)
            self._held = dict(zip(ends, single, strict=True))
            for place in self._kept.keys() & self._held.keys():
                self._kept[place] = self._kept[place] or self._held[place]
            return result

        return advance

    def _after(self, place: Place) -> tuple[torch.Tensor, ...]:
        state = self._kept.get(place) or self._held.get(place)
        if state is None:
            series, row = place
            raise InputError(
                f"a sequence of series {series} goes on after row {row}, where none of the batch "
                "before ended: give the batches of a data module in their order, from the first on"
            )
        return state


class LaneStates:
    """The states of a network after the last steps of lanes, of which each has a row of a batch.

    Args:
        parts: what `parts` was; empty where all lanes begin.
    """

    def __init__(self, parts: Sequence[torch.Tensor] = ()) -> None:
        self.parts = list(parts)
        self._resumed = bool(parts)

    def advance(
        self, network: Carries, batch: Batch, sequence: torch.Tensor, lengths: torch.Tensor
    ) -> ForecastOutput:
        """Run a network over the pieces of a batch, from the states of the batch before.

        A lane that does not go on where it was begins anew, as after a resume with other lanes.
        A state that is not finite is left behind: a batch that is skipped must not end its lane.
        """
        begins = self._begins(batch)
        state = None
        if self.parts:
            joined = [
                torch.where(begins.view(1, -1, 1), 0.0, part.to(sequence.device, sequence.dtype))
                for part in self.parts[:-1]
            ]
            state = _state(joined)
        result, final = network.advance(sequence, lengths, state)
        states = _parts(final)
        finite = torch.stack([part.isfinite().all(dim=2).all(dim=0) for part in states]).all(dim=0)
        states = [torch.where(finite.view(1, -1, 1), part, 0.0) for part in states]
        ends = torch.stack([batch["series"], batch["origin"] + batch["lengths"]])
        self.parts = [*states, ends]
        return result

    def _begins(self, batch: Batch) -> torch.Tensor:
        """Return (B,) which lanes begin; some that should not are told of."""
        found, begins = torch.stack([batch["series"], batch["origin"]]), batch["begins"]
        if self.parts and self.parts[-1].shape != found.shape:
            self.parts = []
        if not self.parts:
            lost = ~begins
        else:
            lost = (found != self.parts[-1].to(found.device)).any(dim=0) & ~begins
        # elsewhere the host would wait at every step
        if (self._resumed or lost.device.type == "cpu") and bool(lost.any()):
            log.warning(
                "%d of %d lanes do not go on where they were in the batch before, and begin "
                "without a state",
                int(lost.sum()), len(lost),
            )  # fmt: skip
        self._resumed = False
        return begins | lost


def _joined(states: list[tuple[torch.Tensor, ...] | None], sequence: torch.Tensor) -> Any:
    """Return the states (N, B, D) of rows, 0 of those that have none; None without any."""
    there = next((state for state in states if state is not None), None)
    if there is None:
        return None
    none = tuple(torch.zeros_like(part) for part in there)
    parts = [
        # single where a recurrence in half precision hands on what it took as single
        torch.stack(rows, dim=1).to(sequence.dtype)
        for rows in zip(*(none if state is None else state for state in states), strict=True)
    ]
    return _state(parts)


def _parts(state: Any) -> list[torch.Tensor]:
    """Return the tensors of a network's state, without their gradients."""
    return [part.detach() for part in (state if isinstance(state, tuple) else (state,))]


def _state(parts: list[torch.Tensor]) -> Any:
    """Return the state that tensors are the parts of, as its network gives it."""
    return tuple(parts) if len(parts) > 1 else parts[0]

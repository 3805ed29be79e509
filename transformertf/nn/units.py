"""Criteria of the target in its own units, and the values that it can have there."""

from collections.abc import Mapping
from typing import Any, Literal, NoReturn

import torch

from transformertf.errors import InputError

Support = Literal[
    "all numbers",
    "counts 0, 1, 2, ...",
    "numbers above 0",
    "numbers from 0",
    "numbers from 0 to 1",
    "-1 and 1",
]


class OwnUnits(torch.nn.Module):
    """A criterion of y = s z + c, the target in its own units, that is given the scaled one, z.

    Attributes:
        support: values that the target can have; where those are all numbers, the scaled target
            serves as well as that in its own units.
        remedy: what to take for other values.
        loc: c; kept in checkpoints.
        scale: s likewise.
    """

    support: Support
    remedy: str

    def __init__(self) -> None:
        super().__init__()
        # no buffers: a module in half precision would round them
        self.loc, self.scale = 0.0, 1.0

    @property
    def label(self) -> str:
        """What to call the criterion before the user."""
        return label_of(type(self).__name__, vars(self))

    @property
    def in_own_units(self) -> bool:
        """Whether it is the target's own units that count, and location and scale stay."""
        return self.support != "all numbers"

    def of_own_units(self, target: torch.Tensor) -> torch.Tensor:
        """Return a scaled target in its own units, in double precision where there is such."""
        return widen(target) * self.scale + self.loc

    def first_outside(self, target: torch.Tensor, mask: torch.Tensor) -> tuple[int, float] | None:
        """Return row and value, in the target's own units, of one that it cannot have.

        Args:
            target: (B, T, 1) scaled.
            mask: (B, T) steps that are looked at.
        """
        if not self.in_own_units:
            return None
        value = self.of_own_units(target)[..., 0]
        # what scaling has cost of the digits
        distance = (value - self.loc).abs() + abs(self.loc)
        broken = (value - value.round()).abs() > torch.finfo(target.dtype).eps * distance
        value = torch.where(broken, value, value.round())
        found = (self._outside(value, broken) & mask).nonzero()
        if not len(found):
            return None
        row, step = found[0].tolist()
        return row, float(value[row, step])

    def _outside(self, value: torch.Tensor, broken: torch.Tensor) -> torch.Tensor:
        """Return which values are none of the support; `broken` ones are no whole numbers."""
        if self.support == "numbers above 0":
            return value <= 0
        if self.support == "-1 and 1":
            return value.abs() != 1
        if self.support == "counts 0, 1, 2, ...":
            return (value < 0) | broken
        return (value < 0) | (value > (1 if self.support == "numbers from 0 to 1" else torch.inf))

    def refuse_windows(self) -> NoReturn:
        """Refuse windows that are scaled by themselves.

        Raises:
            InputError: says what else there is.
        """
        raise InputError(
            f"{self.label} is of {self.support}, which windows scaled by themselves are not; set "
            "data.normalize to true or false"
        )

    def get_extra_state(self) -> torch.Tensor:
        """Return loc and scale for a checkpoint."""
        return torch.tensor([self.loc, self.scale], dtype=torch.float64)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Take over loc and scale of a checkpoint."""
        self.loc, self.scale = state.tolist()


def label_of(kind: str, arguments: Mapping[str, Any]) -> str:
    """Return the name of a criterion, with the argument that its outputs' meaning hangs on."""
    if "distribution" in arguments:
        return f"{kind} {arguments['distribution']!r}"
    return kind if arguments.get("log_input", True) else f"{kind} with log_input False"


def widen(values: torch.Tensor) -> torch.Tensor:
    """Return values in double precision where the device has it, else in single."""
    return values.float() if values.device.type == "mps" else values.double()

"""Losses of torch.nn that are given no estimate of the target, and the way from one to the other.

A network gives a real number r at each step. Of the target in its own units, y = s z + c, with
l = max(c, s) the level of the data, and pos(r) = r from 0.1 on and 0.1 exp(10 r - 1) below:

    criterion                           is given                           and forecasts
    PoissonNLLLoss                      log rate, log l + (s / l) r        its exponential
    PoissonNLLLoss, log_input: false    rate, s pos(r + c / s)             the rate
    BCEWithLogitsLoss                   logit, r                           its logistic function
    BCELoss                             probability, 1 / (1 + exp(-r))     the probability
    SoftMarginLoss                      logit of 1 against -1, r           the mean, tanh(r / 2)

Without scaling, s = 1 and c = 0, all but BCELoss are given what the network gives; rates are kept
above 0. A class that is derived
from one of these is taken as that one. All others of torch.nn that give a loss of each output take
the estimate itself, and so is any criterion that is not known here.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from transformertf.errors import InputError
from transformertf.nn.units import OwnUnits, Support, label_of, widen

# below it a rate is bent, so that it stays above 0
_BEND = 0.1


@dataclass(frozen=True)
class _Link:
    """What a criterion is given, and what that says of the target.

    Attributes:
        support: values that the target can have.
        given: gives what the criterion is given, of numbers of the network, and of c and s.
        estimate: gives the target's mean in its own units, of what the criterion is given.
    """

    support: Support
    given: Callable[[torch.Tensor, float, float], torch.Tensor]
    estimate: Callable[[torch.Tensor], torch.Tensor]


def _log_rate(raw: torch.Tensor, loc: float, scale: float) -> torch.Tensor:
    level = max(loc, scale)
    return math.log(level) + scale / level * raw


def _rate(raw: torch.Tensor, loc: float, scale: float) -> torch.Tensor:
    rate = raw + loc / scale
    low = rate.clamp(max=_BEND)
    return scale * torch.where(rate > _BEND, rate, _BEND * torch.exp(low / _BEND - 1))


def _logit(raw: torch.Tensor, loc: float, scale: float) -> torch.Tensor:
    return raw


def _probability(raw: torch.Tensor, loc: float, scale: float) -> torch.Tensor:
    return torch.sigmoid(raw)


def _as_it_is(given: torch.Tensor) -> torch.Tensor:
    return given


def _mean_of_signs(given: torch.Tensor) -> torch.Tensor:
    return torch.tanh(given / 2)


_RATE = _Link("numbers from 0", _rate, _as_it_is)
_LINKS: dict[type[torch.nn.Module], _Link] = {
    torch.nn.PoissonNLLLoss: _Link("numbers from 0", _log_rate, torch.exp),
    torch.nn.BCEWithLogitsLoss: _Link("numbers from 0 to 1", _logit, torch.sigmoid),
    torch.nn.BCELoss: _Link("numbers from 0 to 1", _probability, _as_it_is),
    torch.nn.SoftMarginLoss: _Link("-1 and 1", _logit, _mean_of_signs),
}
# why a forecast cannot be had, and what to take
_NONE: dict[type[torch.nn.Module], tuple[str, str]] = {
    torch.nn.HingeEmbeddingLoss: (
        "is given the distance of a pair",
        "SoftMarginLoss for targets -1 and 1",
    ),
    torch.nn.KLDivLoss: (
        "is given the logarithms of all probabilities of a distribution",
        "BCEWithLogitsLoss for targets from 0 to 1, or DistributionLoss",
    ),
    torch.nn.GaussianNLLLoss: (
        "is given a variance beside the mean",
        "DistributionLoss with distribution 'normal'",
    ),
}
_RANGES = {"numbers from 0": (0.0, math.inf), "numbers from 0 to 1": (0.0, 1.0)}


class LinkedLoss(OwnUnits):
    """A criterion that is given numbers which stand for the target's mean.

    Args:
        criterion: elementwise.
        link: what it is given.
    """

    remedy = "take a criterion of all numbers, such as MSELoss or HuberLoss"

    def __init__(self, criterion: torch.nn.Module, link: _Link) -> None:
        super().__init__()
        self.criterion = criterion
        self.support = link.support
        self._link = link

    @property
    def label(self) -> str:
        """What to call the criterion before the user."""
        return label_of(type(self.criterion).__name__, vars(self.criterion))

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the losses (B, T, 1), of the output's type.

        In double precision, where the device has it: the terms of large counts nearly cancel.

        Args:
            output: (B, T, 1) numbers of the network.
            target: (B, T, 1) scaled target.
        """
        low, high = _RANGES.get(self.support, (-1.0, 1.0))
        # scaling costs digits, and torch refuses a probability of 1.0000001
        value = self.of_own_units(target).clamp(low, high)
        # torch refuses BCELoss under autocast, which double precision has no use for
        with torch.autocast(output.device.type, enabled=False):
            loss: torch.Tensor = self.criterion(self._given(output), value)
        return loss.to(output.dtype)

    def estimate(self, output: torch.Tensor) -> torch.Tensor:
        """Return the target's mean (B, T, 1), scaled, in double precision where there is such.

        Args:
            output: (B, T, 1) numbers of the network.
        """
        return (self._link.estimate(self._given(output)) - self.loc) / self.scale

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *args: Any) -> None:
        # older checkpoints were trained on the target as it was scaled, and tell no units
        state.setdefault(f"{prefix}_extra_state", torch.tensor([0.0, 1.0], dtype=torch.float64))
        super()._load_from_state_dict(state, prefix, *args)

    def _given(self, output: torch.Tensor) -> torch.Tensor:
        return self._link.given(widen(output), self.loc, self.scale)


def linked(criterion: torch.nn.Module) -> torch.nn.Module:
    """Return the criterion of what a network gives, where this is no estimate of the target.

    Args:
        criterion: elementwise.
    """
    link = next((link for kind, link in _LINKS.items() if isinstance(criterion, kind)), None)
    if isinstance(criterion, torch.nn.PoissonNLLLoss) and not criterion.log_input:
        link = _RATE
    return criterion if link is None else LinkedLoss(criterion, link)


def is_linked(name: str) -> bool:
    """Return whether a class of torch.nn is a loss that is given no estimate of the target."""
    return any(kind.__name__ == name for kind in _LINKS)


def refuse_without_forecast(criterion: torch.nn.Module) -> None:
    """Refuse losses of torch.nn whose input says nothing of the target.

    Raises:
        InputError: names what to take.
    """
    for kind, (reason, remedy) in _NONE.items():
        if isinstance(criterion, kind):
            raise InputError(
                f"criterion {type(criterion).__name__} gives no forecast: it {reason}; take "
                f"{remedy}"
            )

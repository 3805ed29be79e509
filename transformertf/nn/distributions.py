"""The negative log likelihood of a distribution at each step, and its quantiles.

B batch, T steps, P parameters of the distribution, Q levels. A network gives real numbers r1, r2,
...; with pos(r) = log(1 + exp(r)) + 1e-4 they stand for

    normal              mean r1, standard deviation pos(r2)
    student_t           location r1, scale pos(r2), degrees of freedom 2 + pos(r3)
    negative_binomial   mean m = s pos(r1 + c / s), variance m + a m^2 with a = (s / l)^2 pos(r2)
    log_normal          of log y: mean log l + (s / l) r1, standard deviation (s / l) pos(r2)

The first two are distributions of the scaled target z, the others of y = s z + c in the target's
own units. l = max(c, s) is the level of the data: whatever its size, numbers near 0, where training
starts, put mean and spread near those of the data.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import scipy.special
import scipy.stats
import torch
from torch.distributions import Distribution, LogNormal, NegativeBinomial, Normal, StudentT

from transformertf.errors import InputError, nearest
from transformertf.nn.losses import rising_levels
from transformertf.nn.units import OwnUnits, Support, widen

DistributionName = Literal["normal", "student_t", "negative_binomial", "log_normal"]

# added to what must be above 0, so that no likelihood grows without bound
FLOOR = 1e-4
# below it a softplus is its exponential, and adds nothing to the floor
_LOWEST = -30.0


def _positive(raw: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.softplus(raw) + FLOOR


def _normal(raw: torch.Tensor, loc: float, scale: float) -> Distribution:
    return Normal(raw[..., :1], _positive(raw[..., 1:]), validate_args=False)


def _student_t(raw: torch.Tensor, loc: float, scale: float) -> Distribution:
    spread, freedom = _positive(raw[..., 1:2]), 2 + _positive(raw[..., 2:])
    return StudentT(freedom, raw[..., :1], spread, validate_args=False)


def _negative_binomial(raw: torch.Tensor, loc: float, scale: float) -> Distribution:
    # the mean moves with r1 as a scaled forecast would: counts of millions train as those of tens
    mean = scale * _positive(raw[..., :1] + loc / scale)
    excess = (scale / max(loc, scale)) ** 2 * _positive(raw[..., 1:])
    return NegativeBinomial(1 / excess, logits=(mean * excess).log(), validate_args=False)


def _log_normal(raw: torch.Tensor, loc: float, scale: float) -> Distribution:
    level = max(loc, scale)
    location = math.log(level) + scale / level * raw[..., :1]
    return LogNormal(location, scale / level * _positive(raw[..., 1:]), validate_args=False)


def _own_icdf(distribution: Distribution, levels: torch.Tensor) -> torch.Tensor:
    return distribution.icdf(levels)


def _student_t_icdf(distribution: Distribution, levels: torch.Tensor) -> torch.Tensor:
    assert isinstance(distribution, StudentT)
    deviate = scipy.special.stdtrit(distribution.df.cpu().numpy(), levels.cpu().numpy())
    return distribution.loc + distribution.scale * torch.from_numpy(deviate).to(levels)


def _negative_binomial_icdf(distribution: Distribution, levels: torch.Tensor) -> torch.Tensor:
    assert isinstance(distribution, NegativeBinomial)
    # scipy's p is the probability of what torch counts as failures
    total, p = distribution.total_count, torch.sigmoid(-distribution.logits)
    counts = scipy.stats.nbinom.ppf(*(each.cpu().numpy() for each in (levels, total, p)))
    return torch.from_numpy(counts).to(levels)


@dataclass(frozen=True)
class _Family:
    """What there is to know of a distribution.

    Attributes:
        num_parameters: real numbers P that it takes at each step.
        make: gives the distributions (B, T, 1) of numbers (B, T, P), and of c and s above.
        icdf: gives the quantiles of such distributions at levels, in double precision.
        support: the values it can have; where those are not all numbers, the target's own units
            count, and its location and scale cannot be moved.
    """

    num_parameters: int
    make: Callable[[torch.Tensor, float, float], Distribution]
    icdf: Callable[[Distribution, torch.Tensor], torch.Tensor]
    support: Support


_FAMILIES: dict[str, _Family] = {
    "normal": _Family(2, _normal, _own_icdf, "all numbers"),
    "student_t": _Family(3, _student_t, _student_t_icdf, "all numbers"),
    "negative_binomial": _Family(
        2, _negative_binomial, _negative_binomial_icdf, "counts 0, 1, 2, ..."
    ),
    "log_normal": _Family(2, _log_normal, _own_icdf, "numbers above 0"),
}


class DistributionLoss(OwnUnits):
    """Negative log likelihood of the target under a distribution of each step.

    A proper score: the true distribution has the lowest expected loss (Gneiting and Raftery 2007).
    That of "negative_binomial" and "log_normal" is of the target in its own units.

    Args:
        distribution: "normal", "student_t" (heavy tails), "negative_binomial" (counts) or
            "log_normal" (values above 0, skewed); the model gives one output for each parameter.
        quantiles: rising levels, each between 0 and 1, that a forecast shows. They have no part
            in the loss.
    """

    remedy = "take distribution 'normal' or 'student_t'"

    def __init__(
        self,
        distribution: DistributionName = "normal",
        quantiles: Sequence[float] = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98),
    ) -> None:
        super().__init__()
        if distribution not in _FAMILIES:
            hint = nearest(str(distribution), _FAMILIES)
            raise InputError(f"DistributionLoss: unknown distribution {distribution!r}; {hint}")
        self.distribution = distribution
        self.quantiles = rising_levels("DistributionLoss", quantiles)
        self.support = self._family.support

    @property
    def num_parameters(self) -> int:
        """Outputs that the model gives for each step."""
        return self._family.num_parameters

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return -log p(target) of each step.

        In double precision, where the device has it: of large counts the terms cancel but for
        their last digits.

        Args:
            output: (B, T, P) real numbers.
            target: (B, T, 1) scaled target; or its copies (B, T, P).

        Returns:
            (B, T, 1), of the output's type.
        """
        value = self.of_own_units(target[..., :1])
        if self.support == "counts 0, 1, 2, ...":
            value = value.round()
        return -self._distributions(widen(output)).log_prob(value).to(output.dtype)

    def icdf(self, output: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        """Return quantiles (B, T, Q) in scaled units, in double precision where there is such.

        Those of "student_t" and "negative_binomial" are computed on the host.

        Args:
            output: (B, T, P) real numbers.
            levels: (Q,), or (B, T, Q), between 0 and 1.
        """
        with torch.no_grad():
            wide = widen(output)
            values = self._family.icdf(self._distributions(wide), levels.to(wide))
        return (values - self.loc) / self.scale

    def shift(self, output: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        """Return the outputs (B, T, P) of X + `by`, from those of X; of location and scale only."""
        assert not self.in_own_units
        return torch.cat([output[..., :1] + by, output[..., 1:]], dim=-1)

    def rescale(self, output: torch.Tensor, loc: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return the outputs (B, T, P) of X * `scale` + `loc`, from those of X.

        The floor of X's scale stays as it is.

        Args:
            output: (B, T, P) real numbers.
            loc: (B, 1, 1).
            scale: (B, 1, 1), above 0.

        Raises:
            InputError: the distribution has no location and scale.
        """
        if self.in_own_units:
            self.refuse_windows()
        location, spread, rest = output[..., :1], output[..., 1:2], output[..., 2:]
        spread = scale * torch.nn.functional.softplus(spread.clamp(min=_LOWEST))
        # the inverse of a softplus
        spread = spread + (-torch.expm1(-spread)).log()
        return torch.cat([location * scale + loc, spread, rest], dim=-1)

    @property
    def _family(self) -> _Family:
        return _FAMILIES[self.distribution]

    def _distributions(self, output: torch.Tensor) -> Distribution:
        assert output.size(-1) == self.num_parameters
        return self._family.make(output, self.loc, self.scale)

"""The ridge regression that a network's outputs may be added to.

B batch, N windows, Tc context steps that it reads, Td horizon steps, Fp features of a context step,
Ff of a horizon step, S static ones, I = Tc Fp + Td Ff + S inputs.
"""

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, cast

import lightning
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch.utils.data import DataLoader

from transformertf.batch import Batch, counted, sides
from transformertf.errors import InputError
from transformertf.models.common.layout import bring_first, complete
from transformertf.utils.sequence import data_mask, shift_rows

log = logging.getLogger(__name__)
# windows that are read, evenly over all those of the training
WINDOWS = 20_000
# of the spread of each input, to choose from
PENALTIES = tuple(10.0**power for power in range(-5, 2))
# inputs that a context left to itself is cut down to, and those that can be solved for: their
# products are the square of them in float64
INPUTS, LARGEST = 2_000, 10_000
# windows of a batch that is read
_ROWS = 256
# share of an input's mean square below which its variance is one of rounding
_CONSTANT = 1e-9


class WholeWindows(Protocol):
    """Training windows that come whole, without noise."""

    def __len__(self) -> int:
        """Return the number of windows."""
        ...

    def whole(self, index: npt.NDArray[np.int64]) -> Batch:
        """Return the batch of windows (B,) at full length."""
        ...


class Reading(NamedTuple):
    """What a forecast is made from, of a batch.

    Attributes:
        past: (B, T, Fp) features of the context, data first and zero on padding.
        past_lengths: (B,) int64 data steps.
        future: (B, T', Ff) likewise of the horizon.
        future_lengths: (B,) int64 data steps.
        static: (B, S); None where there are none.
    """

    past: torch.Tensor
    past_lengths: torch.Tensor
    future: torch.Tensor
    future_lengths: torch.Tensor
    static: torch.Tensor | None

    @classmethod
    def of(cls, batch: Batch) -> "Reading":
        """Return that of a whole batch of windows."""
        context, horizon = sides(batch)
        return cls(
            bring_first(context), context.lengths, bring_first(horizon), horizon.lengths,
            batch.get("static_input"),
        )  # fmt: skip


class Ridge(torch.nn.Module):
    """An affine map of the inputs of a window to the target on its horizon, in closed form.

    It reads the last Tc steps of the context, each by its distance from the end, the horizon, each
    step by its distance from the beginning, and what is static. Steps that are not there are zero.
    Its buffers are empty until `size` or a checkpoint says how much it reads.

    Args:
        context: steps Tc at most; None for as many as keep the inputs below `INPUTS`.

    Attributes:
        past: (Tc, Fp, Td).
        future: (Td, Ff, Td).
        static: (S, Td).
        bias: (Td,).
        fitted: () bool.
    """

    past: torch.Tensor
    future: torch.Tensor
    static: torch.Tensor
    bias: torch.Tensor
    fitted: torch.Tensor

    def __init__(self, context: int | None = None) -> None:
        super().__init__()
        self.context = context
        for name, dimensions in (("past", 3), ("future", 3), ("static", 2), ("bias", 1)):
            self.register_buffer(name, torch.zeros((0,) * dimensions))
        self.register_buffer("fitted", torch.tensor(False))

    def forward(self, reading: Reading) -> torch.Tensor:
        """Return the forecast (B, T', 1) of each step of the horizon, zero beyond Td.

        Raises:
            InputError: it is not fitted, or to other features or a shorter horizon.
        """
        self._require(reading)
        steps, horizon = reading.future.size(1), self.bias.size(0)
        # in the digits it has, whatever a trainer computes with
        with torch.autocast(reading.past.device.type, enabled=False):
            found = self.inputs(reading).to(self.bias) @ self.weight + self.bias  # (B, Td)
        return torch.nn.functional.pad(found, (0, max(0, steps - horizon)))[:, :steps, None]

    @property
    def weight(self) -> torch.Tensor:
        """The weights (I, Td) of all inputs."""
        return torch.cat([self.past.flatten(0, 1), self.future.flatten(0, 1), self.static])

    def inputs(self, reading: Reading) -> torch.Tensor:
        """Return what it reads (B, I) of a batch."""
        past, past_lengths, future, future_lengths, static = reading
        context, horizon = self.past.size(0), self.bias.size(0)
        at_end = data_mask(past_lengths, context, "right")
        at_start = data_mask(future_lengths, horizon, "left")
        parts = [
            shift_rows(past, past_lengths - context, at_end).flatten(1),
            shift_rows(future, torch.zeros_like(future_lengths), at_start).flatten(1),
        ]
        return torch.cat(parts if static is None else [*parts, static.to(past)], dim=1)

    def size(self, features: int, known: int, fixed: int, context: int, horizon: int) -> None:
        """Take the sizes of data, unless it has them already; then it is fitted or not, as before.

        Args:
            features: features Fp of a context step.
            known: features Ff of a horizon step.
            fixed: static features S.
            context: longest context in steps.
            horizon: steps Td.

        Raises:
            InputError: more inputs than can be solved for.
        """
        others = horizon * known + fixed
        steps = self.context or min(context, max(1, (INPUTS - others) // features))
        if (inputs := steps * features + others) > LARGEST:
            raise InputError(
                f"prediction_type 'ridge' would read {inputs:,} numbers of each window, {features} "
                f"features of {steps} context steps and {known} of {horizon} horizon steps, and "
                f"solves for {LARGEST:,} at most; set ridge_context or data.tgt_seq_len lower, or "
                "take another prediction_type"
            )
        shapes = {
            "past": (steps, features, horizon),
            "future": (horizon, known, horizon),
            "static": (fixed, horizon),
            "bias": (horizon,),
        }
        if all(getattr(self, name).shape == shape for name, shape in shapes.items()):
            return
        for name, shape in shapes.items():
            setattr(self, name, self.bias.new_zeros(shape))
        self.fitted.fill_(False)

    def fit(self, windows: WholeWindows) -> float:
        """Fit it to at most `WINDOWS` training windows, and return the penalty.

        Windows with a step that is not observed, or has no weight, take no part; errors of all
        others count in the units of the batch's target. The penalty is the one of `PENALTIES` that
        serves the last fifth of the windows best when the others are fitted; then all are fitted.
        All sums are in float64, on the CPU, and so the same in each process.

        Args:
            windows: of the training, in the order in which the last fifth is the latest.

        Raises:
            InputError: fewer than two windows can be used.
        """
        usable = self._usable(windows)
        if len(usable) < 2:
            raise InputError(
                "prediction_type 'ridge' is fitted to training windows whose target is observed, "
                f"and counts, on all {self.bias.size(0)} steps of the horizon, and found "
                f"{len(usable)}; set data.tgt_seq_len lower, give more rows, or take another "
                "prediction_type"
            )
        kept = max(1, len(usable) * 4 // 5)
        fitted, held_out = (
            _Sums.over(self._pairs(windows, part)) for part in (usable[:kept], usable[kept:])
        )
        errors = [held_out.error(*fitted.solve(penalty)) for penalty in PENALTIES]
        penalty = PENALTIES[int(np.argmin(errors))]
        self._take(*fitted.plus(held_out).solve(penalty))
        return penalty

    def _take(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Take over weights (I, Td) and bias (Td,)."""
        sizes = [self.past[..., 0].numel(), self.future[..., 0].numel(), self.static.size(0)]
        names = ("past", "future", "static")
        for name, part in zip(names, torch.split(weight, sizes), strict=True):
            own = getattr(self, name)
            own.copy_(part.reshape(own.shape))
        self.bias.copy_(bias)
        self.fitted.fill_(True)

    def _usable(self, windows: WholeWindows) -> npt.NDArray[np.int64]:
        """Return windows, evenly over all, whose target counts on each step of the horizon."""
        count = len(windows)
        index = np.unique(np.linspace(0, count - 1, min(count, WINDOWS)).round().astype(np.int64))
        whole = [
            counted(complete(windows.whole(part))).sum(dim=1).cpu().numpy() == self.bias.size(0)
            for part in _pieces(index)
        ]
        return np.compress(np.concatenate(whole), index)

    def _pairs(
        self, windows: WholeWindows, index: npt.NDArray[np.int64]
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield rows of inputs and a 1 (N, I + 1), and targets (N, Td), of windows, in float64.

        Each row is in the units of the batch's target, which the loss counts in.
        """
        for part in _pieces(index):
            batch = complete(windows.whole(part))
            target = bring_first(sides(batch)[1]._replace(inputs=batch["target"]))[..., 0]
            inputs, target = self.inputs(Reading.of(batch)).cpu().double(), target.cpu().double()
            rows = torch.nn.functional.pad(inputs, (0, 1), value=1.0)
            if "window_loc" in batch:
                rows = rows * batch["window_scale"].cpu().unsqueeze(1)
                target = target - batch["window_loc"].cpu().unsqueeze(1)
            yield rows, target[:, : self.bias.size(0)]

    def _require(self, reading: Reading) -> None:
        """Refuse what cannot be forecast."""
        if not self.bias.numel():  # whose sizes are known, is fitted before it forecasts
            raise InputError(
                "prediction_type 'ridge' is not fitted: a fit with a data module does it as it "
                "begins, and a checkpoint of one holds it"
            )
        static = 0 if reading.static is None else reading.static.size(1)
        found = reading.past.size(2), reading.future.size(2), static
        expected = self.past.size(1), self.future.size(1), self.static.size(0)
        if found != expected:
            raise InputError(
                f"batch: features of context and horizon and static ones are {found}, but "
                f"prediction_type 'ridge' was fitted to {expected}; give the data of that fit"
            )
        horizon = self.bias.size(0)
        if reading.future.size(1) > horizon and int(reading.future_lengths.max()) > horizon:
            raise InputError(
                f"a horizon has {int(reading.future_lengths.max())} steps, but prediction_type "
                f"'ridge' was fitted to {horizon}; set data.tgt_seq_len to {horizon}, or fit anew"
            )

    def _load_from_state_dict(
        self, state: dict[str, torch.Tensor], prefix: str, *args: Any
    ) -> None:
        """Take over what a checkpoint holds, with its sizes."""
        own = dict(self.named_buffers(recurse=False))
        stored = {name: state[prefix + name] for name in own if prefix + name in state}
        if all(value.ndim == own[name].ndim for name, value in stored.items()):
            for name, value in stored.items():
                setattr(self, name, own[name].new_zeros(value.shape))
        horizons = {*self.future.shape[::2], self.past.size(2), *self.static.shape[1:]}
        if len({*horizons, *self.bias.shape}) > 1:
            args[-1].append(f"{prefix}*: weights of horizons of several lengths")
        super()._load_from_state_dict(state, prefix, *args)


class _Sums(NamedTuple):
    """Sums over windows that the ridge follows from, all in float64.

    Attributes:
        inputs: (I + 1, I + 1) products of the inputs and a 1.
        both: (I + 1, Td) those with the targets.
        squares: () of the targets.
    """

    inputs: torch.Tensor
    both: torch.Tensor
    squares: torch.Tensor

    @classmethod
    def over(cls, pairs: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> "_Sums":
        """Return those over pieces of rows (N, I + 1) and targets (N, Td), at least one."""
        sums = None
        for rows, target in pairs:
            found = cls(rows.T @ rows, rows.T @ target, target.square().sum())
            sums = found if sums is None else sums.plus(found)
        assert sums is not None
        return sums

    def plus(self, other: "_Sums") -> "_Sums":
        """Return the sums over both."""
        return _Sums(*(own + more for own, more in zip(self, other, strict=True)))

    def solve(self, penalty: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return weights (I, Td) and bias (Td,) of the least mean squares.

        To the mean square comes the penalty times the squares of the weights, each in units of its
        input's spread: so inputs may be in any units. The bias is free. An input that is constant
        has weight 0.
        """
        inputs, both = self.inputs / self.inputs[-1, -1], self.both / self.inputs[-1, -1]
        mean, target = inputs[:-1, -1], both[-1]
        covariance = inputs[:-1, :-1] - mean.outer(mean)
        variance = covariance.diagonal()
        varies = variance > _CONSTANT * inputs.diagonal()[:-1]
        unit = torch.where(varies, variance, torch.inf).rsqrt()
        system = covariance * unit.outer(unit)
        system.diagonal().add_(penalty)
        against = (both[:-1] - mean.outer(target)) * unit.unsqueeze(1)
        factor = torch.linalg.cholesky(system)
        weight = torch.cholesky_solve(against, factor) * unit.unsqueeze(1)
        return weight, target - mean @ weight

    def error(self, weight: torch.Tensor, bias: torch.Tensor) -> float:
        """Return the sum of the squared errors of a map on these windows."""
        map_ = torch.cat([weight, bias.unsqueeze(0)])
        return float(
            self.squares - 2 * (map_ * self.both).sum() + (map_ * (self.inputs @ map_)).sum()
        )


def _pieces(index: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    return (index[start : start + _ROWS] for start in range(0, len(index), _ROWS))


class RidgeSource(Protocol):
    """A data module of windows, which a ridge regression is fitted to."""

    ctxt_seq_len: int
    tgt_seq_len: int
    num_past_known_covariates: int
    num_future_known_covariates: int
    num_static_features: int

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return training batches, whose data set gives windows whole."""
        ...


def prepare_ridge(ridge: Ridge, source: object, trainer: lightning.Trainer | None) -> None:
    """Give a ridge regression its sizes, before a checkpoint fills it and processes share it.

    Args:
        ridge: of the model; one that has the sizes of the data keeps what it was fitted to.
        source: the data module, or None.
        trainer: of the fit.

    Raises:
        InputError: no data to fit to, or what copies the network before it is fitted.
    """
    callbacks: list[object] = getattr(trainer, "callbacks", [])
    if any(isinstance(one, WeightAveraging) for one in callbacks):
        raise InputError(
            "trainer.callbacks: WeightAveraging copies the forecaster before prediction_type "
            "'ridge' is fitted; set ema in its place, or take another prediction_type"
        )
    if any(not hasattr(source, name) for name in RidgeSource.__annotations__):
        raise InputError(
            "prediction_type 'ridge' is fitted to the windows of an EncoderDecoderDataModule, "
            f"found {type(source).__name__}; give the fit one as its data module, or take another "
            "prediction_type"
        )
    data = cast(RidgeSource, source)
    if (ridge.context or 1) > data.ctxt_seq_len:
        raise InputError(
            f"ridge_context is {ridge.context}, but contexts have {data.ctxt_seq_len} steps: set "
            f"it to {data.ctxt_seq_len} at most, or leave it out"
        )
    ridge.size(
        data.num_past_known_covariates, data.num_future_known_covariates, data.num_static_features,
        data.ctxt_seq_len, data.tgt_seq_len,
    )  # fmt: skip


def fit_ridge(ridge: Ridge, source: object) -> None:
    """Fit a ridge regression to the training windows of a data module, unless it is fitted.

    Raises:
        InputError: too few windows can be used.
    """
    if not ridge.fitted:
        windows = cast(WholeWindows, cast(RidgeSource, source).train_dataloader().dataset)
        log.info("ridge regression fitted, with penalty %g", ridge.fit(windows))

"""The data module of sequence-to-sequence models: inputs and target on the same steps."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from transformertf.batch import BatchKind
from transformertf.data.arguments import Stage
from transformertf.data.base import WindowDataModule
from transformertf.data.batches import SequenceDataset
from transformertf.data.scaling import ScaledRows
from transformertf.data.series import Series
from transformertf.data.windows import (
    OriginLike,
    Part,
    WindowLimits,
    Windows,
    consecutive,
    origin_text,
    whole_run,
)
from transformertf.errors import InputError
from transformertf.utils.sequence import Alignment

log = logging.getLogger(__name__)
# times the time since the start in training, from which on that of a series is told
_FAR = 1.5


class TimeSeriesDataModule(WindowDataModule):
    """Sequences of inputs and of the target on the same steps, of one or several series.

    The target is no input: at predict its values may be missing, or the whole column. In
    validation, test and forecasts each row comes once, in sequences of `seq_len` rows one after the
    other, the last one as short as need be. A model carries its state from each to the next, so
    that forecasts are those of one sequence, which begins where the series does, or its rows after
    a gap longer than `max_gap`. `stride` and `min_seq_len` are of training.

    Args:
        args: target and inputs, as `WindowDataModule` takes them.
        normalize: True or "global" standardises every column with training statistics; "series"
            with those of each series, and with those of all for a series that training did not
            have; False leaves original units.
        seq_len: length of a sequence in steps.
        min_seq_len: shortest sequence in training, for random lengths and short series; `seq_len`
            if not given.
        alignment: end of a padded sequence at which data lies.
        carry_state: train along whole runs (truncated backpropagation through time): row b of a
            batch goes on where row b of the one before stopped, with its state, and takes up the
            next run where one ends. Runs come in random order; `shuffle` False takes them as they
            are given. `batch_size` is the number of such lanes, `seq_len` the steps that a gradient
            reaches back, and `randomize_seq_len` "batch" draws these for each batch.
        fresh_starts: share of a lane's pieces, with `carry_state`, after which it leaves its run
            to begin without a state at a row drawn from all rows: for models that are to begin
            anywhere. `washout` keeps the first steps after it out of the loss.
        kwargs: files, scaling, batches and all else that `WindowDataModule` takes.
    """

    gives: ClassVar[BatchKind] = "sequences"
    missing_at_predict = "target"

    def __init__(
        self,
        *args: Any,
        # a window's own statistics would be those of its context
        normalize: bool | Literal["global", "series"] = True,
        seq_len: int = 500,
        min_seq_len: int | None = None,
        alignment: Alignment = "left",
        carry_state: bool = False,
        fresh_starts: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, normalize=normalize, **kwargs)
        if self.num_features == 0:
            raise InputError(
                "a sequence has no real input: give known_covariates, known_past_covariates or "
                "time_column; the target is none"
            )
        least = seq_len if min_seq_len is None else min_seq_len
        self.limits = WindowLimits.of_sequences(seq_len, least)
        self.alignment = alignment
        self.carry_state = carry_state
        self.delivery = replace(self.delivery, fresh_starts=fresh_starts)
        self._check_carrying(kwargs.get("shuffle"))

    @property
    def num_features(self) -> int:
        """Number of real features of a step."""
        return len(self.columns.encoder_features(add_target=False))

    @property
    def category_sizes(self) -> list[int]:
        """Numbers that each category of a step has; wants a fit."""
        return [*self.known_category_sizes, *self._sizes(self.columns.past_categories)]

    def make_dataset(
        self, stored: ScaledRows, windows: Windows, device: torch.device, needs_target: bool = False
    ) -> SequenceDataset:
        """Return the batches of sequences over stored series; see the base class."""
        noise_std = self.delivery.noise_std
        return SequenceDataset(
            stored, windows, self.scaling, self.alignment, noise_std, device, needs_target,
            self.washout,
        )  # fmt: skip

    def predict_windows(self) -> Windows:
        """Return consecutive sequences that hold each row of `predict_series` once."""
        series = self.predict_series
        windows = Windows(
            run
            for index, one in enumerate(series)
            for part in self.stages.whole(index, one)
            for run in consecutive([part], self.limits.horizon)
        )
        if self.scaling.has_delta and not self.columns.indicators:
            self._refuse_unknown_starts(series, windows)
        self._tell_long(series, windows)
        return windows

    def evaluation_windows(self, stage: Stage, origin: OriginLike) -> Windows:
        """Return consecutive sequences that hold each row of a stage once, by name of series."""
        if origin_text(origin) != "auto":
            raise InputError(
                f"origin {origin!r}: sequences have no origins, each row is forecast once; leave "
                "it out"
            )
        stretches: dict[tuple[int, int], list[Part]] = {}
        for part in sorted(self.stages.parts(stage), key=lambda part: part.name):
            stretches.setdefault((part.series, part.begin), []).append(part)
        kept = self.short.keep(
            stage,
            [parts[0] for parts in stretches.values()],
            lambda part: consecutive(stretches[part.series, part.begin], self.limits.horizon),
        )
        windows = Windows(run for runs in kept for run in runs)
        self._tell_long(self.stage_series(stage), windows)
        return windows

    def _training_windows(self, parts: Sequence[Part]) -> Windows:
        """Return the windows to train on: whole runs where a state is carried along them."""
        if not self.carry_state:
            return super()._training_windows(parts)
        return Windows(self.short.keep("train", parts, whole_run))

    def _check_carrying(self, shuffle: bool | None) -> None:
        """Refuse what contradicts how the state is, or is not, carried in training.

        Args:
            shuffle: as it was given.

        Raises:
            InputError: names the argument.
        """
        given, low = self.hparams, self.limits.min_horizon
        if not self.carry_state:
            if given["fresh_starts"]:
                raise InputError(
                    "fresh_starts is of training that carries a state: set carry_state to true, or "
                    "leave it out"
                )
            if self.washout >= low:
                raise InputError(
                    f"washout {self.washout} leaves nothing of a sequence of {low} steps to learn "
                    "from: raise seq_len or min_seq_len, lower washout, or set carry_state to true"
                )
            return
        given["shuffle"] = shuffle
        if shuffle:
            raise InputError(
                "carry_state: no state can be carried through windows in random order; leave "
                "shuffle out, and whole runs come in random order"
            )
        for name, wanted in (("stride", 1), ("randomize_seq_len", "batch")):
            if given[name] not in (wanted, False):
                raise InputError(
                    f"carry_state: {name} is {given[name]}, but pieces follow one another, and are "
                    f"of one length in a batch; set it to {wanted}, or leave it out"
                )

    def stage_windows(self, stage: Stage) -> Windows:
        """Return what is trained on, or else judged as it is forecast."""
        if stage == "train":
            return super().stage_windows(stage)
        self._read(self.stages.argument(stage))
        return self.evaluation_windows(stage, "auto")

    def _tell_long(self, series: Sequence[Series], windows: Windows) -> None:
        """Say once where time since the start goes far beyond that of training sequences."""
        if not self.columns.has_time or self.scaling.time_format != "absolute":
            return
        for run in windows.runs:
            if "time" in self._warned:
                return
            one, last = series[run.series], run.origin + (run.count - 1) * run.step + run.horizon
            assert one.time is not None
            passed = replace(one, time=one.time[[run.since, last]]).elapsed()
            # evenly spaced time ends at so many of its root mean squares, which are 1
            times = float(self.scaling.transform_time(torch.from_numpy(passed))[-1]) / 3**0.5
            if times > _FAR:
                self._warned.add("time")
                log.warning(
                    "series %r: time since its start goes to %.3g times that of training "
                    "sequences, which the model has not seen; train with time_format relative%s",
                    one.name, times,
                    "" if self.carry_state else ", or with a longer seq_len",
                )  # fmt: skip

    def _refuse_unknown_starts(self, series: Sequence[Series], windows: Windows) -> None:
        """Refuse sequences to predict that differences of the target cannot be summed up from."""
        for run in windows.runs:
            one = series[run.series]
            before = run.origin + run.step * np.arange(run.count)
            row = before + 1
            before += one.starts[np.searchsorted(one.starts, row, side="right") - 1] == row
            lost = before[np.isnan(one.values[before, -1])]
            if lost.size:
                raise InputError(
                    f"series {one.name!r}: a DeltaTransform of {self.columns.target!r} counts "
                    f"from its value before each sequence of {self.limits.horizon} rows, and row "
                    f"{lost[0]} (counted from 0) has none; give it, or train without DeltaTransform"
                )

"""The data module of sequence-to-sequence models: inputs and target on the same steps."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch

from transformertf.data.arguments import Stage
from transformertf.data.base import WindowDataModule
from transformertf.data.batches import SequenceDataset
from transformertf.data.scaling import ScaledRows
from transformertf.data.series import Series
from transformertf.data.windows import OriginLike, WindowLimits, Windows, consecutive, origin_text
from transformertf.errors import InputError
from transformertf.utils.sequence import Alignment


class TimeSeriesDataModule(WindowDataModule):
    """Sequences of inputs and of the target on the same steps, of one or several series.

    The target is no input: at predict its values may be missing, or the whole column. Every row
    of a file is then forecast once, by sequences of `seq_len` rows one after the other, the last
    one as short as need be; a model starts each of them afresh.

    Args:
        args: target and inputs, as `WindowDataModule` takes them.
        normalize: True or "global" standardises every column with training statistics; "series"
            with those of each series, and with those of all for a series that training did not
            have; False leaves original units.
        seq_len: length of a sequence in steps.
        min_seq_len: shortest sequence, for random lengths and short series; `seq_len` if not
            given.
        alignment: end of a padded sequence at which data lies.
        kwargs: files, scaling, batches and all else that `WindowDataModule` takes.
    """

    gives = "sequences"
    missing_at_predict = "target"

    def __init__(
        self,
        *args: Any,
        # a window's own statistics would be those of its context
        normalize: bool | Literal["global", "series"] = True,
        seq_len: int = 500,
        min_seq_len: int | None = None,
        alignment: Alignment = "left",
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
            stored, windows, self.scaling, self.alignment, noise_std, device, needs_target
        )

    def predict_windows(self) -> Windows:
        """Return consecutive sequences that hold each row of `predict_series` once."""
        series = self.predict_series
        windows = Windows(
            run
            for index, one in enumerate(series)
            for part in self.stages.whole(index, one)
            for run in consecutive(part, self.limits.horizon)
        )
        if self.scaling.has_delta and not self.columns.indicators:
            self._refuse_unknown_starts(series, windows)
        return windows

    def evaluation_windows(self, stage: Stage, origin: OriginLike) -> Windows:
        """Return consecutive sequences that hold each row of a stage once."""
        if origin_text(origin) != "auto":
            raise InputError(
                f"origin {origin!r}: sequences have no origins, each row is forecast once; leave "
                "it out"
            )
        series = self.stage_series(stage)
        parts = sorted(self.stages.parts(stage), key=lambda part: series[part.series].name)
        return Windows(run for part in parts for run in consecutive(part, self.limits.horizon))

    def _refuse_unknown_starts(self, series: Sequence[Series], windows: Windows) -> None:
        """Refuse sequences to predict that differences of the target cannot be summed up from."""
        for run in windows.runs:
            one = series[run.series]
            before = run.origin + run.step * np.arange(run.count)
            before += np.isin(before + 1, (0, *one.breaks))
            lost = before[np.isnan(one.values[before, -1])]
            if lost.size:
                raise InputError(
                    f"series {one.name!r}: a DeltaTransform of {self.columns.target!r} counts "
                    f"from its value before each sequence of {self.limits.horizon} rows, and row "
                    f"{lost[0]} (counted from 0) has none; give it, or train without DeltaTransform"
                )

"""The data module of forecasts: windows with a context and a horizon."""

import logging
from collections.abc import Sequence
from typing import Any, ClassVar

import pandas as pd
import torch

from transformertf.batch import BatchKind
from transformertf.data.arguments import Paths, Stage
from transformertf.data.base import WindowDataModule
from transformertf.data.batches import Layout, WindowDataset
from transformertf.data.columns import as_list
from transformertf.data.reading import follow
from transformertf.data.scaling import ScaledRows
from transformertf.data.series import Series
from transformertf.data.windows import (
    Origin,
    OriginLike,
    Part,
    Run,
    WindowLimits,
    Windows,
    origin_text,
)
from transformertf.errors import InputError, count_names, nearest
from transformertf.utils.sequence import Alignment

log = logging.getLogger(__name__)


class EncoderDecoderDataModule(WindowDataModule):
    """Windows with a context and a horizon, of one or several series.

    With no known covariate and no time column the decoder's one input is the relative position in
    the horizon.

    Args:
        args: target and covariates, as `WindowDataModule` takes them.
        target_lags: lags in steps, each at least `tgt_seq_len`: the target so long ago, as known
            covariates. Windows begin so many rows after a series' start.
        future_df_paths: files of the rows that follow those to forecast: time and known
            covariates. They join by `series_id`, else by the files' stems.
        ctxt_seq_len: context in steps.
        tgt_seq_len: horizon in steps.
        min_ctxt_seq_len: shortest context, for random lengths and short series; the maximum if
            not given.
        min_tgt_seq_len: shortest horizon, likewise.
        encoder_alignment: end of a padded context at which data lies.
        decoder_alignment: end of a padded horizon at which data lies.
        add_target_to_past: give the target's history to the encoder, as its last feature.
        mask_encoder_features: features of the encoder that are set to zero.
        origin: rows after which forecasts start at predict: auto, last, all, every:N, end for the
            last target of each series, or a time stamp (a row number without a time column).
            After `end` rows are put in, where nothing has to be known of them.
        kwargs: files, scaling, batches and all else that `WindowDataModule` takes.
    """

    gives: ClassVar[BatchKind] = "windows"
    missing_at_predict = "future"

    def __init__(
        self,
        *args: Any,
        target_lags: list[int] | int | None = None,
        future_df_paths: Paths = None,
        ctxt_seq_len: int = 500,
        tgt_seq_len: int = 300,
        min_ctxt_seq_len: int | None = None,
        min_tgt_seq_len: int | None = None,
        encoder_alignment: Alignment = "left",
        decoder_alignment: Alignment = "left",
        add_target_to_past: bool = True,
        mask_encoder_features: list[str] | str | None = None,
        origin: str | int | float | None = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        # one lag and a list of it are the same
        self.hparams["target_lags"] = None if target_lags is None else list(self.columns.lags)
        if not self.columns.encoder_features(add_target_to_past):
            raise InputError(
                "the encoder has no real input: give covariates or a time column, or leave "
                "add_target_to_past on"
            )
        self.limits = WindowLimits(
            ctxt_seq_len,
            tgt_seq_len,
            ctxt_seq_len if min_ctxt_seq_len is None else min_ctxt_seq_len,
            tgt_seq_len if min_tgt_seq_len is None else min_tgt_seq_len,
        )
        if self.washout >= self.limits.min_horizon:
            raise InputError(
                f"washout {self.washout} leaves nothing of a horizon of {self.limits.min_horizon} "
                "steps to learn from: raise tgt_seq_len or min_tgt_seq_len, or lower washout"
            )
        for lag in self.columns.lags:
            if lag < tgt_seq_len:
                raise InputError(
                    f"target_lags: {lag} is less than tgt_seq_len {tgt_seq_len}: the target so "
                    "long before the end of the horizon is not known yet; raise it, or leave it out"
                )
        self.hparams["origin"] = origin_text(origin)
        self.origin = Origin.parse(origin)
        self._steps = tgt_seq_len
        # series to predict, steps after their last targets, and the series that have these
        self._followed: tuple[list[Series], int, list[Series]] = [], 0, []
        self.layout = Layout(
            encoder_alignment,
            decoder_alignment,
            self.scaling.normalize == "window",
            add_target_to_past,
            tgt_seq_len,
            self._masked(as_list(mask_encoder_features), add_target_to_past),
        )

    @property
    def ctxt_seq_len(self) -> int:
        """Context in steps."""
        return self.limits.context

    @property
    def tgt_seq_len(self) -> int:
        """Horizon in steps."""
        return self.limits.horizon

    @property
    def num_past_known_covariates(self) -> int:
        """Number of real features of a context step."""
        return len(self.columns.encoder_features(self.layout.add_target))

    @property
    def num_future_known_covariates(self) -> int:
        """Number of real features of a horizon step."""
        return len(self.columns.decoder_features)

    @property
    def past_category_sizes(self) -> list[int]:
        """Numbers that each category of a context step has; wants a fit."""
        return [*self.known_category_sizes, *self._sizes(self.columns.past_categories)]

    @property
    def future_category_sizes(self) -> list[int]:
        """Numbers that each category of a horizon step has; wants a fit."""
        return self.known_category_sizes

    def make_dataset(
        self, stored: ScaledRows, windows: Windows, device: torch.device, needs_target: bool = False
    ) -> WindowDataset:
        """Return the batches of windows over stored series; see the base class."""
        noise_std = self.delivery.noise_std
        return WindowDataset(
            stored,
            windows,
            self.scaling,
            self.layout,
            noise_std,
            device,
            needs_target,
            self.washout,
        )

    def reach(self, steps: int) -> None:
        """Have `origin: end` put in rows for so many steps, where they are more than a horizon."""
        self._steps = max(steps, self.tgt_seq_len)

    @property
    def predict_series(self) -> list[Series]:
        """The series to forecast, sorted by name; with `origin: end` rows are put in, see there.

        Raises:
            InputError: what has to be known of such rows is not given.
        """
        given = super().predict_series
        if self.origin.kind != "end":
            return given
        made_of, steps, made = self._followed
        if made_of is not given or steps != self._steps:
            made = self._follow(given)
            self._followed = given, self._steps, made
        return made

    def _follow(self, series: list[Series]) -> list[Series]:
        """Return series that go on for the steps to forecast after their last targets."""
        names = self.columns.known_ahead
        lacking = [one.name for one in series if one.observed == len(one)]
        if names and lacking:
            raise InputError(
                f"origin end: known_covariates ({', '.join(names)}) are wanted after the last row, "
                f"which these do not have: {count_names(lacking)}; give the rows that follow with "
                "--data.future_df_paths, in Python as future (Forecaster.future_frame makes them, "
                "to be filled in)"
            )
        if names:
            return series
        return [follow(one, one.observed + self._steps - len(one)) for one in series]

    def future_frame(self, steps: int | None = None) -> pd.DataFrame:
        """Return the rows that follow those to predict; see `Forecaster.future_frame`."""
        return self.stages.future_frame(self.tgt_seq_len if steps is None else steps)

    def predict_windows(self) -> Windows:
        """Return the windows of `predict_series` to forecast, by series and origin."""
        series = self.predict_series
        parts = [
            part for index, one in enumerate(series)
            for part in self.origin.choose(self.stages.whole(index, one), one, self.limits)
        ]  # fmt: skip
        kept = self.short.keep(
            "predict",
            parts,
            lambda part: self.origin.windows(part, series[part.series], self.limits),
        )
        runs = self._some(kept, self.origin)
        self._tell_short_contexts(runs)
        return Windows(runs)

    def evaluation_windows(self, stage: Stage, origin: OriginLike) -> Windows:
        """Return windows of `stage_series` to forecast and compare; see `origin_windows`."""
        return self.origin_windows(stage, Origin.parse(origin))

    def origin_windows(self, stage: Stage, origin: Origin) -> Windows:
        """Return the windows of a stage that start where asked, by name of series and origin.

        Their targets are rows of the stage and known; contexts may reach back beyond them. What
        is too short for a whole window is treated as in `Windows` of validation and test.

        Args:
            stage: "validation" or "test".
            origin: `auto` for one forecast every `tgt_seq_len` rows, `last` for the last one of
                each series.

        Raises:
            InputError: there is no data of that stage, or no forecast is possible there.
        """
        series = self.stage_series(stage)
        known: dict[int, list[Part]] = {}
        for part in self.stages.parts(stage):
            known.setdefault(part.series, []).append(part)
        parts = [
            part for index in sorted(known, key=lambda index: series[index].name)
            for part in origin.choose_known(known[index], series[index], self.limits)
        ]  # fmt: skip
        runs = self.short.keep(
            stage,
            parts,
            lambda part: origin.known_windows(part, series[part.series], self.limits),
        )
        return Windows(self._some(runs, origin))

    def _some(self, runs: Sequence[Sequence[Run]], origin: Origin) -> list[Run]:
        """Return the runs of all parts.

        Raises:
            InputError: none of the times of the clock that origins are asked at lies in a part.
        """
        found = [run for own in runs for run in own]
        if not found and origin.clock is not None:
            raise InputError(
                f"origin {origin.clock.text}: no row with room for context and horizon lies at "
                "such a time; give another one, or more rows"
            )
        return found

    def _tell_short_contexts(self, runs: Sequence[Run]) -> None:
        """Say once which forecasts have shorter contexts than training had."""
        short = [run for run in runs if run.context < self.limits.min_context]
        if not short or "context" in self._warned:
            return
        self._warned.add("context")
        rows = sorted({run.context for run in short})
        names = [self.predict_series[run.series].name for run in short]
        log.warning(
            "predict: %s rows of context, fewer than the %d of training, in %s",
            rows[0] if len(rows) == 1 else f"{rows[0]} to {rows[-1]}",
            self.limits.min_context,
            count_names(list(dict.fromkeys(names))),
        )

    def _masked(self, names: list[str], add_target: bool) -> tuple[str, ...]:
        features = self.columns.encoder_features(add_target)
        for name in names:
            if name not in features:
                raise InputError(
                    f"mask_encoder_features: the encoder has no feature {name!r}; "
                    f"{nearest(name, features)}"
                )
        return tuple(names)

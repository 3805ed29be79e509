"""Everything fitted to the training data, and the way from original to scaled units and back."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from transformertf.batch import Batch, forecast_mask
from transformertf.data.arguments import Impute, TimeFormat
from transformertf.data.columns import Columns
from transformertf.data.scaling.chains import TIME, Chain, make_chains, refuse_large, refuse_spread
from transformertf.data.scaling.features import FeatureWriter
from transformertf.data.scaling.time_features import TimeFeature
from transformertf.data.scaling.training_rows import TrainingRows
from transformertf.data.series import FloatArray, Series, TimeKind
from transformertf.data.transform import (
    DeltaTransform,
    StandardScaler,
    TargetTransform,
    TransformCollection,
    describe_transforms,
)
from transformertf.data.transform.base import widen
from transformertf.data.transform.collection import Piece
from transformertf.data.windows import Spans, Windows
from transformertf.errors import InputError

__all__ = ["Scaling", "TimeFormat"]
log = logging.getLogger(__name__)
# the share of the training series that vary less than what is least expected of an unseen one:
# one that hardly moves is not to speak for all
_QUIET = 0.1


class Scaling:
    """Chains of all real columns, statistics of each series, and the scale of the time feature.

    Args:
        columns: roles of the columns.
        normalize: True or "global" standardises every column over all training rows, "series"
            each series by itself, False leaves it at the extra transforms. "window" is "global"
            here, but for the target, which is standardised by series: what is done to single
            windows comes after.
        time_format: "absolute" is time since the window's start, "relative" time since the
            previous step of the window.
        extra_transforms: column, or "__time__", to its transforms, as `make_transform` takes
            them, one or a list; they come before standardising.
        target_depends_on: known covariate that a transform of the target takes as x.
        impute: how values that are missing are filled in, with `columns.indicators`: see
            `FeatureWriter`.

    Attributes:
        normalize: "global", "series", "window" or False.
        extra: the extra transforms, as primitives.
        chains: what is done to each real column, and to `TIME`.
        target_x: `target_depends_on`.
        impute: as given.
        least_spread: spread of the target of a quiet training series, in units of all series; None
            unless `normalize` is "window", and of checkpoints whose windows are all in those units.

    Raises:
        InputError: an unknown column, or a transform that has no place where it stands.
    """

    def __init__(
        self,
        columns: Columns,
        normalize: bool | str,
        time_format: TimeFormat,
        extra_transforms: Mapping[str, Any] | None = None,
        target_depends_on: str | None = None,
        impute: Impute = "last",
    ) -> None:
        self.extra = describe_transforms(extra_transforms)
        self.columns = columns
        self.normalize = "global" if normalize is True else normalize
        self.time_format = time_format
        self.target_x = target_depends_on
        self.impute = impute
        standardise = normalize is not False
        self.chains = chains = make_chains(
            columns, extra_transforms, target_depends_on, standardise
        )
        self._chains = {name: chains[name] for name in columns.values}
        self._static = {name: chains[name] for name in columns.static}
        self._time = TimeFeature(str(columns.time), time_format, chains[TIME].extra)
        covariate = self._covariate_of(self._target)
        self._writer = FeatureWriter(columns, list(self._chains.values()), impute, covariate)
        # names of the training series to their row in the tables
        self._rows: dict[str, int] = {}
        self._told: set[str] = set()
        self._tables = self._global_tables()
        self.least_spread: float | None = None

    @property
    def constant_columns(self) -> list[str]:
        """Names of standardised columns that did not vary in the training data."""
        scalers = {name: chain.scaler for name, chain in self._chains.items()}
        return [
            name for name, scaler in scalers.items() if scaler is not None and scaler.is_constant
        ]

    @property
    def has_delta(self) -> bool:
        """Whether a transform of the target takes differences."""
        return self._target.has_delta

    @property
    def time_scale(self) -> float:
        """What the time feature is divided by; see `TimeFeature`."""
        return self._time.scale

    @property
    def zone(self) -> str | None:
        """Time zone of the calendar features; None where training had none."""
        return self._writer.zone

    @property
    def time_kind(self) -> TimeKind | None:
        """What the time column held in training: "date" or "number"."""
        return self._time.kind

    @property
    def names(self) -> list[str]:
        """Names of the series that have statistics of their own, by their rows in the tables."""
        return list(self._rows)

    @property
    def tables(self) -> tuple[FloatArray, FloatArray]:
        """What is taken off the transformed columns, and what they are divided by then.

        (1 + series, columns) each, in the order of `Columns.values`; row 0 is of all series.
        """
        return self._tables

    def fit(self, series: Sequence[Series], spans: Sequence[Spans], windows: Windows) -> None:
        """Fit to the `spans` of each series, its training rows, and to the time in `windows`.

        Static columns are fitted to each series that has such rows, once.

        Raises:
            InputError: a column has no value to be standardised with, or one that its extra
                transforms refuse.
        """
        rows = TrainingRows(series, spans)
        trained = [(one, own) for one, own in zip(series, spans, strict=True) if own]
        for index, chain in enumerate(self._chains.values()):
            chain.fit(rows.pieces(index, self._covariate_of(chain)))
            refuse_spread(
                chain,
                (
                    (one.name, first, one.values[first:end, index])
                    for one, own in trained
                    for first, end in own
                ),
            )
        for index, chain in enumerate(self._static.values()):
            column = np.array([one.static[index] for one, _ in trained])
            chain.fit(partial(iter, [Piece(column)]))
            refuse_spread(chain, ((one.name, 0, one.static[[index]]) for one, _ in trained))
        if self.columns.indicators:
            self._writer.fill = [_mean(rows, index) for index in range(len(self._chains))]
        self._tables = self._global_tables()
        if self.normalize in ("series", "window"):
            self._fit_series(rows, series, spans)
        if self.columns.has_time:
            self._time.fit(series, windows)
            self._writer.zone = _zone(trained[0][0]) if self.columns.calendar_fields else None

    def check_time(self, series: Sequence[Series]) -> None:
        """Refuse time stamps of another kind than those the time feature was scaled on.

        Nor may they lack a time zone that calendar features were fitted in, or have one that those
        lacked; another one will do.
        """
        self._time.check(series)
        if self._time.kind is None or not self.columns.calendar_fields:
            return
        for one in series:
            found = _zone(one)
            if (found is None) != (self.zone is None):
                raise InputError(
                    f"series {one.name!r}: time column {self.columns.time!r} has "
                    f"{found or 'no time zone'}, in training it had {self.zone or 'none'}; "
                    "calendar_features are of local time, so give both or none of them a zone"
                )

    def transform_time(self, elapsed: torch.Tensor) -> torch.Tensor:
        """Return the time feature of elapsed times, of any shape: transformed and scaled."""
        return self._time.transform(elapsed)

    def statistics_of(self, series: Series) -> int:
        """Return which statistics a series is standardised with: 0 for those of all series."""
        return self._rows.get(series.name, 0)

    def warn_unseen(self, series: Iterable[Series]) -> None:
        """Say once which series have no statistics of their own, where others have."""
        if self.normalize != "series":
            return
        names = [one.name for one in series if self.statistics_of(one) == 0]
        unseen = [name for name in names if name not in self._told]
        self._told.update(unseen)
        if unseen:
            more = ", …" if len(unseen) > 3 else ""
            log.warning(
                "%d series not seen in training are normalised with the statistics of all "
                "training series: %s%s",
                len(unseen),
                ", ".join(unseen[:3]),
                more,
            )

    def write_features(self, series: Series, out: npt.NDArray[Any]) -> None:
        """Write the scaled features of a series, in the order of `Columns.features`.

        Calendar features and indicators are not scaled. A lag is the scaled target that many rows
        before, 0 where that is before the stretch. A stretch's first difference is 0. Missing
        values are filled in with `columns.indicators` only: see `FeatureWriter`.

        Args:
            series: the series.
            out: (rows, features), float32 or float64.
        """
        loc, scale = (table[self.statistics_of(series)] for table in self._tables)
        self._writer.write(series, loc, scale, out)

    def original(self, series: Series, name: str) -> FloatArray:
        """Return a real column (rows,) in original units, filled in as for its feature."""
        column = self.columns.values.index(name)
        if not self.columns.indicators:
            return series.values[:, column]
        return self._writer.original(series, column)

    def may_begin(self, series: Series, row: int) -> bool:
        """Return whether what is filled in at a row can stand there as known, beside its x."""
        if self.target_x is None or not np.isnan(series.values[row, -1]):
            return True
        x = self.original(series, self.target_x)[row : row + 1]
        return bool(self._target.takes(x)[0])

    def static_features(self, series: Series, dtype: npt.DTypeLike) -> FloatArray:
        """Return the scaled static columns (columns,), 0 where missing, that fit into a type."""
        scaled = np.zeros(len(self._static))
        for index, chain in enumerate(self._static.values()):
            value = chain.apply_extra(series.name, series.static[index : index + 1])
            scaled[index] = (value[0] - chain.loc) / chain.scale
            refuse_large(scaled[[index]], series.static[[index]], dtype, series.name, chain.name)
        return np.where(np.isnan(scaled), 0.0, scaled)

    def inverse_target(self, values: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return target values in original units, in float64 where the device has it.

        Args:
            values: (B, Td, ...) scaled target; anything finite on padding, and so is the result.
            batch: gives `statistics`, `target_covariate`, `target_start` and the mask of the
                steps, whichever the scaling needs.
        """
        loc, scale = self._target_statistics(batch, widen(values))
        values = widen(values) * scale + loc
        if not self._target.extra.transforms:
            return values
        return self._undo_extra(values.movedim(1, -1), batch).movedim(-1, 1)

    def target_affine(self) -> tuple[float, float]:
        """Return loc and scale: scaled targets * scale + loc are those in original units.

        Raises:
            InputError: no one line leads from all scaled targets to the original ones.
        """
        if self.normalize in ("series", "window"):
            raise InputError(
                f"normalize is {self.normalize!r}, which scales no two series or windows alike; "
                "set data.normalize to true or false"
            )
        if self._target.extra.transforms:
            raise InputError(
                f"extra_transforms change the target {self.columns.target!r}; take them out"
            )
        return self._target.loc, self._target.scale

    def target_is_summed(self) -> bool:
        """Return whether values of the target come back as sums over the steps."""
        return self.has_delta

    def target_is_turned(self) -> bool:
        """Return whether larger values of the target come back smaller, at an x of training.

        Differences are left out: they keep the order.
        """
        kept = [one for one in self._target.extra.transforms if not isinstance(one, DeltaTransform)]
        seen = [one.seen for one in kept if isinstance(one, TargetTransform)]
        values = np.add.outer([-0.5, 0.5], np.zeros(2)) * self._target.scale + self._target.loc
        back = TransformCollection(kept).inverse_transform
        low, high = back(np.array(seen[0]), values) if seen else back(values)
        return bool((high < low).any())

    def state_dict(self) -> dict[str, Any]:
        """Return the fitted state as primitives and, of extra transforms and series, tensors."""
        chains = {**self._chains, **self._static}
        state: dict[str, Any] = {
            "normalize": self.normalize,
            "columns": {name: chain.state_dict() for name, chain in chains.items()},
            "fill": self._writer.fill,
            "time": self._time.state_dict(),
            "zone": self.zone,
        }
        if self.normalize == "series":
            state["series"] = list(self._rows)
            state["statistics"] = [torch.from_numpy(table) for table in self._tables]
        if self.normalize == "window":
            targets = np.stack([table[1:, -1] for table in self._tables], axis=1)
            state["targets"] = dict(zip(self._rows, targets.tolist(), strict=True))
            state["least_spread"] = self.least_spread
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a fitted state.

        Raises:
            InputError: it is that of other columns, transforms or another `normalize`.
        """
        if state["normalize"] != self.normalize:
            raise InputError(
                f"normalize is {self.normalize!r}, but the checkpoint was trained with "
                f"{state['normalize']!r}; leave it as it was"
            )
        chains = {**self._chains, **self._static}
        if set(state["columns"]) != set(chains):
            other = min(set(state["columns"]) ^ set(chains))
            raise InputError(
                f"column {other!r} is not both in the data module and in the checkpoint; leave "
                "the columns as they were in training"
            )
        for name, chain in chains.items():
            chain.load_state_dict(state["columns"][name])
        self._writer.fill = [float(value) for value in state["fill"]]
        self._time.load_state_dict(state["time"])
        self._writer.zone = state["zone"]
        self._number(state.get("series", state.get("targets", ())))
        if self.normalize == "series":
            mean, std = (table.cpu().numpy() for table in state["statistics"])
            self._tables = (mean, std)
        # earlier checkpoints lack it, and have the windows of all series in the same units
        self.least_spread = state.get("least_spread")
        if self.least_spread is not None:
            targets = np.array(list(state["targets"].values())).reshape(-1, 2)
            for table, own in zip(self._tables, targets.T, strict=True):
                table[1:, -1] = own

    @property
    def _target(self) -> Chain:
        return self._chains[self.columns.target]

    def _global_tables(self) -> tuple[FloatArray, FloatArray]:
        """Return the tables of statistics, of all series only.

        Returns:
            What is taken off the transformed columns, and what they are divided by then,
            (1 + series, columns) each; row 0 is of all training series.
        """
        chains = self._chains.values()
        loc, scale = [chain.loc for chain in chains], [chain.scale for chain in chains]
        return np.array([loc]), np.array([scale])

    def _target_statistics(self, batch: Batch, values: torch.Tensor) -> list[torch.Tensor]:
        """Return loc and scale of the target, each to go with values (B, Td, ...)."""
        row = batch.get("statistics", torch.zeros(1, dtype=torch.int64))
        shape = (-1, *[1] * (values.ndim - 1))
        tables = [torch.from_numpy(table[:, -1]).to(values) for table in self._tables]
        loc, scale = (table[row.to(values.device)].view(shape) for table in tables)
        if "window_unit" in batch:
            scale = scale * batch["window_unit"].to(values).view(shape)
        return [loc, scale]

    def _undo_extra(self, values: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the target in original units, of values (B, ..., Td) before standardising."""

        def beside(given: torch.Tensor) -> torch.Tensor:
            """Return (B, ...) with as many dimensions as the values have."""
            return given.reshape(len(given), *[1] * (values.ndim - 2), -1)

        start = mask = None
        if self.has_delta:
            start = beside(batch["target_start"])[..., 0].to(values).expand(values.shape[:-1])
            mask = beside(forecast_mask(batch))
        extra = self._target.extra
        if self.target_x is None:
            return extra.inverse_transform(values, start=start, mask=mask)
        x = beside(batch["target_covariate"])
        return extra.inverse_transform(x, values, start=start, mask=mask)

    def _covariate_of(self, chain: Chain) -> int | None:
        """Return the place of the column that the transforms of this one take as x."""
        if self.target_x is None or chain is not self._target:
            return None
        return self.columns.values.index(self.target_x)

    def _number(self, names: Iterable[str]) -> None:
        """Give series rows in the tables, with the statistics of all series for a start."""
        self._rows = {name: row for row, name in enumerate(names, start=1)}
        loc, scale = self._global_tables()
        rows = 1 + len(self._rows)
        self._tables = (np.repeat(loc, rows, axis=0), np.repeat(scale, rows, axis=0))

    def _fit_series(
        self, rows: TrainingRows, series: Sequence[Series], spans: Sequence[Spans]
    ) -> None:
        """Fit the statistics of each series; a column without a value has those of all series.

        For windows they are of the target alone, and of the series whose target varies.
        """
        by_window = self.normalize == "window"
        chosen = [self._target] if by_window else list(self._chains.values())
        found = {chain.name: self._statistics_by_series(rows, chain) for chain in chosen}
        known = np.array([bool(own) for own in spans])
        if by_window:
            known &= found[self.columns.target][1] > 0
        self._number(one.name for one, used in zip(series, known, strict=True) if used)
        self._told = set()
        loc, scale = self._tables
        for index, name in enumerate(self._chains):
            if name in found:
                mean, std = (own[known] for own in found[name])
                seen = ~np.isnan(mean)
                loc[1:, index][seen] = mean[seen]
                scale[1:, index][seen] = np.where(std > 0, std, 1.0)[seen]
        if by_window:
            spreads = scale[1:, -1] / self._target.scale
            least = np.quantile(spreads, _QUIET, method="lower") if self._rows else 1.0
            self.least_spread = float(least)

    def _statistics_by_series(
        self, rows: TrainingRows, chain: Chain
    ) -> tuple[FloatArray, FloatArray]:
        """Return mean and spread (series,) each of a transformed column."""
        pieces = rows.pieces(list(self._chains.values()).index(chain), self._covariate_of(chain))
        return rows.statistics(column for _, column in chain.extra.transform_pieces(pieces()))


def _zone(series: Series) -> str | None:
    zone = series.time.tz if isinstance(series.time, pd.DatetimeIndex) else None
    return None if zone is None else str(zone)


def _mean(rows: TrainingRows, column: int) -> float:
    """Return the mean of a real column in original units, 0 where it has no value."""
    moments = StandardScaler()
    for piece in rows.pieces(column)():
        moments.partial_fit(piece.column)
    return moments.mean

"""A whole forecaster as one function of tensors: raw columns in, the target's own units out.

B batch, Tc context steps, Td horizon steps, V real columns, K known ones, S static ones, Q
quantiles.
"""

from typing import NamedTuple

import torch

from transformertf.batch import Batch
from transformertf.data import EncoderDecoderDataModule
from transformertf.data.batches import WindowScaling
from transformertf.models import ForecastModule
from transformertf.nn import median
from transformertf.utils.sequence import data_mask

Tensors = dict[str, torch.Tensor]
# by which each name of an input, but for those of single numbers, begins
SIDES = ("past", "future")


class Known(NamedTuple):
    """The data steps of a side.

    Attributes:
        mask: (B, T) bool, True on data.
        lengths: (B,) int64.
    """

    mask: torch.Tensor
    lengths: torch.Tensor


class Graph(torch.nn.Module):
    """What is done between rows and forecasts, for a model and the data module it was fitted with.

    Inputs, data first, of which padding may hold anything; those that the data lacks are absent:

    - `past` (B, Tc, V) and `future` (B, Td, max(K, 1)) float64: the real columns in the order of
      `Columns.values`, of the future the known ones; a single column of anything where there are
      none.
    - `past_lengths` and `future_lengths` (B,) int64.
    - `past_time` (B, Tc) and `future_time` (B, Td) float64: seconds, or the column's unit, since
      any one moment.
    - `past_calendar` (B, Tc, 2 C) and `future_calendar` (B, Td, 2 C) float64: see `calendar_pairs`.
    - `past_categories` (B, Tc, C) and `future_categories` (B, Td, C) int64: see `Batch`, of the
      future the known ones.
    - `static` (B, S) float64 and `static_categories` (B, S) int64.
    - `statistics` (B,) int64: see `Batch`.

    Outputs, zero on padding: `prediction` (B, Td) and, of a model that has them, `quantiles`
    (B, Td, Q), float64.

    Args:
        model: in evaluation mode.
        data: fitted.
    """

    loc: torch.Tensor
    scale: torch.Tensor
    kept: torch.Tensor

    def __init__(self, model: ForecastModule, data: EncoderDecoderDataModule) -> None:
        super().__init__()
        self.model = model
        self.scaling, self.columns, self.layout = data.scaling, data.columns, data.layout
        self.dtype = getattr(torch, data.fitted.dtype)
        columns = self.columns
        self.chains = [self.scaling.chains[name] for name in columns.values]
        self.statics = [self.scaling.chains[name] for name in columns.static]
        loc, scale = self.scaling.tables
        self.register_buffer("loc", torch.from_numpy(loc))
        self.register_buffer("scale", torch.from_numpy(scale))
        features = columns.encoder_features(self.layout.add_target)
        kept = torch.tensor([name not in self.layout.masked for name in features])
        self.register_buffer("kept", kept)
        self.window_scaling = None
        if self.layout.per_window:
            self.window_scaling = WindowScaling(columns, self.scaling.least_spread)

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs, in order."""
        columns = self.columns
        names = [*SIDES, *(f"{side}_lengths" for side in SIDES)]
        if columns.has_time:
            names += [f"{side}_time" for side in SIDES]
        if columns.calendar:
            names += [f"{side}_calendar" for side in SIDES]
        if columns.categories:
            names.append("past_categories")
        if columns.known_categories:
            names.append("future_categories")
        if columns.static:
            names.append("static")
        if columns.static_categories:
            names.append("static_categories")
        if self.scaling.normalize in ("series", "window"):
            names.append("statistics")
        return names

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs, in order."""
        return ["prediction"] if self.model.quantiles is None else ["prediction", "quantiles"]

    def forward(self, inputs: Tensors) -> tuple[torch.Tensor, ...]:
        """Return the outputs of inputs."""
        batch = self.batch(inputs)
        output = self.model(batch, need_weights=False)["output"]
        shown = self._original(self.model.outputs.shown(output), batch, inputs)
        mask = batch["decoder_mask"]
        levels = self.model.quantiles
        if levels is None:
            return (torch.where(mask, shown[..., 0], 0.0),)
        shown = torch.where(mask.unsqueeze(-1), shown.sort(dim=-1).values, 0.0)
        return median(shown, levels)[..., 0], shown

    def batch(self, inputs: Tensors) -> Batch:
        """Return what the model reads."""
        past, future = (self._known(inputs, side) for side in SIDES)
        known = len(self.columns.known)
        # of the future no more is read; what is normalised with it has all columns
        ahead = torch.nn.functional.pad(
            inputs["future"][..., :known], (0, len(self.chains) - known)
        )
        encoder = self._features(inputs["past"], inputs.get("past_calendar"), past, inputs)
        decoder = self._features(ahead, inputs.get("future_calendar"), future, inputs)
        batch = Batch()
        if "statistics" in inputs:
            batch["statistics"] = inputs["statistics"]
        if self.window_scaling is not None:
            statistics = inputs["statistics"]
            loc, scale, unit = self.window_scaling(encoder, past, decoder, statistics)
            batch["window_loc"], batch["window_scale"] = loc / unit, scale / unit
            batch["window_unit"] = unit
        if not self.layout.add_target:
            encoder = encoder[..., :-1]
        decoder = decoder[..., : len(self.columns.future_features)]
        if self.columns.has_time:
            times = self._time(inputs)
            encoder, decoder = (
                torch.cat([time, values], dim=-1)
                for time, values in zip(times, (encoder, decoder), strict=True)
            )
        if self.columns.needs_position:
            step = torch.arange(future.mask.size(1), device=future.mask.device) + 1
            place = (step.to(self.dtype) / self.layout.horizon).expand(future.mask.shape)
            decoder = torch.cat([decoder, place.unsqueeze(-1)], dim=-1)
        encoder = torch.where(past.mask.unsqueeze(-1) & self.kept, encoder, 0.0)
        batch["encoder_input"] = encoder
        batch["encoder_lengths"], batch["encoder_mask"] = past.lengths, past.mask
        batch["decoder_input"] = torch.where(future.mask.unsqueeze(-1), decoder, 0.0)
        batch["decoder_lengths"], batch["decoder_mask"] = future.lengths, future.mask
        if self.statics:
            batch["static_input"] = self._static(inputs["static"])
        self._add_categories(batch, inputs)
        return batch

    def _add_categories(self, batch: Batch, inputs: Tensors) -> None:
        if "past_categories" in inputs:
            mask = batch["encoder_mask"].unsqueeze(-1)
            batch["encoder_categories"] = torch.where(mask, inputs["past_categories"], 0)
        if "future_categories" in inputs:
            mask = batch["decoder_mask"].unsqueeze(-1)
            batch["decoder_categories"] = torch.where(mask, inputs["future_categories"], 0)
        if "static_categories" in inputs:
            batch["static_categories"] = inputs["static_categories"]

    def _known(self, inputs: Tensors, side: str) -> Known:
        lengths = inputs[f"{side}_lengths"]
        return Known(data_mask(lengths, inputs[side].size(1), "left"), lengths)

    def _features(
        self,
        values: torch.Tensor,
        calendar: torch.Tensor | None,
        known: Known,
        inputs: Tensors,
    ) -> torch.Tensor:
        """Return scaled features (B, T, F) of columns (B, T, V), in the order of `features`."""
        mask = known.mask.unsqueeze(-1)
        columns = []
        for place, chain in enumerate(self.chains):
            column = values[..., place]
            if chain.extra.transforms:
                # what has no logarithm is no value of padding
                column = chain.extra.transform(torch.where(known.mask, column, 1.0))
            columns.append(column)
        loc, scale = self._statistics(inputs)
        scaled = (torch.stack(columns, dim=-1) - loc) / scale
        scaled = torch.where(mask, scaled, 0.0).to(self.dtype)
        if calendar is None:
            return scaled
        pairs = torch.where(mask, calendar, 0.0).to(self.dtype)
        first = len(self.columns.known)
        return torch.cat([scaled[..., :first], pairs, scaled[..., first:]], dim=-1)

    def _statistics(self, inputs: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loc and scale, (B, 1, V) or (1, 1, V)."""
        if "statistics" not in inputs:
            return self.loc[:1].unsqueeze(1), self.scale[:1].unsqueeze(1)
        row = inputs["statistics"]
        return self.loc[row].unsqueeze(1), self.scale[row].unsqueeze(1)

    def _time(self, inputs: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the time feature (B, T, 1) of both sides."""
        past, future = inputs["past_time"], inputs["future_time"]
        if self.scaling.time_format == "absolute":
            first = past[:, :1]
            elapsed = past - first, future - first
        else:
            last = past.gather(1, inputs["past_lengths"].unsqueeze(1) - 1)
            before = torch.cat([past[:, :1], past[:, :-1]], dim=1)
            earlier = torch.cat([last, future[:, :-1]], dim=1)
            elapsed = past - before, future - earlier
        scaled = []
        for values, side in zip(elapsed, SIDES, strict=True):
            known = self._known(inputs, side).mask
            feature = self.scaling.transform_time(torch.where(known, values, 0.0))
            scaled.append(feature.to(self.dtype).unsqueeze(-1))
        return scaled[0], scaled[1]

    def _static(self, values: torch.Tensor) -> torch.Tensor:
        """Return scaled static columns (B, S), 0 where missing."""
        scaled = []
        for place, chain in enumerate(self.statics):
            column = values[:, place]
            if chain.extra.transforms:
                column = chain.extra.transform(column)
            scaled.append((column - chain.loc) / chain.scale)
        static = torch.stack(scaled, dim=-1)
        return torch.where(torch.isnan(static), 0.0, static).to(self.dtype)

    def _original(self, values: torch.Tensor, batch: Batch, inputs: Tensors) -> torch.Tensor:
        """Return values (B, Td, Q) of the scaled target in its own units, float64."""
        loc, scale = (table[..., -1:] for table in self._statistics(inputs))
        if "window_unit" in batch:
            scale = scale * batch["window_unit"].double().view(-1, 1, 1)
        values = values.double() * scale + loc
        extra = self.chains[-1].extra
        return extra.inverse_transform(values) if extra.transforms else values

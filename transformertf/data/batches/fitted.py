"""All that is fitted to the training data, and the one way from series to batches with it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from transformertf.batch import Batch
from transformertf.data.arguments import Dtype, Stage
from transformertf.data.batches.dataset import BatchDataset
from transformertf.data.batches.gather import HOST
from transformertf.data.columns import Columns
from transformertf.data.reading import KeepArray, keep_in_memory
from transformertf.data.scaling import (
    Inheritance,
    Ranges,
    ScaledRows,
    Scaling,
    Vocabularies,
    store_series,
)
from transformertf.data.series import Series
from transformertf.data.windows import Content, Part, Run, Spans, Stages, TrainedRows, Windows

# what lays the batches of windows out: scaled rows, the windows over them, where the batches are
# made, and whether they have a target though none of it is observed
MakeDataset = Callable[[ScaledRows, Windows, torch.device, bool], BatchDataset]


class Fitted:
    """All that is fitted to the training data, and the way from series to batches with it.

    Args:
        scaling: of the real columns and of time.
        vocabularies: of the categories.
        dtype: floating type of the batches.
        make_dataset: lays the batches of windows out.

    Attributes:
        trained: the rows that were fitted to, to find them in other data; None where it is not
            known.
        ranges: of the values of these rows; None likewise.
        content: check sums of the rows to train on; None where they are not known.
        inheritance: what a fit takes along of another one; None for nothing.
    """

    def __init__(
        self,
        scaling: Scaling,
        vocabularies: Vocabularies,
        dtype: Dtype,
        make_dataset: MakeDataset,
    ) -> None:
        self.scaling = scaling
        self.vocabularies = vocabularies
        self.dtype = dtype
        self.make_dataset = make_dataset
        self.trained: TrainedRows | None = None
        self.ranges: Ranges | None = None
        self.content: Content | None = None
        self.inheritance: Inheritance | None = None

    @property
    def columns(self) -> Columns:
        """Roles of the columns."""
        return self.scaling.columns

    def fit(
        self,
        series: Sequence[Series],
        spans: Sequence[Spans],
        sections: Sequence[Part],
        windows: Windows,
    ) -> None:
        """Fit to the `spans` of each series, its training rows, and to the time in `windows`.

        Args:
            series: the series.
            spans: of each, see `trained_spans`.
            sections: of all; what lies between two of them is none of the fit's.
            windows: that are trained on.

        Raises:
            InputError: what there is cannot be fitted to, see `Scaling.fit`.
        """
        self.scaling.fit(series, spans, windows)
        self.vocabularies.fit(series, spans)
        self.trained = TrainedRows.of(series, spans, sections, by_name=bool(self.columns.ids))
        self.ranges = Ranges.of(self.columns, series, spans)
        if self.inheritance is not None:
            self.inheritance.apply(self.scaling, self.vocabularies)

    def content_of(self, series: Sequence[Series], sections: Sequence[Part]) -> Content:
        """Return the check sums of the rows of sections of series."""
        named = bool(self.columns.ids) or self.scaling.normalize in ("series", "window")
        return Content.of(series, sections, named=named)

    def unlike(
        self, what: str, series: Sequence[Series], sections: Sequence[Part], is_new: bool = True
    ) -> list[str]:
        """Return lines on what of rows is unlike the training's; none where that is not known.

        Args:
            what: the rows, for the lines.
            series: the series.
            sections: the rows of them that count.
            is_new: whether the series are of other files than the training's, of whose rates is
                told where they are read.
        """
        if self.ranges is None:
            return []
        found = list(self.ranges.other_rates(series)) if is_new else []
        found += self.ranges.unlike(self.columns, series, sections, level=self.has_level)
        return [f"{what}: {line}" for line in found]

    def unlike_in_stage(self, stages: Stages, stage: Stage) -> list[str]:
        """Return lines on what of a stage's rows is unlike the training's."""
        series, sections = stages.series(stage), stages.sections(stage)
        return self.unlike(stage, series, sections, is_new=not stages.is_split(stage))

    def unlike_in_fit(self, stages: Stages) -> list[str]:
        """Return lines on what of the rows of a fit is unlike its training rows as a whole."""
        used: list[Stage] = ["train", "validation"] if stages.has_validation else ["train"]
        return [line for stage in used for line in self.unlike_in_stage(stages, stage)]

    @property
    def has_level(self) -> bool:
        """Whether it matters at which level values are: not where windows are centred."""
        return self.scaling.normalize != "window"

    def inherit(self, other: "Fitted") -> None:
        """Let each fit from now on take along what `other` was fitted to, where it means the same.

        Args:
            other: fitted, of the same kind of data module or another.
        """
        self.inheritance = Inheritance(other.scaling, other.vocabularies)

    def store(self, series: Sequence[Series], keep: KeepArray = keep_in_memory) -> ScaledRows:
        """Return the scaled rows of series.

        Args:
            series: checked series in original units.
            keep: makes the arrays.

        Raises:
            InputError: a value is too large once it is scaled.
        """
        return store_series(series, self.scaling, self.vocabularies, self.dtype, keep)

    def parts(self, series: Sequence[Series]) -> dict[str, Any]:
        """Return what scaled rows depend on, beside the series' files and how they are read."""
        return {
            "columns": asdict(self.columns),
            "series": [one.name for one in series],
            "scaling": self.scaling.state_dict(),
            "extra": self.scaling.extra,
            "target_depends_on": self.scaling.target_x,
            "impute": self.scaling.impute,
            "vocabularies": self.vocabularies.state_dict(),
            "rows": sum(map(len, series)),
        }

    def batches(self, rows: ScaledRows, runs: Iterable[Run], size: int) -> Iterator[Batch]:
        """Yield the batches of windows at full length, in order, made on the host.

        Args:
            rows: as `store` returned them.
            runs: the windows over them.
            size: windows of a batch.
        """
        dataset = self.make_dataset(rows, Windows(runs), HOST, False)
        for first in range(0, len(dataset), size):
            yield dataset.whole(np.arange(first, min(first + size, len(dataset))))

    def state_dict(self) -> dict[str, Any]:
        """Return what was fitted, as primitives."""
        return {
            "scaling": self.scaling.state_dict(),
            "vocabularies": self.vocabularies.state_dict(),
            "trained": None if self.trained is None else self.trained.state_dict(),
            "ranges": None if self.ranges is None else self.ranges.state_dict(),
            "content": None if self.content is None else self.content._asdict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what was fitted.

        Raises:
            InputError: it is that of other transforms.
        """
        self.scaling.load_state_dict(state["scaling"])
        self.vocabularies.load_state_dict(state["vocabularies"])
        content = state.get("content")  # earlier checkpoints do not tell
        self.content = self.content if content is None else Content(**content)
        trained, ranges = state.get("trained"), state.get("ranges")  # nor of these
        self.trained = None if trained is None else TrainedRows.from_state_dict(trained)
        self.ranges = None if ranges is None else Ranges.from_state_dict(ranges)

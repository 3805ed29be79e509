"""What a data module has read and what it makes of it, in a few lines."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import lightning
import pandas as pd

from transformertf.data.arguments import Stage
from transformertf.data.base import WindowDataModule
from transformertf.data.rates import length_text, usual_step
from transformertf.data.series import Series
from transformertf.data.windows import OWN_PATHS, Part
from transformertf.errors import InputError, TooShortError
from transformertf.wording import counted

# letters of a line for names of columns, and for what was given as files
_NAMES, _GIVEN = 76, 40


@dataclass(frozen=True)
class StageSummary:
    """The rows of a stage, and what is made of them.

    Attributes:
        stage: train, validation or test.
        series: how many; None where the stage's files are not read.
        rows: rows that may be targets.
        first: time stamp of the first one as text, or its row where there is one series without
            time; None of several.
        last: likewise of the last.
        windows: how many; None where all is too short for one.
        batches: of an epoch, of each process.
        carried: whether windows are whole runs, which the state is carried along.
        given: the files that are not read.
    """

    stage: Stage
    series: int | None = None
    rows: int = 0
    first: str | int | None = None
    last: str | int | None = None
    windows: int | None = None
    batches: int | None = None
    carried: bool = False
    given: str = ""

    def line(self) -> str:
        """Return it as text."""
        if self.series is None:
            return f"{self.given}, not read yet"
        parts = [counted(self.series, "series"), counted(self.rows, "row")]
        if self.first is not None:
            parts.append(f"{self.first} to {self.last}")
        if self.windows is None or self.batches is None:
            return ", ".join([*parts, "too short for a window"])
        windows = counted(self.windows, "run" if self.carried else "window")
        return ", ".join([*parts, windows, counted(self.batches, "batch")])


@dataclass(frozen=True)
class Time:
    """The time stamps of all series.

    Attributes:
        column: name of the time column.
        first: the first time stamp, as text.
        last: the last one.
        step: distance of rows that most series have, in seconds of dates, else in the column's
            unit; None where no series has rows at a rate.
        steps: the shortest and the longest of the series' usual distances.
        is_one: whether all series have rows at this rate.
        longest: the longest distance of two rows.
        gaps: distances that are far longer than nearly all others.
        is_date: whether the time stamps are dates.
    """

    column: str
    first: str
    last: str
    step: float | None
    steps: tuple[float, float]
    is_one: bool
    longest: float
    gaps: int
    is_date: bool

    def line(self) -> str:
        """Return it as text."""
        low, high = (length_text(step, self.is_date) for step in self.steps)
        apart = low if low == high else f"{low} to {high}"
        if self.step is not None and self.is_one:
            apart = length_text(self.step, self.is_date)
        longest = length_text(self.longest, self.is_date)
        gaps = f"; {counted(self.gaps, 'gap')}" if self.gaps else ""
        return (
            f"{self.column}, {self.first} to {self.last}, rows {apart} apart"
            + ("" if longest == apart else f", at most {longest}")
            + gaps
        )


@dataclass(frozen=True)
class Summary:
    """What was read, and what is made of it.

    Attributes:
        files: how many, of training and validation; 0 of a frame.
        series: how many in them.
        rows: of all series.
        shortest: rows of the shortest series.
        longest: rows of the longest.
        time: the time stamps; None without.
        missing: share of the values that are missing, by column, where some are.
        context: features of a context step, or of a step of a sequence, in order.
        horizon: features of a horizon step, in order; none of sequences.
        static: columns that are constant within a series.
        categories: categorical columns, and how many values each has, with the unknown one.
        target: the column to forecast.
        normalize: how columns are scaled, as the argument has it.
        transforms: classes of the extra transforms, by column.
        lengths: context and horizon, or the length of a sequence, by the names of the arguments.
        stride: rows between training windows.
        batch_size: windows of a batch.
        stages: the stages that there are, train first.
    """

    files: int
    series: int
    rows: int
    shortest: int
    longest: int
    time: Time | None
    missing: Mapping[str, float]
    context: tuple[str, ...]
    horizon: tuple[str, ...]
    static: tuple[str, ...]
    categories: Mapping[str, int]
    target: str
    normalize: str
    transforms: Mapping[str, tuple[str, ...]]
    lengths: Mapping[str, int]
    stride: int
    batch_size: int
    stages: tuple[StageSummary, ...]

    def lines(self) -> list[str]:
        """Return at most 12 lines of text."""
        named = {"train": "training"}
        rows: list[tuple[str, str]] = [("data", self._data())]
        rows.append(("time", "no time column" if self.time is None else self.time.line()))
        if self.missing:
            worst = sorted(self.missing, key=lambda name: -self.missing[name])
            shares = (f"{100 * self.missing[name]:.2g} % of {name}" for name in worst)
            rows.append(("missing", _few(shares)))
        rows += [(named.get(one.stage, one.stage), one.line()) for one in self.stages]
        lengths = [f"{name} {steps:,}" for name, steps in self.lengths.items()]
        windows = [*lengths, f"stride {self.stride}", f"{self.batch_size} a batch"]
        rows.append(("windows", ", ".join(windows)))
        rows.append(("context" if self.horizon else "inputs", _features(self.context)))
        if self.horizon:
            rows.append(("horizon", _features(self.horizon)))
        if self.static:
            rows.append(("static", _features(self.static)))
        if self.categories:
            sizes = (f"{name} ({size})" for name, size in self.categories.items())
            rows.append(("categories", _few(sizes)))
        rows.append(("target", self._target()))
        width = max(len(name) for name, _ in rows) + 2
        return [f"{name:<{width}}{text}" for name, text in rows]

    def _data(self) -> str:
        files = counted(self.files, "file") if self.files else "a frame"
        each = f"{self.shortest:,} to {self.longest:,}"
        each = f" ({each} each)" if self.series > 1 and self.shortest < self.longest else ""
        return f"{files}, {counted(self.series, 'series')}, {counted(self.rows, 'row')}{each}"

    def _target(self) -> str:
        transforms = [f"{name}: {' '.join(kinds)}" for name, kinds in self.transforms.items()]
        more = f"; transforms of {_few(transforms)}" if transforms else ""
        return f"{self.target}; normalize {self.normalize}{more}"


def summary_of(data: WindowDataModule, trainer: lightning.Trainer | None = None) -> Summary:
    """Return what a data module has read for a fit; no file is read again.

    Args:
        data: set up to fit.
        trainer: what will train, which knows of other processes; that of the data if not given.
    """
    assert data.seed is not None  # of the fit
    columns, limits, reader = data.columns, data.limits, data.stages.reader
    arguments = list(dict.fromkeys(data.stages.argument(stage) for stage in _read(data)))
    series = [one for argument in arguments for one in data.stages.read(argument)]
    lengths = [len(one) for one in series]
    add_target = data.gives == "windows" and bool(data.hparams["add_target_to_past"])
    known = (*columns.known_categories, *columns.calendar_categories)
    others = (*columns.past_categories, *columns.static_categories)
    sizes = (limits.context, limits.horizon)[-len(limits.names) :]
    lost = [reader.opened[argument].missing for argument in arguments]
    return Summary(
        files=sum(reader.opened[argument].files for argument in arguments),
        series=len(series),
        rows=sum(lengths),
        shortest=min(lengths),
        longest=max(lengths),
        time=_time(columns.time, series),
        missing=lost[0],
        context=columns.encoder_features(add_target),
        horizon=columns.decoder_features if data.gives == "windows" else (),
        static=(*columns.static, *columns.static_categories),
        categories={
            **dict(zip(known, data.known_category_sizes, strict=True)),
            **dict(zip(others, data.vocabularies.sizes(others), strict=True)),
        },
        target=columns.target,
        normalize=str(data.scaling.normalize).lower(),
        transforms={
            name: tuple(type(item).__name__ for item in chain.extra.transforms)
            for name, chain in data.scaling.chains.items()
            if chain.extra.transforms and name not in columns.copies
        },
        lengths=dict(zip(limits.names, sizes, strict=True)),
        stride=data.stride,
        batch_size=data.delivery.batch_size,
        stages=tuple(_stages(data, trainer or data.trainer)),
    )


def _read(data: WindowDataModule) -> list[Stage]:
    """Return the stages whose files a fit reads."""
    return ["train", "validation"] if data.has_validation else ["train"]


def _stages(data: WindowDataModule, trainer: lightning.Trainer | None) -> Iterator[StageSummary]:
    """Yield the stages that have data; files of test alone are not read."""
    for stage in _read(data):
        yield _stage(data, stage, trainer)
    if not data.stages.is_split("test"):
        given = str(data.stages.files[OWN_PATHS["test"]])
        cut = given if len(given) <= _GIVEN else f"{given[:_GIVEN]}..."
        yield StageSummary("test", given=cut)
    elif data.stages.split.keeps("test"):
        # no row for test is no matter of a fit
        with contextlib.suppress(InputError):
            yield _stage(data, "test", trainer)


def _stage(data: WindowDataModule, stage: Stage, trainer: lightning.Trainer | None) -> StageSummary:
    series, parts = data.stage_series(stage), data.stages.parts(stage)
    first, last = _span(series, parts)
    rows = sum(part.end - part.first_target for part in parts)
    found = StageSummary(stage, len({part.series for part in parts}), rows, first, last)
    try:
        windows = data.stage_windows(stage)
    except TooShortError:  # test alone: a fit has refused the others
        return found
    training = stage == "train"
    assert data.seed is not None
    sampler = data.delivery.sampler(windows, data.limits, data.seed, trainer, training)
    carried = training and windows.carried
    return replace(found, windows=len(windows), batches=len(sampler), carried=carried)


def _span(
    series: Sequence[Series], parts: Sequence[Part]
) -> tuple[str, str] | tuple[int, int] | tuple[None, None]:
    """Return the first and the last time stamp of rows, or row of one series."""
    kept = [part for part in parts if part.end > part.first_target]
    if not kept:
        return None, None
    if series[0].time is None:
        ends = min(part.first_target for part in kept), max(part.end for part in kept) - 1
        return ends if len(series) == 1 else (None, None)
    times = [(series[part.series].time, part) for part in kept]
    return _ends((time, part.first_target, part.end) for time, part in times if time is not None)


def _time(column: str | None, series: Sequence[Series]) -> Time | None:
    times = [(one.time, 0, len(one)) for one in series if one.time is not None and len(one)]
    if column is None or not times:
        return None
    rates = [one.rate for one in series if one.rate is not None]
    step = usual_step(rates)
    usual = [rate.step for rate in rates] or [0.0]
    return Time(
        column,
        *_ends(times),
        step,
        (min(usual), max(usual)),
        step is not None and not any(rate.is_unlike(step) for rate in rates),
        max((rate.longest for rate in rates), default=0.0),
        sum(rate.gaps for rate in rates),
        series[0].time_kind == "date",
    )


def _ends(rows: Iterable[tuple[pd.Index, int, int]]) -> tuple[str, str]:
    """Return the first and the last time stamp of rows: first, and row after the last, of each."""
    ends = [(time[first], time[end - 1]) for time, first, end in rows]
    first, last = (
        min((one for one, _ in ends), key=_order),
        max((one for _, one in ends), key=_order),
    )
    return _shown(first), _shown(last)


def _order(stamp: Any) -> float:
    """Return a number that rises with time, of dates with a zone and without."""
    return stamp.timestamp() if isinstance(stamp, pd.Timestamp) else float(stamp)


def _shown(stamp: Any) -> str:
    """Return a time stamp as it is shown."""
    if isinstance(stamp, pd.Timestamp) and stamp == stamp.normalize():
        return f"{stamp:%Y-%m-%d}"
    return f"{stamp:.10g}" if isinstance(stamp, float) else str(stamp)


def _features(names: Sequence[str]) -> str:
    return f"{len(names)}: {_few(names)}"


def _few(names: Iterable[str]) -> str:
    """Return names as far as a line has room for them, and how many more there are."""
    listed = list(names)
    shown: list[str] = []
    for name in listed:
        if shown and len(", ".join([*shown, name])) > _NAMES:
            return f"{', '.join(shown)} and {len(listed) - len(shown)} more"
        shown.append(name)
    return ", ".join(shown)

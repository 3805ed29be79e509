"""What there is to say of the rows that a forecast is of, before it is made."""

from collections.abc import Iterator, Sequence

import numpy as np

from transformertf.data import EncoderDecoderDataModule, Series, WindowDataModule
from transformertf.data.windows import Part, Run, count_rows
from transformertf.errors import count_names
from transformertf.forecasts.calibration import wanting_more


def remarks(data: WindowDataModule, steps: int | None = None) -> Iterator[str]:
    """Yield a line for each thing that users may not expect of the rows of a file.

    That is: rows of the past where they may want those to come, more rows than forecasts reach,
    covariates that end otherwise than in training, rows that the model was trained on, and rows
    that are unlike those.

    Args:
        data: fitted; its files to predict are about to be forecast.
        steps: of each forecast; None for those of training.
    """
    if isinstance(data, EncoderDecoderDataModule):
        series = data.forecast_series
        if data.origin.kind == "auto":
            yield from _ends(series)
        yield from _beyond(series, steps, data.tgt_seq_len)
        yield from _shorter(data, steps)
        if data.columns.indicators and data.scaling.impute == "interpolate":
            yield from _level(series, len(data.columns.known))
    yield from trained_rows(data, steps)
    yield from unlike_training(data)


def _ends(series: Sequence[Series]) -> Iterator[str]:
    """Tell that all forecasts, or those of some series, are of rows whose target is known."""
    ending = [one.name for one in series if len(one) > one.observed]
    if not ending:
        yield (
            f"the target is known to the end of {count_names([one.name for one in series])}: these "
            "are forecasts of the past; origin end forecasts what comes next"
        )
    elif len(ending) < len(series):
        # a last value that was only not measured looks the same
        yield (
            f"{len(ending)} of {len(series)} series end with rows without a target, "
            f"which alone are forecast there: {ending[0]!r}" + (", ..." if len(ending) > 1 else "")
        )


def _beyond(series: Sequence[Series], steps: int | None, trained: int) -> Iterator[str]:
    """Tell of rows after the last target that no forecast reaches."""
    horizon = steps or trained
    beyond = [one for one in series if len(one) - one.observed > horizon]
    if beyond:
        first, more = beyond[0], len(beyond) - 1
        whose = "the model's horizon" if steps is None else "--horizon"
        yield (
            f"series {first.name!r}: {len(first) - first.observed} rows to forecast, "
            f"{whose} covers the first {horizon}"
            + (f" (likewise in {more} more series)" if more else "")
            + ("; --horizon N goes further" if steps is None else "")
        )


def _shorter(data: EncoderDecoderDataModule, steps: int | None) -> Iterator[str]:
    """Tell of forecasts that end before as many steps as were asked for."""
    if steps is None:
        return
    series, few, total, least = data.forecast_series, 0, 0, steps
    for run, last in _forecast(data):
        reach, end = _reach(run, series[run.series], steps, last, data.tgt_seq_len)
        # rows behind each origin, of which the last has fewest
        rows = end - 1 - run.origin - run.step * np.arange(run.count)
        given = np.minimum(rows, reach)
        few, total = few + int((given < steps).sum()), total + run.count
        least = min(least, int(given.min()))
    if few:
        yield (
            f"horizon {steps}: {few} of {total} forecasts end before, after {least} steps at the "
            "least, where the rows do, or a stretch without a gap; append the rows to come, with "
            "their known covariates"
        )


def _level(series: Sequence[Series], known: int) -> Iterator[str]:
    """Tell of known covariates that end without a value, and so without a line to one."""
    ending = [one.name for one in series if np.isnan(one.values[-1, :known]).any()]
    if ending:
        yield (
            f"known covariates are missing in the last rows of {count_names(ending)}: impute "
            "interpolate keeps the last value there, where training drew lines to the next one; "
            "give rows up to a known value, or train with impute last"
        )


def trained_rows(data: WindowDataModule, steps: int | None = None) -> Iterator[str]:
    """Yield a line where the model was trained on rows that it forecasts.

    Args:
        data: fitted; its `forecast_windows` are about to be forecast.
        steps: of each forecast; None for those of training.
    """
    trained = data.fitted.trained
    if trained is None:
        return
    series = data.forecast_series
    spans: dict[int, list[tuple[int, int]]] = {}
    rows = seen = 0
    for run, last in _forecast(data):
        one = series[run.series]
        if run.series not in spans:
            spans[run.series] = trained.within(one)
        reach, end = _reach(run, one, steps, last, data.limits.horizon)
        counted = count_rows(run, reach, end, spans[run.series])
        rows, seen = rows + counted[0], seen + counted[1]
    if seen:
        yield (
            f"{seen} of {rows} forecast rows lie in training rows ({100 * seen / rows:.0f} %): the "
            "model has seen their targets, so errors there are smaller than those of new rows"
        )


def unlike_training(data: WindowDataModule) -> list[str]:
    """Return a line for each thing in which rows to forecast are unlike those of training.

    Args:
        data: fitted; its `forecast_windows` are about to be forecast.
    """
    if data.forecast_stage is not None:
        return data.fitted.unlike_in_stage(data.stages, data.forecast_stage[0])
    series = data.forecast_series
    whole = [Part(index, one.name, 0, len(one)) for index, one in enumerate(series)]
    return data.fitted.unlike("predict", series, whole)


def scored_rows(data: WindowDataModule, steps: int | None = None) -> Iterator[str]:
    """Yield what there is to say of the rows of a stage that forecasts are compared with.

    That is: rows that the model was trained on, or that are unlike those, and rows that no forecast
    reaches, where each is to be forecast once.

    Args:
        data: fitted; its `forecast_windows` are about to be forecast.
        steps: of each forecast; None for those of training.
    """
    yield from trained_rows(data, steps)
    yield from unlike_training(data)
    evaluated = data.forecast_stage
    if (
        evaluated is None
        or evaluated[1] != "auto"
        or not isinstance(data, EncoderDecoderDataModule)
    ):
        return
    series, trained = data.forecast_series, data.tgt_seq_len
    rows = sum(
        max(0, min(part.end, series[part.series].observed) - part.first_target)
        for part in data.stages.parts(evaluated[0])
    )
    scored = 0
    for run, after in _forecast(data):
        reach, end = _reach(run, series[run.series], steps, after, trained)
        last = run.origin + 1 + (run.count - 1) * run.step
        scored += (run.count - 1) * min(reach, run.step) + min(reach, end - last)
    if scored < rows:
        yield (
            f"{rows - scored} of {rows} {evaluated[0]} rows are not scored: with origin auto one "
            f"forecast of {min(steps or trained, trained)} steps follows each {trained} rows, and "
            "what lies before the first and behind the last is left; origin all, or every:N, "
            "reaches more"
        )


def calibrated_rows(
    data: WindowDataModule, levels: Sequence[float], *, by_series: bool, as_in_fit: bool
) -> Iterator[str]:
    """Yield what there is to say of the rows that a calibration is fitted to.

    That is: rows that the model was trained on, or that its best epoch was chosen by, or that are
    unlike those of training, and windows that overlap, where too few are apart.

    Args:
        data: fitted; its `forecast_windows` are about to be forecast.
        levels: that are calibrated.
        by_series: whether each series is calibrated by itself.
        as_in_fit: whether the rows of the stage are those of the fit.
    """
    yield from trained_rows(data)
    yield from unlike_training(data)
    if as_in_fit and data.forecast_stage is not None and data.forecast_stage[0] == "validation":
        yield (
            "these validation rows may have chosen the checkpoint among the epochs, too, so that "
            "errors there are smaller than those of new rows; other rows are better: give "
            "val_df_paths, or stage test"
        )
    count: dict[int, int] = {}
    apart: dict[int, int] = {}
    for run in data.forecast_windows().runs:
        own = 1 + (run.count - 1) // max(1, -(-run.horizon // run.step))
        for windows, number in ((count, run.count), (apart, own)):
            windows[run.series] = windows.get(run.series, 0) + number
    fewest = min if by_series else sum
    found, alone = fewest(count.values()), fewest(apart.values())
    if alone < found and (few := wanting_more(levels, alone)):
        where = " of the series with fewest" if by_series and len(apart) > 1 else ""
        yield (
            f"{found} windows{where} overlap, {alone} of them share no row with another: level "
            f"{few} that do not, for errors of the same rows are alike; calibrate on more rows"
        )


def _forecast(data: WindowDataModule) -> Iterator[tuple[Run, int]]:
    """Yield the windows that are forecast, and the row after the last that may be."""
    runs = [run for run in data.forecast_windows().runs if run.counts]
    series = np.array([run.series for run in runs], dtype=np.int64)
    origin = np.array([run.origin for run in runs], dtype=np.int64)
    return zip(runs, data.forecast_ends(series, origin).tolist(), strict=True)


def _reach(run: Run, series: Series, steps: int | None, end: int, trained: int) -> tuple[int, int]:
    """Return the steps of each forecast, and the row after the last that may be forecast."""
    if steps is None or steps <= trained:
        return min(steps or run.horizon, run.horizon), end
    # beyond the trained horizon forecasts go on to the next gap
    return steps, min(end, series.stretch_at(run.origin)[1])

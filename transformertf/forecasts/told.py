"""What there is to say of the rows that a forecast is of, before it is made."""

from collections.abc import Iterator, Sequence

from transformertf.data import EncoderDecoderDataModule, Series, WindowDataModule
from transformertf.data.windows import Run, count_rows
from transformertf.errors import count_names


def remarks(data: WindowDataModule, steps: int | None = None) -> Iterator[str]:
    """Yield a line for each thing that users may not expect of the rows of a file.

    That is: rows of the past where they may want those to come, more rows than forecasts reach,
    and rows that the model was trained on.

    Args:
        data: fitted; its files to predict are about to be forecast.
        steps: of each forecast; None for those of training.
    """
    if isinstance(data, EncoderDecoderDataModule):
        series = data.forecast_series
        if data.origin.kind == "auto":
            yield from _ends(series)
        yield from _beyond(series, steps, data.tgt_seq_len)
    yield from trained_rows(data, steps)


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


def trained_rows(data: WindowDataModule, steps: int | None = None) -> Iterator[str]:
    """Yield a line where the model was trained on rows that it forecasts.

    Args:
        data: fitted; its `forecast_windows` are about to be forecast.
        steps: of each forecast; None for those of training.
    """
    trained = data.fitted.trained
    if trained is None:
        return
    series, ends = data.forecast_series, data.forecast_ends.tolist()
    spans: dict[int, list[tuple[int, int]]] = {}
    rows = seen = 0
    for run in data.forecast_windows().runs:
        one = series[run.series]
        if run.series not in spans:
            spans[run.series] = trained.within(one)
        reach, end = _reach(run, one, steps, ends[run.series], data.limits.horizon)
        counted = count_rows(run, reach, end, spans[run.series])
        rows, seen = rows + counted[0], seen + counted[1]
    if seen:
        yield (
            f"{seen} of {rows} forecast rows lie in training rows ({100 * seen / rows:.0f} %): the "
            "model has seen their targets, so errors there are smaller than those of new rows"
        )


def _reach(run: Run, series: Series, steps: int | None, end: int, trained: int) -> tuple[int, int]:
    """Return the steps of each forecast, and the row after the last that may be forecast."""
    if steps is None or steps <= trained:
        return min(steps or run.horizon, run.horizon), end
    # beyond the trained horizon forecasts go on to the next gap
    return steps, min(end, series.stretch_at(run.origin)[1])

"""What an evaluation shows: scores of a data module, what a model looks at, and their pictures."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from lightning.fabric.utilities import move_data_to_device

from transformertf.batch import Batch
from transformertf.data import EncoderDecoderDataModule, Series, WindowDataModule
from transformertf.data.batches import BatchDataset
from transformertf.data.windows import Request, SeriesSampler
from transformertf.errors import InputError, TooShortError
from transformertf.evaluation.importance import WeightMeans, evaluating, permutation_importance
from transformertf.evaluation.page import Section
from transformertf.evaluation.results import Evaluation, sample_of
from transformertf.forecasts import naive_scales, table_levels
from transformertf.models import ForecastModule
from transformertf.plots import (
    attention_figure,
    calibration_figure,
    forecast_figure,
    horizon_figure,
    importance_figure,
    residual_figure,
    series_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Evaluated = Literal["test", "validation"]
# batches, and windows of each, to average weights over or to shuffle variables in
BATCHES, WINDOWS = 16, 64
# where forecasts start, by origin
_STARTS = {
    "auto": "a horizon apart, so that each row is forecast once",
    "all": "after each row",
    "last": "at the latest row with a whole horizon",
}
# covariates that residuals are drawn against
COVARIATES = 3


@dataclass(frozen=True)
class Looks:
    """What a model looks at.

    Attributes:
        importance: columns `side`, `variable`, `importance`; None where it cannot be told.
        measured: how: by the "weights" of its selection, or by "permutation".
        attention: mean attention by horizon step and position; None of a model without.
    """

    importance: pd.DataFrame | None
    measured: Literal["weights", "permutation"]
    attention: pd.DataFrame | None


def evaluate_pieces(
    pieces: Iterable[pd.DataFrame],
    data: WindowDataModule,
    season: int,
    settings: Mapping[str, Any],
) -> Evaluation:
    """Score forecasts of a data module.

    Args:
        pieces: of the forecast table, with baselines.
        data: what was forecast.
        season: rows of a season, for the scale of errors in MASE.
        settings: how the forecasts were made.

    Raises:
        InputError: there is no forecast of a known target.
    """
    windows = data.forecast_windows()
    scales = naive_scales(data.forecast_series, windows, season)
    pieces = iter(pieces)
    first = list(islice(pieces, 1))
    levels = table_levels(first[0].columns) if first else ()
    told = {"target": data.columns.target, "season": season, **settings}
    evaluation = Evaluation.of(chain(first, pieces), levels, scales, told)
    if not evaluation["rows"]:
        raise InputError("nothing to evaluate: no forecast has a known target beside it")
    return evaluation


def look_inside(model: ForecastModule, data: WindowDataModule, stage: Evaluated) -> Looks:
    """Return what a model looks at, in windows drawn from all rows of a stage.

    Windows that are forecast begin a horizon apart: all at the same hour, where a day is a whole
    number of them. These may begin at any row.

    Args:
        model: trained; its device is used.
        data: fitted.
        stage: whose rows.
    """
    dataset = _anywhere(data, stage)
    batches = [move_data_to_device(batch, model.device) for batch in _drawn(dataset)]
    add_target = bool(data.hparams.get("add_target_to_past", False))
    means = WeightMeans()
    with evaluating(model):
        for batch in batches if model.interpretable else []:
            means.update(model(batch, need_weights=True), batch)
        _carry_to(model, dataset, batches)
    attention = means.attention() if model.interpretable else None
    weights = means.importance(data.columns, add_target) if model.interpretable else None
    if weights is not None:
        return Looks(weights, "weights", attention)
    try:
        importance = permutation_importance(model, batches, data.columns, add_target=add_target)
    except InputError:
        # a single window has no other to shuffle with
        return Looks(None, "permutation", attention)
    finally:
        model.carried.keep(())
    return Looks(importance, "permutation", attention)


def _anywhere(data: WindowDataModule, stage: Evaluated) -> BatchDataset:
    """Return the windows of a stage that begin at any row, or sequences a stride apart."""
    if isinstance(data, EncoderDecoderDataModule):
        loader: Any = data.evaluation_dataloader(stage, "all")
    else:
        try:
            loader = data.test_dataloader() if stage == "test" else data.val_dataloader()
        except TooShortError:  # for a whole sequence
            loader = data.evaluation_dataloader(stage)
    assert isinstance(loader.dataset, BatchDataset)
    return loader.dataset


def _drawn(dataset: BatchDataset) -> Iterator[Batch]:
    """Return batches of windows drawn at random, always the same."""
    count = min(len(dataset), BATCHES * WINDOWS)
    index = np.random.default_rng(0).choice(len(dataset), count, replace=False)
    # of like sizes, for a window alone is not shuffled
    for chosen in np.array_split(index, max(1, -(-count // WINDOWS))):
        longest = np.full(len(chosen), np.iinfo(np.int64).max)
        yield dataset[Request(chosen, longest, longest)]


def _carry_to(model: ForecastModule, dataset: BatchDataset, batches: Iterable[Batch]) -> None:
    """Have the model hold the states that drawn sequences go on with, where they do."""
    if not dataset.windows.carried:
        return
    drawn = [batch[key].tolist() for batch in batches for key in ("series", "origin")]
    model.carried.keep(chain.from_iterable(map(zip, drawn[::2], drawn[1::2])))
    for request in SeriesSampler(dataset.windows, WINDOWS):
        model(move_data_to_device(dataset[request], model.device), need_weights=False)


def make_sections(
    evaluation: Evaluation, model: ForecastModule, data: WindowDataModule
) -> dict[str, Section]:
    """Return what a report shows, by the names of the pictures' files.

    Args:
        evaluation: of forecasts of the data.
        model: what made them.
        data: what was forecast.
    """
    target, sample, series = data.columns.target, evaluation.sample, data.forecast_series
    named = {one.name: one for one in series}
    sections = {
        "metrics": _summary(evaluation),
        "forecasts": Section(
            "Forecasts",
            "A few forecasts with their intervals, over the context and what happened.",
            figure=_forecasts(sample, named, data),
        ),
        "horizon": Section(
            "Error by horizon step",
            "How the error grows with the distance from the origin, beside that of the naive "
            "forecasts, and how often the intervals hold.",
            figure=horizon_figure(evaluation.by_step, target),
        ),
    }
    if len(evaluation.reliability):
        sections["calibration"] = Section(
            "Calibration",
            "How often the actual value lies at or below each quantile. `transformertf calibrate` "
            "brings the points to the diagonal.",
            table=evaluation.intervals,
            figure=calibration_figure(evaluation.reliability),
        )
    if len(evaluation.by_series) > 1:
        sections["series"] = Section(
            "Error by series",
            "All of them are in by_series.parquet.",
            figure=series_figure(evaluation.by_series, target),
        )
    covariates = [name for name in data.columns.values[:-1] if name not in data.columns.copies]
    for number, name in enumerate(covariates[:COVARIATES], start=1):
        sections[f"residuals_{number}"] = Section(
            f"Residuals against {name}",
            "Loops say that the error depends on the way the covariate came.",
            figure=residual_figure(sample, _covariate(sample, named, data, name), name, target),
        )
    return sections | _look_sections(look_inside(model, data, evaluation.settings["stage"]))


def forecast_picture(pieces: Iterable[pd.DataFrame], data: WindowDataModule) -> "Figure":
    """Draw a few forecasts of the first series, over their context and what happened.

    Args:
        pieces: of the forecast table.
        data: what was forecast.
    """
    named = {one.name: one for one in data.forecast_series}
    sample = sample_of(pieces)
    stamps = {name: _dates(sample[name], data.forecast_series[0]) for name in ("origin", "time")}
    return _forecasts(sample.assign(**stamps), named, data)


def _dates(stamps: pd.Series, series: Series) -> pd.Series:
    """Return time stamps, dates that are text as those of a series."""
    if not pd.api.types.is_string_dtype(stamps.dtype):
        return stamps
    dates = pd.to_datetime(stamps, format="ISO8601", utc=True)
    zone = getattr(series.time, "tz", None)
    return dates.dt.tz_localize(None) if zone is None else dates.dt.tz_convert(zone)


def _forecasts(
    sample: pd.DataFrame, named: Mapping[str, Series], data: WindowDataModule
) -> "Figure":
    target, time = data.columns.target, data.columns.time or "row"
    return forecast_figure(sample, target, time, history=_history(sample, named, data))


def _summary(evaluation: Evaluation) -> Section:
    """Return the metrics over all, and how they were found."""
    settings = {name: value for name, value in evaluation.settings.items() if value is not None}
    told = ", ".join(f"{name} {value}" for name, value in settings.items())
    lost = [f"{name}: {rows}" for name, rows in evaluation.skipped.items() if rows]
    table = pd.DataFrame({"metric": list(evaluation), "value": list(evaluation.values())})
    start = _STARTS.get(str(settings.get("origin")), f"where origin {settings.get('origin')} says")
    text = f"Forecasts start {start}. Over all of them, in units of the target ({told})."
    if lost:
        text += f" Rows left out: {', '.join(lost)}."
    return Section("Metrics", text, table=table)


def _look_sections(looks: Looks) -> dict[str, Section]:
    """Return the pictures of what a model looks at."""
    how, label = {
        "weights": (
            "How much the model's variable selection lets through of each variable.",
            "mean selection weight",
        ),
        "permutation": (
            "By how much the error grows when a variable is shuffled over windows that begin at "
            "any row. What is the same in all of them, such as the time since a window's start, is "
            "not varied: nothing can be said of it.",
            "relative growth of the error",
        ),
    }[looks.measured]
    sections = {}
    if looks.importance is not None:
        figure = importance_figure(looks.importance, label)
        sections["importance"] = Section("Variable importance", how, figure=figure)
    if looks.attention is not None:
        sections["attention"] = Section(
            "Attention",
            "Mean attention of each horizon step to the steps before it; padding is left out.",
            figure=attention_figure(looks.attention),
        )
    return sections


def _rows(times: pd.Series, series: Series) -> npt.NDArray[np.intp]:
    """Return the rows of a series at time stamps that it has, or at row numbers."""
    if series.time is None:
        return times.to_numpy(np.intp)
    return np.asarray(series.time.searchsorted(pd.Index(times)))


def _history(
    sample: pd.DataFrame, named: Mapping[str, Series], data: WindowDataModule
) -> pd.DataFrame:
    """Return the context before the first forecast of each series that is drawn."""
    pieces = []
    for name, own in sample.groupby("series", sort=False):
        series = named[str(name)]
        end = int(_rows(own["time"].iloc[:1], series)[0])
        rows = np.arange(max(0, end - data.limits.context), end)
        times = rows if series.time is None else series.time[rows]
        actual = series.values[rows, -1]
        pieces.append(pd.DataFrame({"series": name, "time": times, "actual": actual}))
    return pd.concat(pieces, ignore_index=True)


def _covariate(
    sample: pd.DataFrame, named: Mapping[str, Series], data: WindowDataModule, name: str
) -> npt.NDArray[np.float64]:
    """Return a covariate beside each row of forecasts."""
    column = data.columns.values.index(name)
    values = np.empty(len(sample))
    for series, rows in sample.groupby("series", sort=False).indices.items():
        one = named[str(series)]
        values[rows] = one.values[_rows(sample["time"].iloc[rows], one), column]
    return values

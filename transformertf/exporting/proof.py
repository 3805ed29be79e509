"""An exported graph held against the live model, on random windows."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from transformertf.data import Codes, EncoderDecoderDataModule, Series
from transformertf.data.windows import Run
from transformertf.errors import InputError
from transformertf.exported import Session, Window, feed
from transformertf.models import ForecastModule

# of the target's spread
LARGEST = 1e-4
Array = npt.NDArray[Any]


class Proof(NamedTuple):
    """How far an exported graph is from the live model.

    Attributes:
        difference: the largest one of any number shown, in the target's unit.
        spread: standard deviation of the target in training.
        shapes: batch, context and horizon of what was compared.
    """

    difference: float
    spread: float
    shapes: list[tuple[int, int, int]]


def prove(
    session: Session, model: ForecastModule, data: EncoderDecoderDataModule, seed: int = 0
) -> Proof:
    """Return how far an exported graph is from the live model on random ragged windows.

    Of each batch one row is full; what stands on the padding of the others is NaN.

    Args:
        session: the exported graph.
        model: in evaluation mode, on the host.
        data: fitted.
        seed: of the windows.

    Raises:
        InputError: they are farther apart than rounding explains.
    """
    rng = np.random.default_rng(seed)
    limits = data.limits
    shapes = [
        (1, limits.context, limits.horizon),
        (9, limits.context // 2 + 2, 1),
        (2, 1, limits.horizon + 3),
    ]
    difference, shown = 0.0, []
    for shape in shapes:
        windows = [*draw(rng, data, *shape)]
        live = _live(model, data, windows)
        inputs = feed(session.card, [*exported_windows(data, windows)])
        try:
            found = session.run(inputs)
        except Exception as error:  # a size that was taken for a constant fails in many ways
            raise InputError(
                f"export: the graph does not run with {shape} as batch, context and horizon "
                f"({' '.join(str(error).split()):.200}); report it, and go on with the checkpoint"
            ) from error
        for name, values in live.items():
            mask = _mask(windows)
            assert found[name].shape[:2] == mask.shape
            difference = max(difference, float(np.abs(found[name][mask] - values).max()))
        shown.append(live["prediction"])
    spread = _spread(data, np.concatenate(shown))
    # a number that is not finite compares as no smaller one
    if not difference <= LARGEST * spread:
        raise InputError(
            f"export: the graph is {difference:.3g} from the live model on random windows, "
            f"expected at most {LARGEST:g} of the target's spread, {spread:.3g}; report it, and "
            "go on with the checkpoint"
        )
    return Proof(difference, spread, shapes)


class Drawn(NamedTuple):
    """A random window, the rows of a series by itself."""

    series: Series
    context: int
    horizon: int


def draw(
    rng: np.random.Generator,
    data: EncoderDecoderDataModule,
    batch: int,
    context: int,
    horizon: int,
) -> Iterator[Drawn]:
    """Yield random windows, in the range of the training rows."""
    columns, names = data.columns, [*data.scaling.names, "unseen"]
    for number in range(batch):
        # the first one is full
        lengths = [context, horizon]
        if number:
            lengths = [int(rng.integers(1, size + 1)) for size in lengths]
        rows = sum(lengths)
        values = np.stack([_uniform(rng, data, name, rows) for name in columns.values], axis=1)
        static = np.array([_uniform(rng, data, name, 1)[0] for name in columns.static])
        texts = data.vocabularies.texts
        codes = tuple(
            Codes(rng.integers(-1, len(texts[name]), size=rows).astype(np.int32), texts[name])
            for name in columns.categories
        )
        chosen = tuple(str(rng.choice(texts[name])) for name in columns.static_categories)
        yield Drawn(
            Series(
                names[int(rng.integers(len(names)))], values, _time(rng, data, rows), rows,
                codes, static, chosen,
            ),
            *lengths,
        )  # fmt: skip


def _uniform(
    rng: np.random.Generator, data: EncoderDecoderDataModule, name: str, rows: int
) -> Array:
    """Return values (rows,) of a column between the least and the most of its training rows."""
    ranges = data.fitted.ranges
    if ranges is None:
        chain = data.scaling.chains[name]
        return rng.uniform(chain.loc - chain.scale, chain.loc + chain.scale, rows)
    place = ranges.columns.index(name)
    low, high = ranges.low[place], ranges.high[place]
    return rng.uniform(low, high, rows) if np.isfinite([low, high]).all() else np.zeros(rows)


def _time(rng: np.random.Generator, data: EncoderDecoderDataModule, rows: int) -> pd.Index | None:
    """Return rising time stamps (rows,), at distances like those of training."""
    if not data.columns.has_time:
        return None
    step = data.scaling.time_scale if data.fitted.ranges is None else data.fitted.ranges.step
    passed = ((step or 1.0) * rng.uniform(0.5, 1.5, rows)).cumsum()
    if data.scaling.time_kind == "date":
        return pd.DatetimeIndex(pd.to_timedelta(passed, unit="s") + pd.Timestamp("2024-01-01"))
    stamps: pd.Index = pd.Index(passed)
    return stamps


def _live(
    model: ForecastModule, data: EncoderDecoderDataModule, windows: list[Drawn]
) -> dict[str, Array]:
    """Return what the live model shows of each data step, window after window."""
    rows = data.fitted.store([one.series for one in windows])
    runs = [
        Run(place, one.context - 1, 1, 1, one.context, one.horizon)
        for place, one in enumerate(windows)
    ]
    (batch,) = data.fitted.batches(rows, runs, len(runs))
    with torch.no_grad():
        output = model(batch, need_weights=False)["output"]
        point, shown = model.way_back(output, batch, data)
    mask = batch["decoder_mask"]
    found = {"prediction": point[..., 0][mask].numpy()}
    if model.quantiles is not None:
        found["quantiles"] = shown[mask].numpy()
    return found


def exported_windows(data: EncoderDecoderDataModule, windows: Iterable[Drawn]) -> Iterator[Window]:
    """Yield the windows as the runner takes them."""
    for one in windows:
        series = one.series
        codes = np.empty((len(series), 0), dtype=np.int64)
        if series.categories:
            codes = data.vocabularies.codes(series, np.int64)
        yield Window(
            series.values,
            series.elapsed(),
            codes,
            series.static,
            data.vocabularies.static_codes(series),
            data.scaling.statistics_of(series),
            0,
            one.context,
            one.horizon,
        )


def _mask(windows: list[Drawn]) -> npt.NDArray[np.bool_]:
    horizons = np.array([one.horizon for one in windows])
    return np.arange(horizons.max()) < horizons[:, None]


def _spread(data: EncoderDecoderDataModule, shown: Array) -> float:
    """Return the target's spread in its own unit."""
    chain = data.scaling.chains[data.columns.target]
    if chain.extra.transforms or chain.scaler is None:
        ranges = data.fitted.ranges
        if ranges is None:
            return float(shown.std())
        place = ranges.columns.index(chain.name)
        # of values spread evenly
        return float(ranges.high[place] - ranges.low[place]) / 12**0.5
    return float(chain.scale)

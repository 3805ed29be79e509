"""Batches against a reference that goes window by window and row by row."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.data.spans import spans_before
from transformertf.data.batches.dataset import Layout, WindowDataset
from transformertf.data.columns import Columns
from transformertf.data.scaling.scaled_rows import store_series
from transformertf.data.scaling.scaling import Scaling
from transformertf.data.scaling.vocabulary import Vocabularies
from transformertf.data.series import Series
from transformertf.data.windows.sampler import Request
from transformertf.data.windows.windows import Part, WindowLimits, Windows, sliding

LIMITS = WindowLimits(context=6, horizon=4, min_context=2, min_horizon=1)
FULL_ROLES = Columns(("k1", "k2"), ("p",), "y", "t")
LONGEST = 10**6


def make_series(columns, rows=(30, 7, 18), *, seed=0, observed=None):
    """Return series with columns of very different size and irregular time; one is short."""
    generator = np.random.default_rng(seed)
    width = len(columns.values)
    result = []
    for number, length in enumerate(rows):
        values = generator.normal(size=(length, width)) * 10.0 ** np.arange(width) + 5.0
        known = length if observed is None else observed
        values[known:, -1] = np.nan
        time = 1e6 + np.cumsum(generator.uniform(0.1, 3.0, length))
        stamps = pd.Index(time) if columns.has_time else None
        result.append(Series(f"s{number}", values, stamps, min(known, length)))
    return result


def make_dataset(
    columns,
    series,
    *,
    windows=None,
    time_format="absolute",
    enabled=True,
    dtype="float64",
    **layout,
):
    if windows is None:
        windows = Windows(
            sliding(Part(index, item.name, 0, len(item)), LIMITS, 1)
            for index, item in enumerate(series)
        )
    scaling = Scaling(columns, enabled, time_format)
    training = make_series(columns, seed=1)
    scaling.fit(
        training, spans_before(training), Windows([sliding(Part(0, "s0", 0, 30), LIMITS, 1)])
    )
    options = {
        "encoder_alignment": "left",
        "decoder_alignment": "left",
        "per_window": False,
        "add_target": True,
        "horizon": LIMITS.horizon,
    }
    stored = store_series(series, scaling, fitted_vocabularies(columns, training), dtype)
    return WindowDataset(stored, windows, scaling, Layout(**{**options, **layout}))


def fitted_vocabularies(columns, training):
    vocabularies = Vocabularies(columns)
    vocabularies.fit(training, spans_before(training))
    return vocabularies


def fetch(dataset, index=None, context=None, horizon=None):
    index = np.arange(len(dataset)) if index is None else np.asarray(index)
    full = np.full(len(index), LONGEST)
    return dataset[
        Request(
            index,
            full if context is None else np.asarray(context),
            full if horizon is None else np.asarray(horizon),
        )
    ]


class Reference:
    """One window, from the definition: scaled columns, then time, known, past and target."""

    def __init__(self, dataset, series, place, context=LONGEST, horizon=LONGEST):
        number, origin, full_context, full_horizon = (
            int(array[0]) for array in dataset.windows.locate(np.array([place]))
        )
        self.columns, self.layout = dataset.columns, dataset.layout
        self.dtype = dataset.values.dtype
        self.time_format, self.time_scale = dataset.scaling.time_format, dataset.scaling.time_scale
        self.series, self.origin = number, origin
        self.values = self._scale(series[number].values)
        self.time = None if series[number].time is None else series[number].time.to_numpy()
        self.past = range(origin + 1 - min(context, full_context), origin + 1)
        self.future = range(origin + 1, origin + 1 + min(horizon, full_horizon))

    def _scale(self, values):
        training = np.concatenate([item.values for item in make_series(self.columns, seed=1)])
        return (values - training.mean(axis=0)) / training.std(axis=0)

    def statistics(self):
        """Return what is taken off each column, and what the target is divided by."""
        context = self.values[list(self.past)]
        if not self.layout.per_window:
            return np.zeros(context.shape[1]), 1.0
        return context.mean(axis=0), max(0.1, context[:, -1].std())

    def row(self, row, names):
        mean, spread = self.statistics()
        features = []
        if self.columns.has_time:
            assert self.time is not None
            before = self.past[0] if self.time_format == "absolute" else max(row - 1, self.past[0])
            features.append((self.time[row] - self.time[before]) / self.time_scale)
        for name in names:
            place = self.columns.values.index(name)
            value = self.values[row, place] - mean[place]
            features.append(value / spread if name == self.columns.target else value)
        return features

    def encoder(self):
        names = [*self.columns.known, *self.columns.past]
        if self.layout.add_target:
            names.append(self.columns.target)
        return np.array([self.row(row, names) for row in self.past])

    def decoder(self):
        rows = [self.row(row, self.columns.known) for row in self.future]
        if self.columns.needs_position:
            rows = [[(step + 1) / self.layout.horizon] for step in range(len(self.future))]
        return np.array(rows)

    def target(self):
        return self.values[list(self.future), -1]


def pad(rows, alignment):
    """Pad sequences (T, F) with zeros to one array, and return it with its mask."""
    longest = max(len(row) for row in rows)
    values = np.zeros((len(rows), longest, *rows[0].shape[1:]))
    mask = np.zeros((len(rows), longest), dtype=bool)
    for number, row in enumerate(rows):
        place = slice(0, len(row)) if alignment == "left" else slice(longest - len(row), longest)
        values[number, place], mask[number, place] = row, True
    return values, mask


def assert_equals_reference(batch, references, tolerance=1e-9):
    layout = references[0].layout
    for side, alignment in (
        ("encoder", layout.encoder_alignment),
        ("decoder", layout.decoder_alignment),
    ):
        rows = [getattr(reference, side)() for reference in references]
        values, mask = pad(rows, alignment)
        np.testing.assert_array_equal(batch[f"{side}_mask"], mask)
        np.testing.assert_array_equal(batch[f"{side}_lengths"], [len(row) for row in rows])
        assert batch[f"{side}_lengths"].dtype == torch.int64
        assert batch[f"{side}_input"].dtype == references[0].dtype
        np.testing.assert_allclose(
            batch[f"{side}_input"], values, rtol=tolerance, atol=10 * tolerance
        )
        assert (batch[f"{side}_input"][~batch[f"{side}_mask"]] == 0).all()
    target, mask = pad([reference.target() for reference in references], layout.decoder_alignment)
    observed = mask & np.isfinite(target)
    np.testing.assert_array_equal(batch["target_mask"], observed)
    target = np.where(observed, target, 0.0)[..., None]
    np.testing.assert_allclose(batch["target"], target, rtol=tolerance, atol=10 * tolerance)
    assert batch["series"].tolist() == [reference.series for reference in references]
    assert batch["origin"].tolist() == [reference.origin for reference in references]
    assert batch["series"].dtype == batch["origin"].dtype == torch.int64


ROLES = {
    "all": FULL_ROLES,
    "known": Columns(("k",), (), "y", None),
    "known and time": Columns(("k",), (), "y", "t"),
    "past": Columns((), ("p1", "p2"), "y", None),
    "time": Columns((), (), "y", "t"),
    "target alone": Columns((), (), "y", None),
}


@pytest.mark.parametrize("per_window", [False, True], ids=["global", "window"])
@pytest.mark.parametrize("columns", ROLES.values(), ids=ROLES)
def test_batches_equal_the_reference(columns, per_window):
    series = make_series(columns)
    dataset = make_dataset(columns, series, per_window=per_window)
    batch = fetch(dataset)
    assert_equals_reference(
        batch, [Reference(dataset, series, place) for place in range(len(dataset))]
    )
    assert not batch["encoder_mask"].all()  # the short series gives a shorter context


@pytest.mark.parametrize("per_window", [False, True], ids=["global", "window"])
@pytest.mark.parametrize("encoder_alignment", ["left", "right"])
@pytest.mark.parametrize("decoder_alignment", ["left", "right"])
@pytest.mark.parametrize("time_format", ["absolute", "relative"])
def test_lengths_alignment_and_time_equal_the_reference(
    per_window, encoder_alignment, decoder_alignment, time_format
):
    series = make_series(FULL_ROLES)
    dataset = make_dataset(
        FULL_ROLES,
        series,
        per_window=per_window,
        encoder_alignment=encoder_alignment,
        decoder_alignment=decoder_alignment,
        time_format=time_format,
    )
    generator = np.random.default_rng(3)
    index = generator.permutation(len(dataset))
    context, horizon = generator.integers(2, 7, len(index)), generator.integers(1, 5, len(index))
    batch = fetch(dataset, index, context, horizon)
    references = [
        Reference(dataset, series, *request)
        for request in zip(index, context, horizon, strict=True)
    ]
    assert_equals_reference(batch, references)
    assert not batch["encoder_mask"].all()
    assert not batch["decoder_mask"].all()


def test_random_lengths_cut_the_start_of_the_context_and_the_end_of_the_horizon():
    series = make_series(FULL_ROLES)
    dataset = make_dataset(FULL_ROLES, series, time_format="relative")
    full, cut = fetch(dataset, [3]), fetch(dataset, [3], [4], [2])
    # the first step of a context has no step before it: all but its time feature is the same
    torch.testing.assert_close(cut["encoder_input"][:, 1:], full["encoder_input"][:, 3:])
    torch.testing.assert_close(cut["encoder_input"][:, 0, 1:], full["encoder_input"][:, 2, 1:])
    torch.testing.assert_close(cut["decoder_input"], full["decoder_input"][:, :2])
    torch.testing.assert_close(cut["target"], full["target"][:, :2])
    assert cut["origin"].tolist() == full["origin"].tolist()


def test_float32_batches_are_close_to_the_reference():
    series = make_series(FULL_ROLES)
    dataset = make_dataset(FULL_ROLES, series, dtype="float32", per_window=True)
    references = [Reference(dataset, series, place) for place in range(len(dataset))]
    assert_equals_reference(fetch(dataset), references, tolerance=2e-6)


def test_without_target_history_the_encoder_loses_its_last_feature():
    columns, series = FULL_ROLES, make_series(FULL_ROLES)
    with_target, without = (
        fetch(make_dataset(columns, series, add_target=add)) for add in (True, False)
    )
    assert without["encoder_input"].size(-1) == 4
    assert torch.equal(without["encoder_input"], with_target["encoder_input"][..., :-1])
    assert torch.equal(without["target"], with_target["target"])
    dataset = make_dataset(columns, series, add_target=False, per_window=True)
    references = [Reference(dataset, series, place) for place in range(len(dataset))]
    assert_equals_reference(fetch(dataset), references)


def test_without_scaling_values_are_in_original_units():
    columns = Columns(("k",), (), "y", None)
    series = make_series(columns)
    batch = fetch(make_dataset(columns, series, enabled=False), [0])
    np.testing.assert_array_equal(batch["encoder_input"][0], series[0].values[:6])
    np.testing.assert_array_equal(batch["target"][0], series[0].values[6:10, -1:])


@pytest.mark.parametrize("alignment", ["left", "right"])
def test_position_is_relative_to_the_configured_horizon(alignment):
    columns = Columns((), (), "y", None)
    dataset = make_dataset(columns, make_series(columns), decoder_alignment=alignment)
    batch = fetch(dataset, [0, 1], horizon=[3, 1])
    one = [0.25, 0.0, 0.0] if alignment == "left" else [0.0, 0.0, 0.25]
    assert batch["decoder_input"].squeeze(-1).tolist() == [[0.25, 0.5, 0.75], one]


# normalised by window


def test_window_statistics_follow_the_formula():
    series = make_series(FULL_ROLES)
    dataset = make_dataset(FULL_ROLES, series, per_window=True)
    batch, plain = fetch(dataset), fetch(make_dataset(FULL_ROLES, series))
    for number in range(len(dataset)):
        context = plain["encoder_input"][number][plain["encoder_mask"][number]].numpy()
        loc, scale = context[:, -1].mean(), max(context[:, -1].std(), 0.1)
        assert float(batch["window_loc"][number]) == pytest.approx(loc)
        assert float(batch["window_scale"][number]) == pytest.approx(scale)
    assert batch["window_loc"].shape == batch["window_scale"].shape == (len(dataset),)
    assert torch.equal(batch["target"], plain["target"])  # stays globally scaled
    assert "window_loc" not in plain


def test_time_and_covariate_spread_are_exempt_from_window_normalisation():
    series = make_series(FULL_ROLES)
    window = fetch(make_dataset(FULL_ROLES, series, per_window=True), [2])
    plain = fetch(make_dataset(FULL_ROLES, series), [2])
    assert torch.equal(window["encoder_input"][..., 0], plain["encoder_input"][..., 0])
    assert torch.equal(window["decoder_input"][..., 0], plain["decoder_input"][..., 0])
    mean = plain["encoder_input"][..., 1:4].mean(dim=1, keepdim=True)
    torch.testing.assert_close(
        window["encoder_input"][..., 1:4], plain["encoder_input"][..., 1:4] - mean
    )
    torch.testing.assert_close(
        window["decoder_input"][..., 1:], plain["decoder_input"][..., 1:] - mean[..., :2]
    )


@pytest.mark.parametrize("spread", [0.0, 1e-3, 0.5])
def test_the_spread_of_a_quiet_window_has_a_floor(spread):
    columns = Columns(("k",), (), "y", None)
    series = make_series(columns, rows=(10,))
    training = np.concatenate([item.values[:, -1] for item in make_series(columns, seed=1)])
    wave = spread * np.array([1.0, -1.0] * 5)  # standard deviation `spread`, in scaled units
    series[0].values[:, -1] = training.mean() + training.std() * (2.0 + wave)
    batch = fetch(make_dataset(columns, series, per_window=True))
    assert float(batch["window_scale"]) == pytest.approx(max(spread, 0.1))
    assert float(batch["window_loc"]) == pytest.approx(2.0)
    expected = wave[:6] / max(spread, 0.1)
    np.testing.assert_allclose(batch["encoder_input"][0, :, -1], expected, atol=1e-9)


@pytest.mark.parametrize("alignment", ["left", "right"])
def test_window_statistics_do_not_depend_on_padding(alignment):
    series = make_series(FULL_ROLES)
    dataset = make_dataset(FULL_ROLES, series, per_window=True, encoder_alignment=alignment)
    alone = fetch(dataset, [4], [2], [3])
    beside = fetch(dataset, [4, 0, 9], [2, 6, 5], [3, 4, 1])
    assert beside["encoder_input"].size(1) == 6  # the other rows pad it
    for key in ("window_loc", "window_scale"):
        torch.testing.assert_close(beside[key][:1], alone[key], rtol=1e-12, atol=1e-12)
    data = beside["encoder_input"][0][beside["encoder_mask"][0]]
    torch.testing.assert_close(data, alone["encoder_input"][0], rtol=1e-10, atol=1e-10)


# time

SAMPLINGS = {
    "uniform": np.full(60, 0.5),
    "jittered": 0.5 + np.random.default_rng(0).uniform(-0.01, 0.01, 60),
    "irregular": np.random.default_rng(1).exponential(3.0, 60) + 0.01,
}


@pytest.mark.parametrize("time_format", ["absolute", "relative"])
@pytest.mark.parametrize("steps", SAMPLINGS.values(), ids=SAMPLINGS)
@pytest.mark.parametrize("kind", ["float", "datetime"])
def test_the_time_feature_is_finite_scaled_and_starts_at_zero(steps, time_format, kind):
    elapsed = np.cumsum(steps)
    if kind == "datetime":
        time: Any = pd.Timestamp("2024-01-01") + pd.to_timedelta(elapsed, unit="s")
    else:
        time = pd.Index(1e8 + elapsed)
    values = np.random.default_rng(2).normal(size=(60, 1))
    series = [Series("s", values, time, 60)]
    columns = Columns((), (), "y", "t")
    windows = Windows([sliding(Part(0, "s", 0, 60), LIMITS, 1)])
    scaling = Scaling(columns, True, time_format)
    scaling.fit(series, spans_before(series), windows)
    layout = Layout("left", "left", False, True, LIMITS.horizon)
    stored = store_series(series, scaling, Vocabularies(columns), "float32")
    batch = fetch(WindowDataset(stored, windows, scaling, layout))

    feature = torch.cat([batch["encoder_input"][..., 0], batch["decoder_input"][..., 0]], dim=1)
    assert torch.isfinite(feature).all()
    assert (feature[:, 0] == 0).all()
    assert (feature[:, 1:] > 0).all()
    assert feature.std() > 0.1
    counted = feature[:, 1:] if time_format == "relative" else feature
    assert float(counted.square().mean().sqrt()) == pytest.approx(1.0, rel=1e-3)
    window = elapsed[20:30]  # the window whose context starts at row 20
    since = window - window[0] if time_format == "absolute" else np.diff(window, prepend=window[0])
    np.testing.assert_allclose(feature[20], since / scaling.time_scale, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("time_format", ["absolute", "relative"])
def test_time_keeps_its_resolution_far_from_its_origin(time_format):
    """Nanoseconds since 1970 as integers: beyond what float32, and float64 sums, resolve."""
    columns = Columns((), (), "y", "t")
    rows = 20
    time = pd.Index(1_700_000_000_000_000_000 + 1000 * np.arange(rows))
    series = [Series("s", np.random.default_rng(0).normal(size=(rows, 1)), time, rows)]
    windows = Windows([sliding(Part(0, "s", 0, rows), LIMITS, 1)])
    scaling = Scaling(columns, True, time_format)
    scaling.fit(series, spans_before(series), windows)
    layout = Layout("left", "left", False, True, LIMITS.horizon)
    stored = store_series(series, scaling, Vocabularies(columns), "float32")
    feature = fetch(WindowDataset(stored, windows, scaling, layout))["encoder_input"][..., 0]
    steps = feature.diff(dim=1) if time_format == "absolute" else feature[:, 1:]
    torch.testing.assert_close(steps, steps[:1, :1].expand_as(steps), rtol=1e-5, atol=0)


# targets that are not known


def test_an_unknown_target_is_masked_and_never_nan():
    columns = FULL_ROLES
    series = make_series(columns, rows=(12, 12), observed=8)
    windows = Windows([sliding(Part(index, "s", 0, 12), LIMITS, 1) for index in (0, 1)])
    dataset = make_dataset(columns, series, windows=windows)
    batch = fetch(dataset, [0, 3])
    assert batch["target_mask"].tolist() == [[True, True, False, False]] * 2
    assert torch.isfinite(batch["target"]).all()
    assert batch["decoder_mask"].all()
    assert torch.isfinite(batch["decoder_input"]).all()
    references = [Reference(dataset, series, place) for place in (0, 3)]
    assert_equals_reference(batch, references)


@pytest.mark.parametrize("per_window", [False, True])
def test_without_any_known_target_there_is_no_target(per_window):
    series = make_series(FULL_ROLES, rows=(10,), observed=6)
    batch = fetch(make_dataset(FULL_ROLES, series, per_window=per_window))
    assert "target" not in batch
    assert not batch["target_mask"].any()
    assert torch.isfinite(batch["encoder_input"]).all()
    assert torch.isfinite(batch["decoder_input"]).all()


def test_past_covariates_missing_in_the_horizon_do_no_harm():
    series = make_series(FULL_ROLES, rows=(10,), observed=6)
    series[0].values[6:, 2] = np.nan
    batch = fetch(make_dataset(FULL_ROLES, series, per_window=True))
    assert torch.isfinite(batch["encoder_input"]).all()
    assert torch.isfinite(batch["decoder_input"]).all()


# access


def test_an_integer_gives_a_batch_of_one_full_window():
    dataset = make_dataset(FULL_ROLES, make_series(FULL_ROLES))
    for place in (0, len(dataset) - 1):
        one, expected = dataset[place], fetch(dataset, [place])
        assert one.keys() == expected.keys()
        assert all(torch.equal(one[key], expected[key]) for key in one)


@pytest.mark.parametrize("beyond", [0, 3])
def test_an_integer_beyond_the_windows_is_an_index_error(beyond):
    dataset = make_dataset(FULL_ROLES, make_series(FULL_ROLES))
    with pytest.raises(IndexError):
        dataset[len(dataset) + beyond]
    assert len(list(dataset)) == len(dataset)


def test_batches_are_copies():
    dataset = make_dataset(FULL_ROLES, make_series(FULL_ROLES))
    before = fetch(dataset, [0, 1])
    spoiled = fetch(dataset, [0, 1])
    for value in spoiled.values():
        value.zero_()
    after = fetch(dataset, [0, 1])
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_a_window_is_the_same_in_any_batch():
    dataset = make_dataset(FULL_ROLES, make_series(FULL_ROLES))
    batch, alone = fetch(dataset, [0, 7, 22]), fetch(dataset, [7])
    for key in ("encoder_input", "decoder_input", "target", "series", "origin"):
        torch.testing.assert_close(batch[key][1:2], alone[key])


@pytest.mark.parametrize("per_window", [False, True], ids=["global", "window"])
@pytest.mark.parametrize("time_format", ["absolute", "relative"])
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
def test_a_batch_is_made_on_the_device_alone(per_window, time_format, ragged):
    """The meta device refuses to compute with tensors of another one."""
    series = make_series(FULL_ROLES)
    host = make_dataset(
        FULL_ROLES, series, time_format=time_format, per_window=per_window, dtype="float32"
    )
    there = WindowDataset(
        host.stored, host.windows, host.scaling, host.layout, 0.1, torch.device("meta")
    )
    context = [3, 4, 5] if ragged else [5, 5, 5]
    request = Request(np.arange(3), np.array(context), np.full(3, 4), noise=1)
    batch: Any = there[request]
    expected: Any = host[request]
    assert batch.keys() == expected.keys()
    for key, values in batch.items():
        assert values.shape == expected[key].shape
        assert values.device.type == ("cpu" if key in ("series", "origin") else "meta"), key

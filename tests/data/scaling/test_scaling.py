"""Statistics of the training rows, and the way back to original units."""

import io
import json
import logging

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.spans import spans_before
from transformertf.batch import Batch
from transformertf.data.columns import Columns
from transformertf.data.scaling import training_rows
from transformertf.data.scaling.scaling import Scaling
from transformertf.data.series import Series
from transformertf.data.transform import TargetTransform, make_transform
from transformertf.data.windows.windows import Part, WindowLimits, Windows, sliding
from transformertf.errors import InputError

COLUMNS = Columns(("k",), ("p",), "y", None)
ENDS = (30, 12, 0)
CHAINS = {"k": ["Log1pTransform", "MaxScaler"], "p": "DeltaTransform", "y": "LogTransform"}


def make_series(seed=0, breaks=()):
    generator = np.random.default_rng(seed)
    result: list[Series] = []
    for name, rows in (("a", 40), ("b", 25), ("c", 9)):
        values = generator.gamma(4.0, [1.0, 3.0, 40.0], size=(rows, 3)) + len(result)
        kept = tuple(row for row in breaks if row < rows)
        result.append(Series(name, values, None, rows, breaks=kept))
    return result


def fitted(normalize=True, series=None, extra=None, depends=None, columns=COLUMNS, ends=ENDS):
    scaling = Scaling(columns, normalize, "absolute", extra, depends)
    series = make_series() if series is None else series
    scaling.fit(series, spans_before(series, ends), Windows([]))
    return scaling


def written(scaling, item):
    out = np.empty((len(item), len(scaling.columns.features)))
    scaling.write_features(item, out)
    return out


def same_state(first, second):
    """Whether two states are equal up to rounding."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same_state(first[k], second[k]) for k in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same_state, first, second))
    if isinstance(first, float | torch.Tensor):
        return np.allclose(first, second, rtol=1e-10, atol=1e-13)
    return first == second


def test_columns_are_standardised_by_the_training_rows_of_all_series():
    series = make_series()
    rows = np.concatenate([item.values[:end] for item, end in zip(series, ENDS, strict=True)])
    expected = (series[1].values - rows.mean(axis=0)) / rows.std(axis=0)
    for normalize in (True, "global", "window"):
        found = written(fitted(normalize), series[1])
        if normalize == "window":  # the target, which is last, by its own series
            own = series[1].values[: ENDS[1], -1]
            expected[:, -1] = (series[1].values[:, -1] - own.mean()) / own.std()
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("normalize", [True, "series"])
def test_rows_behind_the_training_part_do_not_matter(normalize):
    series = make_series()
    for item, end in zip(series, ENDS, strict=True):
        item.values[end:] = 1e9
    state = fitted(normalize, series, CHAINS).state_dict()
    assert same_state(state, fitted(normalize, extra=CHAINS).state_dict())
    series[1].values[0] *= 2
    assert not same_state(state, fitted(normalize, series, CHAINS).state_dict())


@pytest.mark.parametrize("normalize", [True, "series"])
def test_a_second_fit_forgets_the_first(normalize):
    scaling, others = fitted(normalize, extra=CHAINS), make_series(seed=1)[:2]
    scaling.fit(others, spans_before(others, ENDS), Windows([]))
    expected = fitted(normalize, others, CHAINS)
    assert same_state(scaling.state_dict(), expected.state_dict())
    np.testing.assert_array_equal(written(scaling, others[0]), written(expected, others[0]))


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 50),
    breaks=st.sets(st.integers(1, 39), max_size=4),
    missing=st.booleans(),
    normalize=st.sampled_from([True, "series"]),
)
def test_pieces_of_any_size_give_the_fit_of_the_whole(size, breaks, missing, normalize):
    series = make_series(breaks=sorted(breaks))
    if missing:
        for item in series:
            item.values[3:6] = np.nan
    extra = {**CHAINS, "y": ["DeltaTransform", "DivideByXTransform", "MaxScaler"]}
    whole = fitted(normalize, series, extra, "k").state_dict()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_rows, "PIECE", size)
        cut = fitted(normalize, series, extra, "k").state_dict()
    assert same_state(cut, whole)


def test_long_series_are_cut_and_short_ones_share_a_piece(monkeypatch):
    monkeypatch.setattr(training_rows, "PIECE", 16)
    series = make_series()
    spans = spans_before(series, (40, 5, 6))
    found = list(training_rows.TrainingRows(series, spans).pieces(0, 2)())
    assert [len(piece.column) for piece in found] == [16, 16, 13, 6]
    assert [list(piece.starts) for piece in found] == [[0], [], [8], [0]]
    covariates = [piece.covariate for piece in found if piece.covariate is not None]
    assert [part.shape for part in covariates] == [piece.column.shape for piece in found]


def test_differences_start_anew_at_each_stretch():
    item = make_series(breaks=(10, 11))[0]
    scaling = fitted(series=[item], extra={"y": "DeltaTransform"}, ends=(25,))
    y = item.values[:25, 2]
    steps = np.concatenate([np.diff(part, prepend=part[0]) for part in np.split(y, [10, 11])])
    expected = (steps - steps.mean()) / steps.std()
    np.testing.assert_allclose(written(scaling, item)[:25, 2], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("extra", [None, CHAINS], ids=["plain", "extra"])
def test_each_series_has_its_own_statistics(extra):
    series = make_series()
    series[1].values[2, 0] = np.nan
    scaling = fitted("series", series, extra)
    for item, end in zip(series[:2], ENDS, strict=False):
        found = written(scaling, item)[:end]
        np.testing.assert_allclose(np.nanmean(found, axis=0), 0.0, atol=1e-12)
        np.testing.assert_allclose(np.nanstd(found, axis=0), 1.0, rtol=1e-10)
    assert [scaling.statistics_of(item) for item in series] == [1, 2, 0]
    np.testing.assert_array_equal(
        written(scaling, series[2]), written(fitted(True, series, extra), series[2])
    )


def test_what_does_not_vary_within_a_series_keeps_scale_one():
    series = make_series()
    series[0].values[:, 1] = 7.0
    series[1].values[:12, 0] = np.nan
    scaling, of_all = fitted("series", series), fitted(True, series)
    np.testing.assert_array_equal(written(scaling, series[0])[:, 1], 0.0)
    # nothing to go by: the statistics of all series
    expected = written(of_all, series[1])[12:, 0]
    np.testing.assert_array_equal(written(scaling, series[1])[12:, 0], expected)


def test_series_not_seen_in_training_are_said_once(caplog):
    scaling = fitted("series")
    others = [Series(name, np.ones((2, 3)), None, 2) for name in "aefgh"]
    with caplog.at_level(logging.WARNING):
        scaling.warn_unseen(others[:1])
        assert not caplog.records
        scaling.warn_unseen(others)
        scaling.warn_unseen(others)
        fitted(True).warn_unseen(others)
    (record,) = caplog.records
    assert record.getMessage().startswith("4 series not seen in training")
    assert record.getMessage().endswith("e, f, g, …")


def test_constant_columns_are_named_and_kept():
    series = make_series()
    for item in series:
        item.values[:, 1] = 0.3
    scaling = fitted(series=series)
    assert scaling.constant_columns == ["p"]
    np.testing.assert_allclose(written(scaling, series[0])[:, 1], 0.0, atol=1e-15)
    assert fitted(False, series).constant_columns == []


def test_a_column_without_training_values_is_refused():
    series = make_series()
    for item, end in zip(series, ENDS, strict=True):
        item.values[:end, 1] = np.nan
    with pytest.raises(InputError, match=r"^column 'p' has no value in the training data"):
        fitted(series=series)
    fitted(False, series)


def test_static_columns_count_each_training_series_once():
    columns = Columns((), (), "y", None, static=("area", "age"))
    values = [(1.0, 1.0), (100.0, np.nan), (1e4, 5.0), (1e9, 9.0)]
    series = [
        Series(f"s{place}", np.eye(place + 2, 1), None, place + 2, static=np.array(value))
        for place, value in enumerate(values)
    ]
    scaling = fitted("series", series, {"area": "LogTransform"}, None, columns, (2, 3, 4, 0))
    found = np.array([scaling.static_features(item, "float64") for item in series])
    spread = np.log(100) * np.std([0, 1, 2])
    expected = (np.log([1, 100, 1e4, 1e9]) - np.log(100)) / spread
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found[:, 1], [-1.0, 0.0, 1.0, 3.0], rtol=1e-12)


TARGETS = [
    [],
    ["StandardScaler"],
    [{"class_path": "MinMaxScaler", "init_args": {"low": -1, "high": 2}}],
    ["MaxScaler"],
    ["DeltaTransform"],
    ["LogTransform"],
    ["Log1pTransform"],
    ["SIGMOID"],
    ["AdaptiveSigmoidTransform"],
    ["DivideByXTransform"],
    ["CURVE"],
    ["POLYNOMIAL"],
    [{"class_path": "PolynomialTransform", "init_args": {"degree": 2}}],
    ["LogTransform", "DeltaTransform", "DivideByXTransform", "MaxScaler"],
]


def in_unit(spec, unit):
    """Return a specification whose numbers are in the target's unit."""
    made = {
        "SIGMOID": ("SigmoidTransform", {"k": -0.5 / unit, "x0": 2.0 * unit}),
        "CURVE": ("DiscreteFunctionTransform", {"x": [0, 1, 9], "y": [unit, -unit, 3 * unit]}),
        "POLYNOMIAL": ("FixedPolynomialTransform", {"coefficients": [unit, -2 * unit]}),
    }
    if spec not in made:
        return spec
    return dict(zip(("class_path", "init_args"), made[spec], strict=True))


def make_batch(scaling, series, lengths, alignment, origin=3):
    """Return target in original units (B, T) and a batch of windows, one a series."""
    steps = max(lengths)
    shape = (len(series), steps)
    mask, rows = torch.zeros(shape, dtype=torch.bool), np.zeros(shape, dtype=int)
    for place, length in enumerate(lengths):
        cells = slice(0, length) if alignment == "left" else slice(steps - length, steps)
        mask[place, cells] = True
        rows[place, cells] = np.arange(origin + 1, origin + 1 + length)

    def picked(columns):
        return torch.from_numpy(np.stack([c[r] for c, r in zip(columns, rows, strict=True)]))

    scaled = picked([written(scaling, item)[:, -1] for item in series])
    batch = Batch(
        decoder_mask=mask,
        statistics=torch.tensor([scaling.statistics_of(item) for item in series]),
        target_covariate=picked([item.values[:, 0] for item in series]),
        target_start=torch.tensor([item.values[origin, 2] for item in series]),
        # padding holds whatever a model makes of it
        target=torch.where(mask, scaled, 1.5).unsqueeze(-1),
    )
    return picked([item.values[:, 2] for item in series]), batch


@pytest.mark.parametrize("power", [-12, -3, 0, 4, 12])
@pytest.mark.parametrize("alignment", ["left", "right"])
@pytest.mark.parametrize("normalize", [True, "series", False])
@pytest.mark.parametrize("chain", TARGETS, ids=lambda chain: "-".join(map(str, chain))[:40])
def test_a_scaled_target_comes_back(chain, normalize, alignment, power):
    unit = 10.0**power
    series = make_series()
    for item in series:
        item.values[:, 2] *= unit / 100
    specs = [in_unit(spec, unit) if isinstance(spec, str) else spec for spec in chain]
    pair = any(isinstance(make_transform(spec), TargetTransform) for spec in specs)
    depends = "k" if pair else None
    scaling = fitted(normalize, series, {"y": specs}, depends)
    expected, batch = make_batch(scaling, series, (5, 3, 1), alignment)
    mask = batch["decoder_mask"]
    assert not mask.all()
    found = scaling.inverse_target(batch["target"], batch)
    assert found.dtype == torch.float64
    assert bool(torch.isfinite(found).all())
    torch.testing.assert_close(found[mask].squeeze(-1), expected[mask], rtol=1e-6, atol=0)
    # of other ranks: as many columns as quantiles, or none
    wide = scaling.inverse_target(batch["target"].expand(-1, -1, 4), batch)
    torch.testing.assert_close(
        wide[mask], expected[mask].unsqueeze(-1).expand(-1, 4), rtol=1e-6, atol=0
    )
    flat = scaling.inverse_target(batch["target"].squeeze(-1), batch)
    torch.testing.assert_close(flat[mask], expected[mask], rtol=1e-6, atol=0)


def test_single_precision_comes_back_in_double():
    scaling, series = fitted(), make_series()
    expected, batch = make_batch(scaling, series, (5, 3, 1), "left")
    found = scaling.inverse_target(batch["target"].float(), batch)
    assert found.dtype == torch.float64
    mask = batch["decoder_mask"]
    torch.testing.assert_close(found[mask].squeeze(-1), expected[mask], rtol=1e-6, atol=0)
    assert scaling.inverse_target(batch["target"], {}).dtype == torch.float64


def test_sums_of_sequences_take_their_own_mask():
    scaling, series = fitted(extra={"y": "DeltaTransform"}), make_series()
    expected, batch = make_batch(scaling, series, (5, 3, 1), "right")
    mask = batch.pop("decoder_mask")
    batch["mask"] = mask
    found = scaling.inverse_target(batch["target"], batch)
    torch.testing.assert_close(found[mask].squeeze(-1), expected[mask], rtol=1e-9, atol=0)


def test_gradients_pass_to_the_scaled_target():
    scaling, series = fitted(extra={"y": ["LogTransform", "DeltaTransform"]}), make_series()
    _, batch = make_batch(scaling, series, (5, 3, 1), "right")
    values = batch["target"].requires_grad_()
    scaling.inverse_target(values, batch)[batch["decoder_mask"]].sum().backward()
    assert torch.equal(values.grad.squeeze(-1) != 0, batch["decoder_mask"])


def test_what_the_batches_need_is_said():
    assert not fitted().has_delta
    assert fitted().target_x is None
    assert not fitted(extra={"p": "DeltaTransform"}).has_delta
    scaling = fitted(extra={"y": ["DeltaTransform", "DivideByXTransform"]}, depends="k")
    assert (scaling.has_delta, scaling.target_x) == (True, "k")


@pytest.mark.parametrize("normalize", [True, "series", False])
@pytest.mark.parametrize("indicators", [False, True])
def test_the_state_survives_a_file_of_weights_only(normalize, indicators):
    columns = Columns(("k",), ("p",), "y", None, indicators=indicators)
    extra = {**CHAINS, "y": {"class_path": "PolynomialTransform", "init_args": {"degree": 2}}}
    scaling, file = fitted(normalize, None, extra, "k", columns), io.BytesIO()
    torch.save(scaling.state_dict(), file)
    file.seek(0)
    fresh = Scaling(columns, normalize, "absolute", extra, "k")
    fresh.load_state_dict(torch.load(file, weights_only=True))
    for item in make_series():
        item.values[:3, 1:] = np.nan
        np.testing.assert_array_equal(written(fresh, item), written(scaling, item))
        assert fresh.statistics_of(item) == scaling.statistics_of(item)
    assert same_state(fresh.state_dict(), scaling.state_dict())


def test_the_state_of_plain_scaling_is_primitives():
    state = fitted().state_dict()
    assert json.loads(json.dumps(state)) == state


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: Scaling(COLUMNS, False, "absolute"), "normalize is False, but .* with 'global'"),
        (lambda: Scaling(COLUMNS, "series", "absolute"), "normalize is 'series', but"),
        (
            lambda: Scaling(Columns(("k", "q"), ("p",), "y", None), True, "absolute"),
            "column 'q' is not both in the data module and in the checkpoint",
        ),
        (
            lambda: Scaling(COLUMNS, True, "absolute", {"k": "MaxScaler"}),
            "^extra_transforms: column 'k': .* the state is that of StandardScaler, expected Max",
        ),
    ],
)
def test_the_state_of_another_configuration_is_refused(other, message):
    with pytest.raises(InputError, match=message):
        other().load_state_dict(fitted().state_dict())


def test_a_file_of_points_travels_in_the_state(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text("0,1\n50,9\n")
    spec = {"class_path": "DiscreteFunctionTransform", "init_args": {"x": str(path)}}
    scaling = fitted(extra={"y": spec, "k": spec}, depends="k")
    state = scaling.state_dict()
    path.unlink()
    fresh = Scaling(COLUMNS, True, "absolute", {"y": spec, "k": spec}, "k")
    fresh.load_state_dict(state)
    item = make_series()[0]
    np.testing.assert_array_equal(written(fresh, item), written(scaling, item))


ZURICH = pd.date_range("2024-06-01", periods=48, freq="h", tz="Europe/Zurich")


def calendar_series(time):
    return Series("a", np.arange(48.0)[:, None], time, 48)


def test_calendar_features_are_of_the_zone_of_training():
    columns = Columns((), (), "y", "t", calendar=("hour",))
    scaling = Scaling(columns, True, "absolute")
    training = calendar_series(ZURICH)
    windows = Windows([sliding(Part(0, "a", 0, 48), WindowLimits(4, 2, 4, 2), 1)])
    scaling.fit([training], spans_before([training]), windows)
    again = Scaling(columns, True, "absolute")
    again.load_state_dict(scaling.state_dict())
    expected, found = (np.empty((48, 3)) for _ in range(2))
    scaling.write_features(training, expected)
    utc = calendar_series(ZURICH.tz_convert("UTC"))
    again.check_time([utc])
    again.write_features(utc, found)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(InputError, match="has no time zone, in training it had Europe/Zurich; cal"):
        again.check_time([calendar_series(ZURICH.tz_localize(None))])
    # without calendar features the zone does not matter
    plain = Scaling(Columns((), (), "y", "t"), True, "absolute")
    windows = Windows([sliding(Part(0, "a", 0, 48), WindowLimits(4, 2, 4, 2), 1)])
    plain.fit([training], spans_before([training]), windows)
    plain.check_time([calendar_series(ZURICH.tz_localize(None))])

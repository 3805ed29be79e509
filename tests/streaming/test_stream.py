"""A session: any split of rows gives what one batch gives; windowed, what predict gives."""

import io
import itertools
import logging
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.by_equation import shaken
from tests.properties.family import FUSION
from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.data.windows.origins import Origin
from transformertf.data.windows.stages import PREDICT_PATHS
from transformertf.errors import InputError
from transformertf.forecasts.rows import forecast_frame
from transformertf.models import (
    GRU,
    LSTM,
    AttentionLSTM,
    EncoderDecoderLSTM,
    PFTemporalFusionTransformer,
    TemporalFusionTransformer,
    TransformerLSTM,
    xTFT,
)
from transformertf.nn import QuantileLoss
from transformertf.streaming import Stream

CONTEXT, HORIZON, ROWS, NEW = 7, 3, 60, 26
LENGTHS: dict[str, Any] = {"ctxt_seq_len": CONTEXT, "tgt_seq_len": HORIZON, "min_ctxt_seq_len": 1}
EVERYTHING: dict[str, Any] = {
    "known_covariates": ["k", "x", "c"],
    "known_past_covariates": ["p", "b"],
    "static_covariates": ["area", "region"],
    "categorical_covariates": ["c", "b", "region", "month"],
    "calendar_features": ["hour", "month"],
    "series_id": "store",
    "time_column": "t",
    "target_lags": [4, 9],
}
# configurations of a session's data
DATA: dict[str, dict[str, Any]] = {
    "target alone": {},
    "everything": EVERYTHING,
    "series": {**EVERYTHING, "normalize": "series", "time_format": "relative"},
    "differences": {
        "known_covariates": ["k", "x"],
        "time_column": "t",
        "time_format": "relative",
        "target_lags": [5],
        "extra_transforms": {"y": "DeltaTransform", "k": ["DeltaTransform", "SigmoidTransform"]},
    },
    "numbers, transformed": {
        "known_covariates": ["x"],
        "time_column": "n",
        "extra_transforms": {"__time__": "Log1pTransform", "y": "DivideByXTransform"},
        "target_depends_on": "x",
        "mask_encoder_features": ["n"],
    },
    "mask": {**EVERYTHING, "missing": "mask", "extra_transforms": {"y": "DeltaTransform"}},
    "mask, rates": {
        **EVERYTHING,
        "missing": "mask",
        "difference_covariates": ["k", "p"],
        "normalize": "series",
    },
}
RECURRENT = partial(EncoderDecoderLSTM, d_encoder=4, d_decoder=5, dropout=0.1)
WINDOWED = {
    "AttentionLSTM": partial(AttentionLSTM, d_model=4, num_heads=2),
    "TransformerLSTM": partial(TransformerLSTM, d_model=4, num_heads=2),
    "TFT": partial(TemporalFusionTransformer, **FUSION),
    "PF-TFT": partial(PFTemporalFusionTransformer, **FUSION),
    "xTFT": partial(xTFT, **FUSION),
    "EncoderDecoderLSTM": RECURRENT,
}


def make_rows(rows=ROWS, seed=0, gaps=False):
    """Return rows of a series, at uneven times; some values missing where asked."""
    generator = np.random.default_rng(seed)
    hours = generator.integers(1, 4, rows).cumsum()
    frame = pd.DataFrame(
        {
            "store": "s1",
            "t": pd.Timestamp("2024-01-28", tz="Europe/Zurich") + pd.to_timedelta(hours, "h"),
            "n": hours * 0.5 + 1e3,
            **{name: generator.normal(size=rows) for name in ("k", "p", "y")},
            "x": generator.uniform(1, 2, rows),
            "c": generator.choice(["u", "v"], rows),
            "b": generator.integers(0, 3, rows),
            "area": 2.5,
            "region": "north",
        }
    )
    if gaps:
        for name in ("k", "p", "y", "c", "b"):
            frame[name] = frame[name].astype(object).mask(generator.random(rows) < 0.3)
        frame = frame.infer_objects()
    return frame


def make_data(kind=EncoderDecoderDataModule, dtype="float64", **options):
    """Return a data module that is fitted to two series."""
    lengths = LENGTHS if kind is EncoderDecoderDataModule else {"seq_len": CONTEXT}
    data = kind("y", train_df_paths="train.csv", dtype=dtype, **{**lengths, **options})
    other = make_rows(seed=1).assign(store="s2", area=1.5, region="south", y=lambda f: 3 * f["y"])
    frames = [make_rows(), other] if "series_id" in options else [make_rows()]
    data.stages.give("train_df_paths", pd.concat(frames, ignore_index=True))
    data.setup("fit")
    return data


def make_model(kind, data, seed=0, **options):
    """Return a model for data, every weight random."""
    torch.manual_seed(seed)
    if kind in (LSTM, GRU):
        given = {"num_features": data.num_features, "category_sizes": data.category_sizes}
        options = {"num_layers": 2, "d_model": 4, **options}
    else:
        given = {
            "num_past_features": data.num_past_known_covariates,
            "num_future_features": data.num_future_known_covariates,
            "past_category_sizes": data.past_category_sizes,
            "future_category_sizes": data.future_category_sizes,
        }
    given |= {
        "num_static_features": data.num_static_features,
        "static_category_sizes": data.static_category_sizes,
    }
    model = shaken(kind(**given, **options), 0.4).eval()
    return model.to(getattr(torch, data.hparams["dtype"]))


def predict(model, data, frame, row=None, **lengths):
    """Return what predicting a file gives: of windows, from one row on."""
    given = {name: value for name, value in data.hparams.items() if name[0] != "_"}
    other = type(data)(**{**given, **lengths})
    other.load_state_dict(data.state_dict())
    other.stages.give(PREDICT_PATHS, frame)
    if row is not None:
        time = other.columns.time
        other.origin = Origin.parse(str(row if time is None else frame[time][row]))
    batches = list(other.predict_dataloader())
    assert len(batches) == 1
    with torch.no_grad():
        output = model(batches[0], need_weights=False)["output"]
        point, outputs = model.way_back(output, batches[0], other)
    found = forecast_frame(batches[0], point, outputs, other.predict_series, model.quantiles)
    return found.drop(columns="actual")


def columns_of(data):
    """Return the columns of rows, and those of the future."""
    wanted = data.columns
    time = [] if wanted.time is None else [wanted.time]
    return list(wanted.stored), [*wanted.known_ahead, *time]


def same(found, expected, tolerance=1e-10):
    pd.testing.assert_frame_equal(found, expected, rtol=tolerance, atol=tolerance)


def feed(stream, frame, cuts, future):
    """Give rows in updates that end at the cuts, and return the last one's forecasts."""
    begin = 0
    for end in cuts:
        found = stream.update(frame[begin:end], future(end))
        begin = end
    return found


@pytest.fixture(scope="module", params=DATA)
def session(request):
    """Return a model with a state, data, rows to give, and what gives the future of a row."""
    data = make_data(**DATA[request.param])
    delta = {"prediction_type": "delta"} if request.param != "differences" else {}
    criterion = QuantileLoss([0.1, 0.5, 0.9])
    model = make_model(RECURRENT, data, criterion=criterion, monotone=True, **delta)
    frame = make_rows(NEW + HORIZON, seed=5, gaps="mask" in request.param)
    past, known = columns_of(data)
    return model, data, frame[past], lambda end: frame[known][end : end + HORIZON + 2]


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, NEW), max_size=6))
def test_any_split_gives_what_one_batch_gives(session, cuts):
    model, data, frame, future = session
    stream = Stream(model, data)
    assert stream.carries_state
    cuts = [*sorted({*cuts, NEW} - {0}), NEW]  # the last update has no new rows
    found = feed(stream, frame, cuts, future)
    whole = predict_whole(model, data, frame, future, NEW)
    same(found, whole)
    assert stream.rows == NEW
    assert len(found) == HORIZON


def predict_whole(model, data, frame, future, end, **lengths):
    """Return the forecast by `predict` after the rows before `end`, all of them the context."""
    horizon = future(end)[:HORIZON].reset_index(drop=True)
    past = frame[:end].reset_index(drop=True)
    for name in (*data.columns.ids, *data.columns.static, *data.columns.static_categories):
        horizon[name] = past[name][0]
    if not len(horizon.columns):
        horizon = pd.DataFrame(index=range(HORIZON))
    whole = pd.concat([past, horizon], ignore_index=True)
    lag = max(data.columns.lags, default=0)
    given = {"ctxt_seq_len": end - lag, **lengths}
    name = "s1" if data.columns.ids else "stream"
    return (
        predict(model, data, whole, end - 1, **given).assign(series=name).astype({"series": "str"})
    )


def test_single_precision(request):
    data = make_data(dtype="float32", **DATA["everything"])
    model = make_model(RECURRENT, data)
    frame = make_rows(NEW + HORIZON, seed=5)
    past, known = columns_of(data)

    def future(end):
        return frame[known][end:]

    found = feed(Stream(model, data), frame[past], range(1, NEW + 1), future)
    same(found, predict_whole(model, data, frame[past], future, NEW), 1e-5)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        *((name, "everything") for name in WINDOWED),
        *(("EncoderDecoderLSTM", config) for config in (*DATA, "window") if config != "everything"),
    ],
)
def test_a_window_is_forecast_as_predict_does(name, config):
    options = {**EVERYTHING, "normalize": "window"} if config == "window" else DATA[config]
    data = make_data(**options)
    model = make_model(WINDOWED[name], data)
    frame = make_rows(NEW + HORIZON, seed=5, gaps="mask" in config)
    past, known = columns_of(data)

    def future(end):
        return frame[known][end : end + HORIZON]

    stream = Stream(model, data, carry=config == "window")
    assert not stream.carries_state
    first, lag = 0, max(data.columns.lags, default=0)
    ends = sorted({2, lag + 1, lag + 2, lag + 12, lag + 13, NEW})
    # predict starts no forecast where the target is missing
    frame.loc[[end - 1 for end in ends], "y"] = 0.5
    for end in ends:
        found = stream.update(frame[past][first:end], future(end))
        first = end
        if end <= lag:
            assert len(found) == 0
            continue
        context = min(CONTEXT, end - lag)
        expected = predict_whole(model, data, frame[past], future, end, ctxt_seq_len=context)
        same(found, expected)
        assert list(found["step"]) == [1, 2, 3]


SEQUENCES: dict[str, dict[str, Any]] = {
    "plain": {"known_covariates": ["k", "x"]},
    "everything": {name: value for name, value in EVERYTHING.items() if name != "target_lags"},
    "time and transforms": {
        "known_past_covariates": ["p", "x"],
        "time_column": "n",
        "time_format": "relative",
        "extra_transforms": {"p": "DeltaTransform", "y": "DivideByXTransform"},
        "known_covariates": "k",
        "target_depends_on": "k",
    },
    "mask": {
        "known_covariates": ["k", "x"],
        "difference_covariates": "k",
        "missing": "mask",
        "time_column": "t",
    },
}


@pytest.fixture(scope="module", params=SEQUENCES)
def sequence(request):
    data = make_data(TimeSeriesDataModule, **SEQUENCES[request.param])
    models = [make_model(kind, data, criterion=QuantileLoss([0.2, 0.5])) for kind in (LSTM, GRU)]
    frame = make_rows(NEW, seed=5, gaps=request.param == "mask")
    return data, models, frame[columns_of(data)[0]]


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, NEW), max_size=5), known=st.booleans())
def test_a_sequence_goes_on(sequence, cuts, known):
    data, models, frame = sequence
    cuts = sorted({0, *cuts, NEW})
    name = "s1" if data.columns.ids else "frame"
    for model in models:
        whole = predict(model, data, frame, seq_len=NEW)
        stream = Stream(model, data, name)
        rows = frame if known else frame.drop(columns="y")
        for first, end in itertools.pairwise(cuts):
            found = stream.update(rows[first:end])
            expected = whole[first:end].reset_index(drop=True)
            origin = found.pop("origin")
            assert found["step"].tolist() == list(range(1, end - first + 1))
            same(found.drop(columns="step"), expected.drop(columns=["origin", "step"]))
            if first == 0:
                before = expected["origin"][0]  # missing, or -1
                assert origin.isna().all() if pd.isna(before) else (origin == before).all()
            else:
                assert (origin == whole["time"][first - 1]).all()
        assert len(stream.update(rows[:0])) == 0
        assert stream.carries_state


def test_a_windowed_sequence_begins_anew():
    data = make_data(TimeSeriesDataModule, known_covariates=["k", "x"])
    model = make_model(LSTM, data)
    frame = make_rows(NEW)[["k", "x", "y"]]
    stream = Stream(model, data, "frame", carry=False)
    stream.update(frame[:9])
    for first, end, begin in ((9, 11, 4), (11, 20, 11), (20, 21, 14)):
        found = stream.update(frame[first:end])
        part = frame[begin:end].reset_index(drop=True)
        expected = predict(model, data, part, seq_len=end - begin)["prediction"]
        np.testing.assert_allclose(found["prediction"], expected[first - begin :], rtol=1e-10)
        assert found["time"].tolist() == list(range(first, end))
        assert found["origin"].tolist() == [first - 1] * (end - first)


def test_a_session_survives_a_restart(session):
    model, data, frame, future = session
    stream = Stream(model, data)
    feed(stream, frame, [3, 11, 21], future)
    file = io.BytesIO()
    torch.save(stream.state_dict(), file)
    file.seek(0)
    other = Stream(model, data)
    other.load_state_dict(torch.load(file, weights_only=True))
    for end in (22, 22, 25):
        rows = frame[stream.rows : end]
        pd.testing.assert_frame_equal(
            other.update(rows, future(end)), stream.update(rows, future(end)), check_exact=True
        )
    assert other.rows == 25
    with pytest.raises(InputError, match=r"carry: .* carries_state is True, here it is False"):
        Stream(model, data, carry=False).load_state_dict(stream.state_dict())


def test_a_state_without_a_difference_is_refused():
    data = make_data(TimeSeriesDataModule, known_covariates="k")
    other = make_data(TimeSeriesDataModule, known_covariates="k", difference_covariates="k")
    state = Stream(make_model(LSTM, data), data).state_dict()
    with pytest.raises(InputError, match=r"columns k, y, expected k, y, k_difference;"):
        Stream(make_model(LSTM, other), other).load_state_dict(state)


def test_a_state_of_other_data_is_refused(session):
    model, data, frame, future = session
    stream = Stream(model, data)
    stream.update(frame[:12], future(12))
    other = make_data(known_covariates="x", known_past_covariates="p", time_column="n")
    with pytest.raises(InputError, match=r"the state is of columns .*, expected x, p, y, n;"):
        Stream(make_model(RECURRENT, other), other).load_state_dict(stream.state_dict())


def test_what_is_kept_does_not_grow(session):
    model, data, frame, future = session
    for carry, kept in ((True, 1), (False, CONTEXT)):
        stream = Stream(model, data, carry=carry)
        for end in range(1, NEW + 1):
            stream.update(frame[end - 1 : end], future(end))
            # the row before, for differences
            longest = kept + max(data.columns.lags, default=0) + 1
            assert len(stream.state_dict()["history"]["values"]) == min(end, longest)


@pytest.mark.parametrize("placeholder", [0.0, "?", np.inf, None])
def test_a_target_in_the_future_is_not_read(placeholder):
    data = make_data(known_covariates="k")
    model, frame = make_model(RECURRENT, data), make_rows(15)[["k", "y"]]
    rows, future = frame[:12], frame[12:]
    found = Stream(model, data).update(rows, future.assign(y=placeholder))
    same(found, Stream(model, data).update(rows, future[["k"]]))


def test_without_a_future_time_goes_on(caplog):
    data = make_data(known_past_covariates="p", time_column="t", calendar_features="hour")
    model = make_model(RECURRENT, data)
    frame = make_rows(12)[["t", "p", "y"]]
    stream = Stream(model, data)
    with pytest.raises(InputError, match="future: one row of the session has no distance in time"):
        stream.update(frame[:1])
    found = stream.update(frame[:12])
    step = frame["t"][11] - frame["t"][10]
    times = [frame["t"][11] + step * n for n in (1, 2, 3)]
    assert found["time"].tolist() == times
    same(found, stream.update(frame[:0], pd.DataFrame({"t": times})))
    assert stream.update(frame[:0], pd.DataFrame({"t": times[:2]}))["step"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("freq", "zone"), [("MS", None), ("ME", None), ("B", None), ("D", "Europe/Berlin")]
)
@pytest.mark.parametrize("carry", [True, False])
def test_without_a_future_time_goes_on_by_the_calendar(freq, zone, carry):
    data = make_data(known_past_covariates="p", time_column="t")
    model = make_model(RECURRENT, data)
    time = pd.date_range("2024-02-10", periods=60, freq=freq, tz=zone)
    frame = pd.concat([make_rows(12)] * 5, ignore_index=True)[["p", "y"]].assign(t=time)
    frame = frame[:50]
    whole = Stream(model, data, carry=carry)
    expected = whole.update(frame)
    assert expected["time"].tolist() == time[50:53].tolist()
    # row by row, as it is kept, and over a restart
    one = Stream(model, data, carry=carry)
    for row in range(2, 50):
        one.update(frame[: row + 1] if row == 2 else frame[row : row + 1])
        if row == 30:
            state, one = one.state_dict(), Stream(model, data, carry=carry)
            one.load_state_dict(state)
    assert one.update(frame[:0])["time"].tolist() == time[50:53].tolist()


def test_unknown_categories_are_told_once(caplog):
    data = make_data(known_covariates="c", categorical_covariates="c")
    stream = Stream(make_model(RECURRENT, data), data)
    rows = make_rows(8)[["c", "y"]]
    odd = rows.assign(c="odd")
    lost = data.vocabularies.texts["c"]
    with caplog.at_level(logging.WARNING):
        stream.update(rows[:4], odd[:3])
        found = stream.update(odd[4:6], rows[:3])
        again = stream.update(odd[6:7], rows[:3])
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"{where}: 'c' has values that training did not have, taken for unknown: 'odd'"
        for where in ("future", "rows")
    ]
    assert "odd" not in lost
    other = Stream(make_model(RECURRENT, data), data)
    other.update(rows[:4], rows[:3])
    other.update(odd[4:6].assign(c="strange"), rows[:3])
    assert not found.equals(again)
    same(other.update(odd[6:7].assign(c="strange"), rows[:3]), again)


GOOD = make_rows(30, seed=5)
# rows and future of an update after 12 rows, and what is said of them
REFUSED = {
    "no table": ([1.0], None, "rows: expected a DataFrame, found list"),
    "an index": (GOOD[12:14].set_index("p"), None, "rows: no column 'p', which is its index; give"),
    "a future of lists": (GOOD[12:14], [GOOD[14:17]], "future: expected a DataFrame, found list"),
    "no column": (GOOD[12:14].drop(columns="p"), None, "rows: no column 'p'; known: area, b, c"),
    "twice": (
        pd.concat([GOOD, GOOD["y"]], axis=1)[12:14],
        None,
        "rows: 2 columns are named 'y'; rename",
    ),
    "missing": (GOOD[12:14].assign(y=[1.0, np.nan]), None, "rows: .*column 'y' has 1 missing"),
    "infinite": (GOOD[12:14].assign(k=[np.inf, 1.0]), None, "rows: .*column 'k' has 1 infinite"),
    "text": (GOOD[12:14].assign(k="a"), None, "rows: column 'k' must be numeric, found 'a'"),
    "category": (GOOD[12:14].assign(c=0.5), None, "rows: categorical column 'c' holds 0.5"),
    "no category": (GOOD[12:14].assign(c=None), None, "rows: .*column 'c' has 2 missing"),
    "not later": (GOOD[11:14], None, "rows: time does not rise: row 0 .* after the newest"),
    "falling": (GOOD[12:14][::-1], None, "rows: .*time column 't' does not rise in row 1"),
    "numbers": (GOOD[12:14].assign(t=[1, 2]), None, "holds numbers, in training it held dates"),
    "no zone": (
        GOOD[12:14].assign(t=lambda f: f["t"].dt.tz_localize(None)),
        None,
        "has no time zone, in training it had",
    ),
    "another": (GOOD[12:14].assign(store="s2"), None, "rows of series 's1' as before, found 's2'"),
    "two": (
        GOOD[12:14].assign(store=["s1", "s2"]),
        None,
        "rows of one series, found 's1' and 's2'",
    ),
    "static": (GOOD[12:14].assign(area=3.0), None, "static column 'area' must be .*3.0 after 2.5"),
    "place": (GOOD[12:14].assign(region="south"), None, "static column 'region' must be constant"),
    "no future": (GOOD[12:14], "none", "future: expected known covariates .*k, x, c"),
    "empty future": (GOOD[12:14], GOOD[14:14], "future: no rows"),
    "no known": (GOOD[12:14], GOOD[14:17].drop(columns="k"), "future: no column 'k'"),
    "future too early": (GOOD[12:14], GOOD[13:17], "future: time does not rise"),
    "future missing": (
        GOOD[12:14],
        GOOD[14:17].assign(k=np.nan),
        "future: column 'k' has 3 missing",
    ),
}


@pytest.mark.parametrize(
    "given",
    [
        lambda frame: frame.rename(columns=lambda name: f" {name}"),
        lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
        lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    ],
)
def test_rows_and_future_may_be_of_any_types_of_columns(everything, given):
    expected, found = (Stream(*everything) for _ in range(2))
    for rows, future in ((GOOD[:12], GOOD[12:17]), (GOOD[12:14], GOOD[14:17])):
        same(found.update(given(rows), given(future)), expected.update(rows, future))


def test_a_row_may_be_a_mapping(everything):
    expected, found = (Stream(*everything) for _ in range(2))
    for stream in (expected, found):
        stream.update(GOOD[:12], GOOD[12:17])
    row = {str(name): value for name, value in GOOD.iloc[12].items()}
    same(found.update(row, GOOD[13:18]), expected.update(GOOD[12:13], GOOD[13:18]))


@pytest.fixture(scope="module")
def everything():
    data = make_data(**EVERYTHING)
    return make_model(RECURRENT, data), data


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_update_leaves_the_session_as_it_was(case, everything):
    rows, future, message = REFUSED[case]
    model, data = everything
    stream, other = Stream(model, data), Stream(model, data)
    for each in (stream, other):
        each.update(GOOD[:12], GOOD[12:15])
    given = GOOD[14:17] if future is None else future
    with pytest.raises(InputError, match=message) as told:
        stream.update(rows, None if isinstance(given, str) else given)
    assert "\n" not in str(told.value)
    found, expected = (each.update(GOOD[12:14], GOOD[14:17]) for each in (stream, other))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_a_first_update_without_rows_is_refused():
    data = make_data()
    stream = Stream(make_model(RECURRENT, data), data)
    with pytest.raises(InputError, match="rows: no rows, and the session has none yet"):
        stream.update(GOOD[:0])


def test_dates_with_and_without_a_zone_are_refused():
    data = make_data(time_column="t")
    stream = Stream(make_model(RECURRENT, data), data)
    stream.update(GOOD[:3])
    with pytest.raises(InputError, match=r"rows: time stamps are datetime64.* before they were"):
        stream.update(GOOD[3:4].assign(t=lambda f: f["t"].dt.tz_localize(None)))
    zurich = stream.update(GOOD[3:4])
    other = Stream(stream.model, data)
    other.update(GOOD[:3])
    same(other.update(GOOD[3:4].assign(t=lambda f: f["t"].dt.tz_convert("UTC"))), zurich)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (RECURRENT, {"time_column": "n", "freq": 0.5}, "freq is 0.5, which takes whole files"),
        (RECURRENT, {"time_column": "n", "max_gap": 9}, "max_gap is 9, .* begin a session anew"),
        (RECURRENT, {"downsample": 2}, "downsample is 2, .* thin the rows before"),
        (RECURRENT, {"missing": "mask", "impute": "interpolate"}, "impute is 'interpolate'"),
        (LSTM, {}, "LSTM wants batches of sequences"),
    ],
)
def test_data_that_takes_whole_files_is_refused(kind, options, message):
    model = make_model(RECURRENT, make_data()) if kind is RECURRENT else LSTM(2)
    data = EncoderDecoderDataModule("y", **LENGTHS, **options)
    data.seed = 0
    with pytest.raises(InputError, match=message):
        Stream(model, data)


def test_other_mistakes():
    data = EncoderDecoderDataModule("y", **LENGTHS)
    with pytest.raises(InputError, match="the data module is not fitted"):
        Stream(make_model(RECURRENT, make_data()), data)
    data = make_data(TimeSeriesDataModule, known_covariates="k")
    stream = Stream(make_model(LSTM, data), data)
    with pytest.raises(InputError, match="future: expected none, as a sequence model"):
        stream.update(GOOD[:3], GOOD[3:5])
    given = {"known_covariates": "k", "extra_transforms": {"y": "DeltaTransform"}}
    data = make_data(TimeSeriesDataModule, **given)
    with pytest.raises(InputError, match="a DeltaTransform of 'y' counts from the target"):
        Stream(make_model(LSTM, data), data)


def test_a_model_in_training_forecasts_without_dropout():
    data = make_data()
    model = make_model(RECURRENT, data, d_mlp_hidden=8, mlp_dropout=0.5)
    expected = Stream(model, data).update(GOOD[:9])
    model.train()
    same(Stream(model, data).update(GOOD[:9]), expected)


def test_rows_of_another_name_and_unit_are_those_of_training():
    """The first update and later ones, and the future's."""
    rename = {"x": {"from": "x [k]", "scale": 1000}, "y": "target"}
    data = make_data(known_covariates="x", time_column="n", rename=rename)
    model, frame = make_model(RECURRENT, data), make_rows(NEW + HORIZON, seed=5)[["x", "n", "y"]]
    other = frame.assign(x=frame["x"] / 1000).rename(columns={"x": "x [k]", "y": "target"})
    found = [
        feed(Stream(model, data), rows, [9, 12, NEW], lambda end, rows=rows: rows[end:])
        for rows in (frame, other)
    ]
    same(*found)

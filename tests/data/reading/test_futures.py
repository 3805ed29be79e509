"""Future covariates in tables of their own: as if their rows were appended."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.tabular import texts
from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.data.columns import Columns
from transformertf.data.reading.panel import open_future
from transformertf.errors import InputError

CONTEXT, HORIZON = 6, 3
OPTIONS: dict[str, Any] = {
    "target_covariate": "y",
    "known_covariates": ["known", "mode"],
    "known_past_covariates": ["past", "alarm"],
    "static_covariates": ["power", "site"],
    "categorical_covariates": ["mode", "alarm", "site"],
    "time_column": "t",
    "ctxt_seq_len": CONTEXT,
    "tgt_seq_len": HORIZON,
    "batch_size": 1000,
}
UNKNOWN = ["y", "past", "alarm"]
STATIC = ["power", "site"]


def make_rows(name, rows=20, seed=0, start="2024-01-01"):
    generator = np.random.default_rng([seed, rows])
    return pd.DataFrame(
        {
            "unit": name,
            "t": pd.date_range(start, periods=rows, freq="h"),
            "known": generator.normal(size=rows),
            "mode": generator.choice(["on", "off"], rows),
            "past": generator.normal(size=rows),
            "alarm": generator.integers(0, 2, rows),
            "power": 1.0 + seed,
            "site": "ab"[seed % 2],
            "y": 5.0 + generator.normal(size=rows).cumsum(),
        }
    )


def split(whole, cut):
    """Return rows to forecast, those that follow, and the two as one with an unknown target."""
    joined = whole.copy()
    joined.loc[joined.index[cut:], UNKNOWN] = None
    return joined[:cut], whole[cut:].drop(columns=[*UNKNOWN, *STATIC]), joined


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """Return what was fitted to two units."""
    path = tmp_path_factory.mktemp("fit") / "train.parquet"
    pd.concat([make_rows("a", 60, 3), make_rows("b", 60, 4)]).to_parquet(path)
    data = EncoderDecoderDataModule(**OPTIONS, series_id="unit", train_df_paths=str(path))
    data.setup("fit")
    return data.state_dict()


@pytest.fixture
def load(state, monkeypatch, tmp_path):
    """Return what makes a data module that has been fitted, to forecast files or frames."""
    monkeypatch.setenv("TRANSFORMERTF_CACHE", str(tmp_path / "cache"))

    def build(predict, future=None, series_id="unit", **options):
        data = EncoderDecoderDataModule(**{**OPTIONS, "series_id": series_id, **options})
        data.load_state_dict(state)
        for argument, spec in (("predict_df_paths", predict), ("future_df_paths", future)):
            if isinstance(spec, pd.DataFrame):
                data.stages.give(argument, spec)
            else:
                data.hparams[argument] = spec
        return data

    return build


def batch_of(data):
    data.setup("predict")
    (batch,) = data.predict_dataloader()
    return batch


def assert_same(data, expected):
    batch, other = batch_of(data), batch_of(expected)
    assert batch.keys() == other.keys()
    for key, value in other.items():
        assert torch.equal(batch[key], value), key
    for one, two in zip(data.predict_series, expected.predict_series, strict=True):
        assert (one.name, len(one)) == (two.name, len(two))
        assert (one.time is two.time is None) or one.time.equals(two.time)
        np.testing.assert_array_equal(one.values, two.values)
        for place in range(len(one.categories)):
            assert texts(one, place) == texts(two, place)


def save(frame, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path)
    return str(path)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lengths=st.lists(st.tuples(st.integers(3, 12), st.integers(0, 5)), min_size=1, max_size=4),
    files=st.integers(1, 3),
    seed=st.integers(0, 2**31),
    mapped=st.booleans(),
    keep=st.booleans(),
)
def test_by_id_rows_are_as_if_appended(load, tmp_path, lengths, files, seed, mapped, keep):
    cut = [split(make_rows(f"s{n}", 1 + p + f, n), 1 + p) for n, (p, f) in enumerate(lengths)]
    past, future, joined = (pd.concat(parts) for parts in zip(*cut, strict=True))
    if keep:  # columns that are there, without a value
        future = joined[joined["y"].isna()]
    if future.empty:
        return
    generator = np.random.default_rng(seed)
    specs = []
    for name, frame in (("past", past), ("future", future)):
        mixed = frame.iloc[generator.permutation(len(frame))].reset_index(drop=True)
        file = generator.integers(files, size=len(mixed))
        parts = [mixed[file == number] for number in range(files)]
        folder = tmp_path / f"{seed}-{len(past)}-{len(future)}-{files}"
        specs.append(
            [save(part, folder / f"{name}{n}.parquet") for n, part in enumerate(parts) if len(part)]
        )
    storage = "mmap" if mapped else "memory"
    assert_same(load(*specs, sort=True, storage=storage), load(joined))
    # once more, out of the cache
    assert_same(load(*specs, sort=True, storage=storage), load(joined))


def test_rows_of_several_series_may_be_mixed_but_those_of_each_in_order(load):
    past, future, joined = split(make_rows("a", 20), 15)
    other = split(make_rows("b", 18, 1), 12)
    both = [pd.concat(pair).sort_values("t") for pair in zip((past, future, joined), other)]  # noqa: B905
    assert_same(load(both[0], both[1]), load(both[2]))


@pytest.mark.parametrize("time", ["t", None])
def test_a_file_of_each_series_joins_by_its_stem(load, tmp_path, time):
    options = {"series_id": None, "time_column": time}
    if time is None:
        options["known_covariates"] = ["known"]
        options["categorical_covariates"] = ["alarm", "site"]
    paths: dict[str, list[str]] = {"past": [], "future": [], "joined": []}
    for number, name in enumerate(("zeta", "north/run", "south/run")):
        parts = split(make_rows("x", 20 + number, number), 14)
        for key, part in zip(paths, parts, strict=True):
            paths[key].append(save(part, tmp_path / key / f"{name}.parquet"))
    data = EncoderDecoderDataModule(
        **{**OPTIONS, **options}, train_df_paths=save(make_rows("x", 60), tmp_path / "t.parquet")
    )
    data.setup("fit")
    state = data.state_dict()
    found, expected = (
        load(paths["past"], paths["future"][::-1], **options),
        load(paths["joined"], **options),
    )
    for each in (found, expected):
        each.load_state_dict(state)
    assert_same(found, expected)
    assert [item.name for item in found.predict_series] == ["north/run", "south/run", "zeta"]


@pytest.mark.parametrize("framed", [(), ("past",), ("future",), ("past", "future")])
def test_one_file_or_frame_of_each_joins_whatever_its_name(load, tmp_path, framed):
    given = dict(zip(("past", "future", "joined"), split(make_rows("a", 20), 16), strict=True))
    specs = {
        name: frame if name in framed else save(frame, tmp_path / f"{name}.parquet")
        for name, frame in given.items()
    }
    found = load(specs["past"], specs["future"], series_id=None)
    expected = load(given["joined"], series_id=None)
    batch, other = batch_of(found), batch_of(expected)
    for key, value in other.items():
        assert torch.equal(batch[key], value), key
    assert [item.name for item in found.predict_series] == ["frame" if "past" in framed else "past"]
    assert batch["decoder_lengths"].tolist() == [HORIZON]


def test_both_become_one_series_before_they_are_thinned_and_filled(load):
    past, future, joined = split(make_rows("a", 31), 20)
    for options in ({"downsample": 2}, {"freq": "1h", "missing": "mask"}):
        data, whole = (
            EncoderDecoderDataModule(**OPTIONS, **options, series_id="unit"),
            EncoderDecoderDataModule(**OPTIONS, **options, series_id="unit"),
        )
        lost = [3, 9] if "freq" in options else []
        for each in (data, whole):
            each.stages.give("train_df_paths", make_rows("a", 60))
            each.hparams["train_df_paths"] = "given"
            each.setup("fit")
        data.stages.give("predict_df_paths", past)
        data.stages.give("future_df_paths", future.drop(index=future.index[lost]))
        whole.stages.give("predict_df_paths", joined.drop(index=future.index[lost]))
        assert_same(data, whole)


@pytest.mark.parametrize("placeholder", [0.0, -1, "last", "?", True, np.inf])
@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
def test_what_is_not_known_ahead_is_never_taken_from_a_plan(
    load, tmp_path, caplog, placeholder, kind
):
    past, future, _ = split(make_rows("a", 20), 15)
    value = past["y"].iloc[-1] if placeholder == "last" else placeholder
    plan = future.assign(y=value, past=value, alarm="unseen").astype(object)
    if kind != "frame":
        path = tmp_path / f"plan.{kind}"
        plan = plan.astype(
            {"y": str, "past": str} if placeholder == "?" else {"y": float, "past": float}
        )
        plan = plan.astype(
            {"t": "datetime64[ns]", "known": float, "unit": str, "mode": str, "alarm": str}
        )
        plan.to_csv(path, index=False) if kind == "csv" else plan.to_parquet(path)
        plan = str(path)
    with caplog.at_level(logging.WARNING):
        assert_same(load(past, plan), load(past, future))
    told = [message for message in caplog.messages if "not used" in message]
    assert told == [
        "future_df_paths: values of 'past', 'alarm', 'y' are not used, as nobody knows them ahead: "
        "forecasts start where predict_df_paths ends"
    ]
    assert not any("unseen" in message for message in caplog.messages)


def test_a_cached_plan_is_told_of_too_and_an_empty_target_is_not(load, tmp_path, caplog):
    past, future, joined = split(make_rows("a", 20), 15)
    specs = [save(past, tmp_path / "p.parquet"), save(future.assign(y=0.0), tmp_path / "f.parquet")]
    for _ in range(2):
        caplog.clear()
        assert_same(load(*specs, storage="mmap"), load(joined))
        assert sum("'y' are not used" in message for message in caplog.messages) == 1
    caplog.clear()
    load(past, joined[15:]).setup("predict")
    assert not any("not used" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("hours", "told"),
    [
        ([16, 17, 18], None),
        ([17, 18, 19], "2024-01-01 17:00:00 comes after 2024-01-01 15:00:00"),
        ([16, 17, 20], "2024-01-01 20:00:00 comes after 2024-01-01 17:00:00"),
        ([16, 16.5, 17], "2024-01-01 16:30:00 comes after 2024-01-01 16:00:00"),
    ],
)
@pytest.mark.parametrize("appended", [False, True])
def test_rows_that_do_not_go_on_as_those_before_are_told(load, caplog, hours, told, appended):
    past, future, _ = split(make_rows("a", 19), 16)
    future = future.assign(t=pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, "h"))
    if appended:
        load(pd.concat([past, future.assign(power=1.0, site="a")])).setup("predict")
    else:
        load(past, future).setup("predict")
    lines = [message for message in caplog.messages if "not as far apart" in message]
    assert [told in line for line in lines] == ([] if told is None else [True])


# mistakes


def test_series_without_a_past_are_refused_by_name(load, tmp_path):
    past, future, _ = split(make_rows("a", 20), 16)
    strange = pd.concat([future, *(future.assign(unit=name) for name in ("q", "p"))])
    path = save(strange, tmp_path / "f.parquet")
    with pytest.raises(InputError) as error:
        load(past, path).setup("predict")
    assert str(error.value) == (
        f"{path}: future rows of 2 series: 'p', 'q', not among those to forecast; give the rows "
        "before them in predict_df_paths, or cut these"
    )


def test_a_file_that_goes_on_with_none_is_refused_by_name(load, tmp_path):
    past, future, _ = split(make_rows("a", 20), 16)
    paths = [save(past, tmp_path / f"{name}.parquet") for name in ("x", "y")]
    path = save(future, tmp_path / "f" / "z.parquet")
    with pytest.raises(InputError) as error:
        load(paths, path, series_id=None).setup("predict")
    assert str(error.value) == (
        f"{path}: goes on with no file of predict_df_paths, which has 2 series: 'x', 'y'; give it "
        "the name of the file whose rows it follows, or tell series apart with series_id"
    )


@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize(("shift", "refused"), [(0, False), (1, True), (5, True), (25, True)])
def test_rows_that_are_not_later_are_refused_with_both_times(load, tmp_path, sort, shift, refused):
    whole = make_rows("a", 20)
    other = [split(make_rows(name, 30, 1), 16) for name in ("A", "b")]
    past, future, _ = split(whole, 16)
    future = future.assign(t=future["t"] - pd.Timedelta(hours=shift))
    first, last = future["t"].iloc[0], past["t"].iloc[-1]
    if sort:
        past, future = past[::-1], future[::-1]
    path = save(
        pd.concat([future, *(part[1] for part in other)]).reset_index(drop=True),
        tmp_path / "f.parquet",
    )
    data = load(pd.concat([past, *(part[0] for part in other)]), path, sort=sort)
    if not refused:
        data.setup("predict")
        assert [len(item) for item in data.predict_series] == [30, 20, 30]
        return
    with pytest.raises(InputError) as error:
        data.setup("predict")
    assert str(error.value) == (
        f"{path}: series 'a': future rows begin at t {first}, but predict_df_paths goes on to "
        f"{last}; cut the rows that are not later"
    )


def test_missing_covariates_are_told_by_file_column_and_row(load, tmp_path):
    past, future, _ = split(make_rows("a", 20), 14)
    path = tmp_path / "f.parquet"
    save(future.rename(columns={"known": "knwn"}), path)
    with pytest.raises(InputError, match=r"f\.parquet: no column 'known'; did you mean 'knwn'"):
        load(past, str(path)).setup("predict")
    holed = future.reset_index(drop=True)
    holed.loc[[2, 4], "known"] = np.nan
    save(holed, path)
    message = r"f\.parquet: series 'a': column 'known' has 2 missing .* in row 2, 4 \(counted"
    with pytest.raises(InputError, match=message):
        load(past, str(path)).setup("predict")
    holed = future.reset_index(drop=True)
    holed.loc[1, "mode"] = None
    message = r"the future frame: series 'a': column 'mode' has 1 missing .* in row 1 \(counted"
    with pytest.raises(InputError, match=message):
        load(past, holed).setup("predict")


def test_a_static_column_must_not_change(load):
    past, future, _ = split(make_rows("a", 20), 14)
    with pytest.raises(InputError, match=r"the future frame: static column 'power' must be const"):
        load(past, future.assign(power=7.0)).setup("predict")


@pytest.mark.parametrize("storage", ["memory", "mmap"])
def test_series_without_a_future_are_told_in_one_line_and_left_as_they_are(
    load, tmp_path, caplog, storage
):
    past, future, joined = split(make_rows("a", 20), 16)
    others = [make_rows(name, 17, 1) for name in "ebdc"]
    specs = (
        save(pd.concat([past, *others]), tmp_path / "p.parquet"),
        save(future, tmp_path / "f.parquet"),
    )
    for _ in range(2):  # the second time out of the cache
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            data = load(*specs, storage=storage)
            assert_same(data, load(pd.concat([joined, *others])))
        assert (
            caplog.messages.count("future_df_paths: no rows of 4 series: 'b', 'c', 'd', ...") == 1
        )
    # the others with their actuals
    assert sorted(set(batch_of(data)["series"].tolist())) == [0, 1, 2, 3, 4]


def test_cached_columns_are_those_of_their_future(load, tmp_path):
    past, future, _ = split(make_rows("a", 20), 16)
    path = save(past, tmp_path / "p.parquet")
    batches = []
    for number in range(2):
        follows = save(future.assign(known=float(number)), tmp_path / f"f{number}.parquet")
        batches.append(batch_of(load(path, follows, storage="mmap"))["decoder_input"])
    assert not torch.equal(*batches)
    # the same files, all of them to be forecast
    actual = save(make_rows("a", 20)[16:], tmp_path / "g.parquet")
    batch_of(load(path, actual, storage="mmap"))
    batch_of(load([path, actual], storage="mmap"))
    assert len(list((tmp_path / "cache").glob("panel-*/meta.json"))) == 4


def test_the_rows_to_forecast_are_needed_and_sequences_have_none_that_follow(load):
    _, future, _ = split(make_rows("a", 20), 16)
    with pytest.raises(InputError, match="no data: give predict_df_paths"):
        load(None, future).setup("predict")
    with pytest.raises(TypeError, match="future_df_paths"):
        TimeSeriesDataModule("y", known_covariates="known", future_df_paths="f.csv")


def test_the_names_of_the_series_are_gone_through_once_for_all_files():
    class Names(list[str]):
        """Counts how often it is gone through."""

        passes = 0

        def __iter__(self):
            self.passes += 1
            return super().__iter__()

    names = Names(f"s{number}" for number in range(20))
    frame = pd.DataFrame({"known": [1.0], "t": [3]})
    with TemporaryDirectory() as folder:
        for name in names[:]:
            frame.to_csv(Path(folder) / f"{name}.csv", index=False)
        columns = Columns(("known",), (), "y", "t")
        _, found = open_future(f"{folder}/*.csv", columns, names)
    assert sorted(found) == sorted(names[:])
    assert names.passes < 4

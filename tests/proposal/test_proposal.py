"""From files to a configuration: roles, lengths, what is told, and that it is one."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.proposal.tables import panel, prices, runs
from transformertf.errors import InputError
from transformertf.proposal import AsProposed, Given, Wishes, look, propose


def proposed(spec, **wishes):
    given = Given(**{key: wishes.pop(key) for key in tuple(wishes) if key in Given.__annotations__})
    paths = [spec] if isinstance(spec, str) else spec
    return propose(look(paths), Wishes(paths, given, **wishes), AsProposed())


def arguments(spec, **wishes):
    return yaml.safe_load(proposed(spec, **wishes).text)["data"]["init_args"]


@pytest.fixture
def price_file(tmp_path):
    prices().to_csv(tmp_path / "prices.csv", index=False)
    return str(tmp_path / "prices.csv")


@pytest.fixture
def panel_file(tmp_path):
    panel().to_parquet(tmp_path / "panel.parquet")
    return str(tmp_path / "panel.parquet")


def test_prices_get_their_roles_season_and_scaling(price_file):
    text = proposed(price_file, target="price").text
    tree = yaml.safe_load(text)
    data = tree["data"]["init_args"]
    assert data["known_covariates"] == ["Load forecast"]
    assert data["known_past_covariates"] == ["Wind"]
    assert data["time_column"] == "date"
    assert (data["ctxt_seq_len"], data["tgt_seq_len"]) == (168, 24)
    assert data["normalize"] == "window"
    assert data["train_df_paths"] == price_file
    assert "series_id" not in data
    assert "missing" not in data
    assert "left out: currency (constant)" in text
    assert "left out: unit (constant)" in text
    assert "known ahead by its name" in text
    assert tree["model"]["class_path"] == "AttentionLSTM"
    assert tree["trainer"]["callbacks"][0]["class_path"] == "EarlyStopping"


def test_every_value_that_is_chosen_by_the_data_says_why(price_file, panel_file):
    chosen = (
        "known_covariates",
        "normalize",
        "ctxt_seq_len",
        "tgt_seq_len",
        "class_path",
        "missing",
    )
    for text in (
        proposed(price_file, target="price").text, proposed(panel_file, target="sales").text
    ):  # fmt: skip
        lines = text.splitlines()
        for number, line in enumerate(lines):
            key = line.strip().partition(":")[0]
            if key in chosen and "Adam" not in line and "DataModule" not in line:
                assert "#" in line or lines[number - 1].strip().startswith("#"), line


def test_runs_in_many_files_are_series_and_whole_ones_validate(tmp_path):
    data = arguments(runs(tmp_path), target="B", known=["I_ref"])
    assert data["known_covariates"] == ["I_ref"]
    assert data["known_past_covariates"] == ["temperature"]
    assert data["static_covariates"] == data["categorical_covariates"] == ["rig"]
    assert data["split_by"] == "series"
    assert data["time_column"] == "t"
    assert "normalize" not in data


def test_a_reference_is_known_by_its_name(tmp_path):
    assert arguments(runs(tmp_path), target="B")["known_covariates"] == ["I_ref"]


def test_a_panel_tells_series_statics_categories_and_what_is_planned(panel_file):
    proposal = proposed(panel_file, target="sales")
    data = yaml.safe_load(proposal.text)["data"]["init_args"]
    assert data["series_id"] == ["shop"]
    assert data["static_covariates"] == ["city", "area"]
    assert data["known_covariates"] == ["discount", "weather_code"]
    assert data["known_past_covariates"] == ["visitors"]
    assert data["categorical_covariates"] == ["weather_code", "city"]
    assert data["tgt_seq_len"] == 7
    assert data["missing"] == "mask"
    assert data["sort"] is True
    assert data["normalize"] == "window"
    assert "goes on behind the end of sales" in proposal.text
    assert re.search(r"left out: notes \(text of \d+ values\)", proposal.text)
    assert proposal.model == "TFT"


def test_ids_of_two_columns_are_found(tmp_path):
    frame = panel(future=0)
    frame["day"], frame["item"] = frame["day"].mask(frame["shop"] > "s2"), "a"
    half = frame["shop"].isin(["s3", "s4", "s5"])
    days = panel(future=0).set_index(frame.index)["day"]
    frame["day"], frame["item"] = days, np.where(half, "b", "a")
    frame["shop"] = frame["shop"].replace({"s3": "s0", "s4": "s1", "s5": "s2"})
    frame.drop(columns=["notes", "city", "area"]).to_parquet(tmp_path / "two.parquet")
    data = arguments(str(tmp_path / "two.parquet"), target="sales")
    assert sorted(data["series_id"]) == ["item", "shop"]


@pytest.mark.parametrize("lag", [0, 3, -2])
def test_a_covariate_that_is_the_target_is_left_out(tmp_path, lag):
    frame = prices()
    frame["price plan"] = 5 - 3 * frame["price"].shift(-lag)
    frame.iloc[5:-5].to_csv(tmp_path / "leak.csv", index=False)
    proposal = proposed(str(tmp_path / "leak.csv"), target="price")
    data = yaml.safe_load(proposal.text)["data"]["init_args"]
    assert data["known_covariates"] == ["Load forecast"]
    assert "price plan" not in data["known_past_covariates"]
    where = {0: "on the same row", 3: "3 steps ahead", -2: "2 steps ago"}[lag]
    assert f"left out: price plan (leak: it is price {where}" in " ".join(
        line.strip().removeprefix("# ") for line in proposal.text.splitlines()
    )
    assert len(proposal.leaks) == 1


def test_the_target_of_a_day_ago_is_no_leak(tmp_path):
    frame = prices()
    frame["planned"] = frame["price"].shift(24)
    frame.iloc[24:].to_csv(tmp_path / "lag.csv", index=False)
    data = arguments(str(tmp_path / "lag.csv"), target="price")
    assert "planned" in data["known_covariates"]


def test_a_single_column_is_its_own_target(tmp_path):
    value = np.sin(np.arange(600) * 2 * np.pi / 20) + 0.1 * np.random.default_rng(0).normal(
        size=600
    )
    pd.DataFrame({"value": value}).to_csv(tmp_path / "one.csv", index=False)
    proposal = proposed(str(tmp_path / "one.csv"))
    assert proposal.roles.target == "value"
    assert (proposal.lengths.horizon, proposal.lengths.context) == (20, 60)
    assert "normalize" not in proposal.text
    assert "known_covariates" not in proposal.text


def test_rows_that_are_missing_are_put_in_and_long_gaps_break(tmp_path):
    frame = prices()
    lost = [*range(100, 103), 400, *range(700, 760)]
    frame.drop(index=lost).to_csv(tmp_path / "gaps.csv", index=False)
    data = arguments(str(tmp_path / "gaps.csv"), target="price")
    assert (data["freq"], data["missing"], data["max_gap"]) == ("1h", "mask", "6h")
    assert data["drop_short_series"] is True


def test_uneven_rows_tell_how_long_each_step_took(tmp_path):
    frame = prices()
    jitter = np.random.default_rng(0).integers(-600, 600, len(frame))
    frame["date"] = pd.to_datetime(frame["date"]) + pd.to_timedelta(jitter, "s")
    frame.to_csv(tmp_path / "uneven.csv", index=False)
    data = arguments(str(tmp_path / "uneven.csv"), target="price")
    assert data["time_format"] == "relative"
    assert data["calendar_features"] == ["hour", "dayofweek"]
    assert "freq" not in data


def test_a_model_without_context_carries_its_state(tmp_path):
    tree = yaml.safe_load(
        proposed(runs(tmp_path), target="B", known=["I_ref"], past=[], context=0).text
    )
    assert tree["model"]["class_path"] == "LSTM"
    assert tree["data"]["class_path"] == "TimeSeriesDataModule"
    data, trainer = tree["data"]["init_args"], tree["trainer"]
    assert data["carry_state"] is True
    assert "ctxt_seq_len" not in data
    # 3,780 rows of 12 runs, 70 % of which train in pieces of 100: thousands of steps all the same
    batches = 0.7 * 3780 / (100 * data["batch_size"])
    assert 5000 < trainer["max_epochs"] * batches < 7000
    assert 15 < trainer["max_epochs"] / trainer["check_val_every_n_epoch"] < 25


def test_roles_that_are_given_are_taken_as_they_are(price_file):
    data = arguments(
        price_file, target="price", known=[], past=["Load forecast"], horizon=12, context=30,
        model="xTFT",
    )  # fmt: skip
    assert "known_covariates" not in data
    assert data["known_past_covariates"] == ["Load forecast"]
    assert (data["ctxt_seq_len"], data["tgt_seq_len"]) == (30, 12)


def test_names_and_paths_come_back_from_yaml_as_they_are(tmp_path):
    names = ["on", "007", "a: b", "# c", "d, e", "${f}", "g'h\"", "[i]", "null", "Größe", "l\\m"]
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(300, len(names))), columns=names)
    frame["y"] = frame.sum(axis=1).cumsum()
    frame.to_parquet(tmp_path / "on.parquet")
    data = arguments(str(tmp_path / "on.parquet"), target="y")
    back = [name.replace("\\${", "${") for name in data["known_past_covariates"]]
    assert back == names


def test_a_million_rows_are_looked_at_in_part(tmp_path, monkeypatch):
    monkeypatch.setattr("transformertf.proposal.looking.LOOKED_AT", 6 * 600)
    prices().to_parquet(tmp_path / "long.parquet")
    seen = look([str(tmp_path / "long.parquet")])
    assert len(seen.frame) == 600
    assert seen.rows == (1200,)
    text = proposed(str(tmp_path / "long.parquet"), target="price").text
    assert "1200 rows, of which 600 were looked at" in text


def test_files_of_unlike_columns_are_refused(tmp_path):
    prices().to_csv(tmp_path / "a.csv", index=False)
    prices().rename(columns={" Wind": "Sun"}).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(InputError, match=r"b\.csv lacks 'Wind', unlike .*a\.csv; give"):
        look([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")])


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({}, "--target is not given: .* one of 'Load forecast', 'Wind', 'price'"),
        ({"target": "prise"}, "--target prise: no such column; did you mean 'price'?"),
        ({"target": "currency"}, "--target currency: has one value only"),
        ({"target": "date"}, "--target date: is the time column"),
        ({"target": "price", "known": ["Wnd"]}, "--known Wnd: .* 'Wind'"),
        ({"target": "price", "known": ["price"]}, "--known price: has the role of --target"),
        ({"target": "price", "model": "TTF"}, "--model TTF: no such model; did you mean 'TFT'"),
        ({"target": "price", "horizon": 700}, "1200 rows, too few for a context"),
        ({"target": "price", "time": "unit"}, "--time unit: times repeat .*1199, first 1"),
        ({"target": "price", "time": "currency"}, "time column 'currency' holds 'EUR'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(price_file, wishes, told):
    with pytest.raises(InputError, match=told):
        proposed(price_file, **wishes)


def test_times_that_repeat_want_a_column_that_tells_series_apart(tmp_path):
    frame = prices()
    frame["date"] = frame["date"].where(frame.index != 7, frame["date"][6])
    frame.to_csv(tmp_path / "twice.csv", index=False)
    with pytest.raises(
        InputError, match=r"repeat within a series \(1, first 2024-01-01 06:00:00\);"
    ):
        proposed(str(tmp_path / "twice.csv"), target="price")


def test_an_hour_that_comes_twice_wants_the_zone_of_its_clocks(tmp_path):
    frame = prices(24 * 60)
    local = pd.date_range("2023-10-01", periods=len(frame), freq="h", tz="Europe/Berlin")
    frame["date"] = local.tz_localize(None)
    frame["promo"] = np.random.default_rng(0).integers(0, 2, len(frame))
    frame.to_csv(tmp_path / "local.csv", index=False)
    with pytest.raises(InputError, match=r"first 2023-10-29 02:00:00\); where clocks are set"):
        proposed(str(tmp_path / "local.csv"), target="price")
    data = arguments(str(tmp_path / "local.csv"), target="price", zone="Europe/Berlin")
    assert data["time_zone"] == "Europe/Berlin"
    assert "series_id" not in data
    assert "freq" not in data
    assert "sort" not in data


def test_series_one_after_the_other_are_told_apart_where_time_falls(tmp_path):
    parts = [prices(300).assign(run=f"r{n}") for n in range(4)]
    for number, part in enumerate(parts):
        part["date"] = pd.to_datetime(part["date"]) - pd.Timedelta(days=20 * number, minutes=number)
    pd.concat(parts).drop(columns="currency").to_csv(tmp_path / "joined.csv", index=False)
    assert arguments(str(tmp_path / "joined.csv"), target="price")["series_id"] == ["run"]


def test_a_date_and_an_hour_apart_are_no_series(tmp_path):
    frame = prices()
    dates = pd.to_datetime(frame["date"])
    frame["date"], frame["hour"] = dates.dt.date, dates.dt.hour
    frame.to_csv(tmp_path / "apart.csv", index=False)
    with pytest.raises(InputError, match="times repeat within a series"):
        proposed(str(tmp_path / "apart.csv"), target="price")


def test_what_a_fit_would_refuse_is_refused(tmp_path):
    frame = prices()
    frame.loc[5, " Wind"] = np.inf
    frame.to_csv(tmp_path / "inf.csv", index=False)
    with pytest.raises(InputError, match="'Wind' holds an infinite value in row 5"):
        proposed(str(tmp_path / "inf.csv"), target="price")


def test_names_are_taken_with_blanks_around_them(price_file):
    data = arguments(price_file, target=" price ", past=[" Load forecast"])
    assert data["target_covariate"] == "price"
    assert data["known_past_covariates"] == ["Load forecast"]


def test_ends_of_lines_in_names_stay_in_comments(tmp_path):
    frame = prices().rename(columns={"currency": "cur\nrency: [", " Wind": "wind\nplan"})
    frame.to_csv(tmp_path / "lines.csv", index=False)
    data = arguments(str(tmp_path / "lines.csv"), target="price")
    assert data["known_covariates"] == ["Load forecast", "wind\nplan"]


def test_a_week_that_no_context_reaches_is_an_input(tmp_path):
    rng, rows = np.random.default_rng(0), np.arange(12 * 672)
    load = 5 * np.sin(2 * np.pi * rows / 672) + np.sin(2 * np.pi * rows / 96)
    frame = pd.DataFrame({"load": load + 0.1 * rng.normal(size=len(rows))})
    frame["time"] = pd.date_range("2024-01-01", periods=len(rows), freq="15min")
    frame.to_parquet(tmp_path / "load.parquet")
    data = arguments(str(tmp_path / "load.parquet"), target="load")
    assert (data["ctxt_seq_len"], data["tgt_seq_len"], data["target_lags"]) == (192, 96, [672])
    frame["load"] = rng.normal(size=len(rows))
    frame.to_parquet(tmp_path / "load.parquet")
    assert "target_lags" not in arguments(str(tmp_path / "load.parquet"), target="load")


def test_a_sensor_without_inputs_is_refused(price_file):
    with pytest.raises(InputError, match="LSTM: no covariate is left"):
        proposed(price_file, target="price", known=[], past=[], context=0)


def test_the_hour_of_a_day_is_no_time_and_a_cycle_of_a_unit_is(tmp_path):
    rng, hours = np.random.default_rng(0), np.arange(600)
    frame = pd.DataFrame({"hour": hours % 24, "y": np.sin(hours / 4) + 0.1 * rng.normal(size=600)})
    frame.to_csv(tmp_path / "hours.csv", index=False)
    data = arguments(str(tmp_path / "hours.csv"), target="y")
    assert "time_column" not in data
    assert data["known_covariates"] == ["hour"]
    frame["unit"], frame["cycle"] = hours // 150, hours % 150
    frame.to_csv(tmp_path / "units.csv", index=False)
    data = arguments(str(tmp_path / "units.csv"), target="y")
    assert (data["time_column"], data["series_id"]) == ("cycle", ["unit"])

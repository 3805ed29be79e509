"""Splits by dates, origins by the clock, lead and season: hourly local prices, as a market has."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from transformertf import Forecaster
from transformertf.cli import main
from transformertf.plots import forecast_figure

ZONE = "Europe/Berlin"
# the clocks go forward on the 31st of March
HOURS = pd.date_range("2024-02-20", "2024-04-10 23:00", freq="h", tz=ZONE)
CKPT = ("--ckpt_path", "last", "-n", "prices")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("market")
    rng = np.random.default_rng(0)
    load = 50 + 10 * np.sin(2 * np.pi * np.asarray(HOURS.hour) / 24) + rng.normal(size=len(HOURS))
    frame = pd.DataFrame(
        {"hour": HOURS, "load": load, "price": load * 0.8 + rng.normal(size=len(HOURS))}
    )
    frame.to_parquet(folder / "prices.parquet")
    config = {
        "model": {
            "class_path": "EncoderDecoderLSTM", "init_args": {"d_encoder": 4, "d_decoder": 4},
        },
        "data": {
            "class_path": "EncoderDecoderDataModule",
            "init_args": {
                "target_covariate": "price", "known_covariates": "load", "time_column": "hour",
                "train_df_paths": "prices.parquet", "val_start": "2024-03-20",
                "test_start": "2024-03-28 12:00", "ctxt_seq_len": 48, "tgt_seq_len": 36,
            },
        },
        "trainer": {"max_steps": 3, "accelerator": "cpu", "enable_progress_bar": False},
    }  # fmt: skip
    (folder / "prices.yml").write_text(yaml.safe_dump(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with contextlib.redirect_stderr(io.StringIO()) as told:
            assert main(["fit", "--config", "prices.yml"]) == 0
        # no best checkpoint is kept by three steps of an epoch
        assert "next: transformertf evaluate -n prices --ckpt_path last" in told.getvalue()
    return folder


def scored(folder: Path, *words: str) -> tuple[dict[str, Any], pd.DataFrame]:
    place = folder / "found"
    assert main(["evaluate", *CKPT, "--no-plots", "--output", str(place), *words]) == 0
    table = pd.read_parquet(place / "forecasts.parquet")
    return json.loads((place / "metrics.json").read_text()), table


def test_a_decision_at_noon_on_each_day_to_come(
    market: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(market)
    found, table = scored(market, "--origin", "daily@11:00", "--lead", "12h")
    origin, time = table["origin"].dt.tz_convert(ZONE), table["time"].dt.tz_convert(ZONE)
    assert (origin.dt.hour == 11).all()
    # the first hour that is asked for follows midnight
    assert set(time.groupby(origin).min().dt.hour) == {0}
    assert time.min() == pd.Timestamp("2024-03-29", tz=ZONE)
    # each hour once, but that which a day of 23 hours leaves room for
    again = time[table.duplicated(["series", "time"])]
    assert again.tolist() == [pd.Timestamp("2024-04-01 00:00", tz=ZONE)]
    # the naive forecasts know what was known at 11:00
    frame = pd.read_parquet("prices.parquet").set_index("hour")["price"]
    np.testing.assert_allclose(table["naive"], frame.loc[origin], rtol=1e-12)
    days = np.where(table["step"] > 24, 48, 24)
    season = frame.loc[table["time"] - pd.to_timedelta(days, unit="h")]
    np.testing.assert_allclose(table["seasonal_naive"], season, rtol=1e-12)
    for name in ("naive", "seasonal_naive"):
        error = (table[name] - table["actual"]).to_numpy()
        assert found[f"MAE_{name}"] == pytest.approx(np.abs(error).mean(), rel=1e-12)
        assert found[f"RMSE_{name}"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-12)
    assert found["settings"]["season"] == 24
    told = capsys.readouterr()
    assert "season: 24 rows, by their rate" in told.err
    assert "seasonal naive" in told.out


def test_steps_and_times_of_a_lead_agree(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(market)
    _, whole = scored(market, "--origin", "every:1D")
    _, steps = scored(market, "--origin", "every:1D", "--lead", "30")
    _, times = scored(market, "--origin", "every:1D", "--lead", "30h", "--season", "1")
    rest = whole[whole["step"] > 30].reset_index(drop=True)
    pd.testing.assert_frame_equal(steps, rest)
    pd.testing.assert_frame_equal(times, rest.drop(columns="seasonal_naive"))
    evaluation = Forecaster.load(next(Path().glob("runs/*/*/checkpoints/last.ckpt"))).evaluate(
        origin="every:1D", lead="30h"
    )
    assert evaluation["MAE"] == pytest.approx((rest["prediction"] - rest["actual"]).abs().mean())
    assert evaluation.settings["season"] == 24


def test_targets_of_stages_do_not_overlap(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(market)
    spans = {}
    for stage in ("validation", "test"):
        _, table = scored(market, "--stage", stage, "--origin", "all")
        spans[stage] = table["time"].min(), table["time"].max()
    stamps = [pd.Timestamp(text, tz=ZONE) for text in ("2024-03-20", "2024-03-28 12:00")]
    assert spans["validation"] == (stamps[0], stamps[1] - pd.Timedelta("1h"))
    assert spans["test"] == (stamps[1], HOURS[-1])


def test_the_season_is_that_of_evaluate_in_compare(
    market: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(market)
    metrics, _ = scored(market)
    assert capsys.readouterr().out.count(f"{metrics['MAE_seasonal_naive']:.5g}") == 1
    last = "runs/prices/version_0/checkpoints/last.ckpt"
    assert main(["compare", last, "--output", "compared"]) == 0
    found = json.loads(Path("compared/comparison.json").read_text())["scores"]
    assert found[last]["MASE"] == pytest.approx(metrics["MASE"], rel=1e-6)
    assert found["seasonal_naive"]["MAE"] == pytest.approx(metrics["MAE_seasonal_naive"], rel=1e-6)


@pytest.mark.parametrize("output", ["next.parquet", "next.csv"])
def test_predict_writes_a_picture(
    market: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    monkeypatch.chdir(market)
    drawn: list[pd.DataFrame] = []

    def draw(table: pd.DataFrame, *words: Any, **more: Any) -> Any:
        drawn.append(table)
        return forecast_figure(table, *words, **more)

    monkeypatch.setattr("transformertf.evaluation.report.forecast_figure", draw)
    words = ["--data.predict_df_paths", "prices.parquet", "--origin", "last", "--output", output]
    assert main(["predict", *CKPT, *words, "--plot"]) == 0
    assert Path("next.png").read_bytes().startswith(b"\x89PNG")
    # over the change of the clocks, too, where a csv file has two offsets
    assert drawn[0]["time"].tolist() == list(HOURS[-36:])
    words[3] = "2024-03-30T12:00"
    assert main(["predict", *CKPT, *words, "--plot"]) == 0
    assert drawn[1]["time"].tolist() == list(
        HOURS[pd.Timestamp("2024-03-30 12:00", tz=ZONE) < HOURS][:36]
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lead", "36"], "lead 36 leaves nothing of the horizon of 36 steps"),
        (["--lead", "soon"], "lead: expected steps, or a time such as 12h, found 'soon'"),
        (["--origin", "daily@25:00"], "expected daily@HH:MM"),
        (["--origin", "every:1D from 2030-01-01"], "no row with room for context and horizon"),
        (["--origin", "05/06/2018"], "write the year first"),
    ],
)
def test_mistakes_are_told(
    market: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(market)
    assert main(["evaluate", *CKPT, "--output", "none", *words]) == 2
    assert message in capsys.readouterr().err
    assert not Path("none").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_fraction": 0.1}, "val_start and val_fraction are both given"),
        ({"val_start": "2024-04-01"}, "lies in the rows for test"),
        ({"val_start": "03/04/2024"}, "val_start '03/04/2024' may mean"),
        ({"test_start": "2031-01-01"}, "no series has a row for test"),
    ],
)
def test_splits_that_cannot_be_are_told(
    market: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(market)
    words = [word for name, value in change.items() for word in (f"--data.{name}", str(value))]
    stage = "test" if "test_start" in change else "validate"
    name = ["fit", "--config", "prices.yml", "-n", "other"]
    command = [stage, "--config", "prices.yml", *CKPT] if stage == "test" else name
    assert main([*command, *words]) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs/other").exists()


def test_files_take_the_place_of_rows_from_a_date(
    market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(market)
    pd.read_parquet("prices.parquet")[-96:].to_parquet("new.parquet")
    for stage, paths in (("test", "test_df_paths"), ("validation", "val_df_paths")):
        _, table = scored(market, "--stage", stage, f"--data.{paths}", "new.parquet")
        assert set(table["series"]) == {"new"}

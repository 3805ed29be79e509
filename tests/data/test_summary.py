"""What a data module tells of what it has read."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from transformertf.data import (
    EncoderDecoderDataModule,
    Summary,
    TimeSeriesDataModule,
    WindowDataModule,
    summary_of,
)

ROOT = Path(__file__).parents[2]
LENGTHS = {"ctxt_seq_len": 12, "tgt_seq_len": 4, "batch_size": 16}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_rows(rows: int, seed: int = 0, **columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = {name: rng.normal(size=rows) for name in ("x", "p", "y")}
    return pd.DataFrame({"t": np.arange(rows) * 0.5, **values, **columns})


def fitted(kind: type[WindowDataModule] = EncoderDecoderDataModule, **given: Any) -> Any:
    lengths = LENGTHS if kind is EncoderDecoderDataModule else {"seq_len": 10, "batch_size": 4}
    data = kind("y", "x", **{**lengths, **given})
    data.setup("fit")
    return data


def told(data: WindowDataModule) -> tuple[Summary, dict[str, str]]:
    summary = summary_of(data)
    lines = summary.lines()
    assert len(lines) <= 12
    assert all("\n" not in line and len(line) <= 130 for line in lines)
    width = len(lines[0]) - len(lines[0].split(maxsplit=1)[1])
    return summary, {line[:width].strip(): line[width:] for line in lines}


def check_batches(data: WindowDataModule, summary: Summary) -> None:
    """Hold windows and batches against those that come."""
    loaders = {
        "train": data.train_dataloader, "validation": data.val_dataloader,
        "test": data.test_dataloader,
    }  # fmt: skip
    for stage in summary.stages:
        if stage.series is not None:
            batches: Any = list(loaders[stage.stage]())
            assert stage.batches == len(batches)
            assert stage.windows == sum(len(batch["series"]) for batch in batches)


def test_one_file_with_shares(folder):
    make_rows(200).to_csv("run.csv", index=False)
    data = fitted(
        train_df_paths="run.csv", time_column="t", val_fraction=0.2, test_fraction=0.1,
        known_past_covariates="p",
    )  # fmt: skip
    summary, lines = told(data)
    assert lines == {
        "data": "1 file, 1 series, 200 rows",
        "time": "t, 0 to 99.5, rows 0.5 apart",
        "training": "1 series, 140 rows, 0 to 69.5, 125 windows, 8 batches",
        "validation": "1 series, 40 rows, 70 to 89.5, 37 windows, 3 batches",
        "test": "1 series, 20 rows, 90 to 99.5, 17 windows, 2 batches",
        "windows": "ctxt_seq_len 12, tgt_seq_len 4, stride 1, 16 a batch",
        "context": "4: t, x, p, y",
        "horizon": "2: t, x",
        "target": "y; normalize global",
    }
    check_batches(data, summary)


def test_a_panel_of_300_series(folder):
    dates = pd.date_range("2024-01-01", periods=60, freq="D")
    rng = np.random.default_rng(0)
    pieces = [
        make_rows(rows, n, id=f"s{n}", kind="ab"[n % 2], size=n / 7, day=dates[:rows])
        for n, rows in enumerate((30 + np.arange(300) % 30).tolist())
    ]  # fmt: skip
    table = pd.concat(pieces)
    lost = rng.random(len(table)) < 0.02
    table.loc[lost, "y"] = np.nan
    table.to_parquet("panel.parquet")
    data = fitted(
        train_df_paths="panel.parquet", series_id="id", time_column="day", missing="mask",
        static_covariates=["size", "kind"], categorical_covariates=["kind", "dayofweek"],
        calendar_features=["dayofweek", "month"], val_fraction=0.2,
    )  # fmt: skip
    summary, lines = told(data)
    assert lines["data"] == f"1 file, 300 series, {len(table):,} rows (30 to 59 each)"
    assert lines["time"] == "day, 2024-01-01 to 2024-02-28, rows 1 day apart"
    # up to the last known target of each series
    known = table.groupby("id")["y"].apply(lambda y: y[: np.flatnonzero(y.notna())[-1] + 1])
    assert summary.missing == {"y": known.isna().mean()}
    assert lines["missing"] == f"{100 * known.isna().mean():.2g} % of y"
    assert lines["static"] == "2: size, kind"
    assert lines["categories"] == "dayofweek (8), kind (3)"
    assert sum(stage.rows for stage in summary.stages) == len(table)
    check_batches(data, summary)


def test_files_of_each_stage(folder):
    rows = {"a": 80, "b": 95, "c": 70, "d": 60, "e": 50, "f": 40}
    for seed, (name, count) in enumerate(rows.items()):
        make_rows(count, seed).to_csv(f"{name}.csv", index=False)
    data = fitted(
        train_df_paths="[abc].csv", val_df_paths=["d.csv", "e.csv"], test_df_paths="f.csv",
        normalize=False, extra_transforms={"y": "DeltaTransform"},
    )  # fmt: skip
    summary, lines = told(data)
    assert lines["data"] == "5 files, 5 series, 355 rows (50 to 95 each)"
    assert lines["time"] == "no time column"
    assert lines["training"] == "3 series, 245 rows, 200 windows, 13 batches"
    assert lines["test"] == "f.csv, not read yet"
    assert lines["target"] == "y; normalize false; transforms of y: DeltaTransform"
    check_batches(data, summary)


def test_sequences_and_runs_that_carry_a_state(folder):
    make_rows(100).to_csv("run.csv", index=False)
    given = {"train_df_paths": "run.csv", "val_fraction": 0.25}
    summary, lines = told(data := fitted(TimeSeriesDataModule, **given))
    assert lines["inputs"] == "1: x"
    assert "horizon" not in lines
    assert lines["windows"] == "seq_len 10, stride 1, 4 a batch"
    assert lines["training"] == "1 series, 75 rows, 0 to 74, 66 windows, 17 batches"
    (batches,) = [stage.batches for stage in summary.stages if stage.stage == "train"]
    assert batches == len(list(data.train_dataloader()))
    summary, lines = told(data := fitted(TimeSeriesDataModule, **given, carry_state=True))
    assert lines["training"].endswith("1 run, 2 batches")
    assert len(list(data.train_dataloader())) == 2


def test_names_beyond_a_line_are_counted(folder):
    names = [f"covariate_{n:02d}" for n in range(40)]
    make_rows(60).assign(**dict.fromkeys(names, 1.0)).to_csv("a.csv")
    data = fitted(train_df_paths="a.csv", known_past_covariates=names)
    _, lines = told(data)
    assert lines["context"] == (
        "42: x, covariate_00, covariate_01, covariate_02, covariate_03, covariate_04 and 36 more"
    )


def test_a_test_part_too_short_is_told_and_no_matter_of_a_fit(folder):
    make_rows(100).to_csv("a.csv", index=False)
    _, lines = told(fitted(train_df_paths="a.csv", test_fraction=0.03))
    assert lines["test"] == "1 series, 3 rows, 97 to 99, too short for a window"


def test_parts_that_begin_at_a_row(folder):
    make_rows(100).to_csv("rows.csv", index=False)
    lengths: dict[str, Any] = {"ctxt_seq_len": 10, "tgt_seq_len": 5, "time_column": None}
    data = fitted(train_df_paths="rows.csv", val_start=60, test_start=80, **lengths)
    stages = told(data)[0].stages
    found = [(one.stage, one.rows, one.first, one.last) for one in stages]
    assert found == [("train", 60, 0, 59), ("validation", 20, 60, 79), ("test", 20, 80, 99)]
    # which is no matter of a fit
    data = fitted(train_df_paths="rows.csv", val_start=60, test_start=100, **lengths)
    assert [one.stage for one in told(data)[0].stages] == ["train", "validation"]


def test_dates_with_a_zone_beside_dates_without(folder):
    for name, zone in (("a", None), ("b", "Europe/Berlin")):
        dates = pd.date_range("2024-03-01 06:00", periods=60, freq="h", tz=zone)
        make_rows(60).assign(t=dates).to_parquet(f"{name}.parquet")
    data = fitted(train_df_paths="a.parquet", val_df_paths="b.parquet", time_column="t")
    _, lines = told(data)
    assert lines["time"] == ("t, 2024-03-01 06:00:00+01:00 to 2024-03-03 17:00:00, rows 1 h apart")


def test_nothing_is_read_again(folder):
    make_rows(200).to_csv("run.csv", index=False)
    data = fitted(train_df_paths="run.csv", val_fraction=0.2)
    Path("run.csv").unlink()
    assert told(data)[0].rows == 200


def test_the_page_shows_that_of_the_sample(monkeypatch):
    monkeypatch.chdir(ROOT)
    config = yaml.safe_load(Path("sample_configs/tft.yml").read_text(encoding="utf-8"))
    given = config["data"]["init_args"]
    paths = {name: f"sample_configs/{given[name]}" for name in given if name.endswith("_paths")}
    data = EncoderDecoderDataModule(**{**given, **paths})
    data.setup("fit")
    assert "\n".join(summary_of(data).lines()) in Path("docs/data.md").read_text(encoding="utf-8")

"""The page of the sample configurations keeps what was not measured again."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scripts.benchmarks import samples

PAGE = f"above\n\n{samples.BEGIN}\n{samples.END}\n\nbelow\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two configurations of windows and one of sequences."""
    kinds = {"one": "EncoderDecoderDataModule", "two": "EncoderDecoderDataModule"}
    for name, data in {**kinds, "whole": "TimeSeriesDataModule"}.items():
        text = f"model: {{class_path: Some}}\ndata: {{class_path: transformertf.data.{data}}}\n"
        (tmp_path / f"{name}.yml").write_text(text)
    monkeypatch.setattr(samples, "FOLDER", tmp_path)
    return tmp_path


def row(name: str, error: float) -> list[str]:
    return samples.Result(name, 1000, 100.4, 90.0, error, (0.3, 0.9)).row()


def test_rows_of_configurations_that_are_not_run_stay(folder: Path) -> None:
    first = {name: row(name, 0.1) for name in ("one", "two", "whole")}
    page = samples.update(PAGE, first, "an old machine.")
    new = samples.update(page, {"two": row("two", 0.05)}, "a new machine.")
    assert new.startswith("above\n")
    assert new.endswith("\nbelow\n")
    assert (
        "| `one.yml` | Some | 1000 | 100 s | 90 s | 0.100 mm | 0.300 mm | 0.900 mm | 3.0 |" in new
    )
    assert (
        "| `two.yml` | Some | 1000 | 100 s | 90 s | 0.050 mm | 0.300 mm | 0.900 mm | 6.0 |" in new
    )
    assert new.count("`two.yml`") == 1
    windows, sequences = new.split("| file |")[1:]
    assert "`one.yml`" in windows
    assert "repeat the last value" in windows
    assert "`whole.yml`" in sequences
    assert "linear filter" in sequences
    assert "- two: a new machine.\n- one, whole: an old machine.\n" in new
    # the same again changes nothing
    assert samples.update(new, {}, "no machine.") == new


def test_the_panel_has_a_table_of_its_own_in_kelvin(folder: Path) -> None:
    (folder / "panel_two.yml").write_text((folder / "two.yml").read_text())
    result = samples.Result("panel_two", 1000, 100.4, 90.0, 0.1, (0.3, 0.6, 0.9))
    rows = {"two": row("two", 0.1), "panel_two": result.row()}
    first, panel = samples.update(PAGE, rows, "here.").split("| file |")[1:]
    assert "panel_two" not in first
    assert "| test RMSE | ridge regression | the day before | repeat the last value |" in panel
    assert "| 0.100 K | 0.300 K | 0.600 K | 0.900 K | 3.0 |" in panel
    assert "- panel_two, two: here." in panel


def test_rows_of_configurations_that_are_gone_go(folder: Path) -> None:
    page = samples.update(PAGE, {name: row(name, 0.1) for name in ("one", "two")}, "here.")
    (folder / "one.yml").unlink()
    page = samples.update(page, {"two": row("two", 0.1)}, "here.")
    assert "one" not in page
    assert "- two: here." in page


def test_a_page_without_its_place_is_not_touched(folder: Path) -> None:
    with pytest.raises(ValueError, match="holds no lines"):
        samples.update("a page", {"one": row("one", 0.1)}, "here.")


def test_an_unknown_name_is_told_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["samples.py", "one", "ones"])
    with pytest.raises(SystemExit) as left:
        samples.main()
    assert left.value.code == 2
    expected = "error: no sample config 'ones'; there are one, two, whole\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize("thinned", [1, 3])
def test_the_filter_is_linear_and_starts_at_rest(thinned: int, tmp_path: Path) -> None:
    paths = []
    for name, rows in (("train", 1500), ("test", 300)):
        force = np.random.default_rng(rows).normal(size=rows)
        target = np.convolve(force, [0.0, 0.5, 0.3, -0.2])[:rows]
        paths.append(tmp_path / f"{name}.parquet")
        pd.DataFrame({"force_n": force, "displacement_mm": target}).to_parquet(paths[-1])
    actual = pd.read_parquet(paths[1])["displacement_mm"].iloc[::thinned]
    forecasts = pd.DataFrame({"series": "test", "actual": actual})
    errors = samples.sequence_errors(paths[:1], forecasts, paths[1:])
    assert errors["linear filter"] < 1e-2 * actual.std()
    assert errors["training mean"] == pytest.approx(actual.std(), rel=0.05)

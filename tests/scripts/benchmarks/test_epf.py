"""The errors of price forecasts are those of the protocols, whoever made the forecasts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scripts.benchmarks import epf
from transformertf.cli import main

A, B = epf.PROTOCOLS["A"], epf.PROTOCOLS["B"]
SHORT = (
    "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2",
    "--trainer.enable_progress_bar", "false",
)  # fmt: skip


def prices(rows: int) -> pd.DataFrame:
    """Hours whose price is a sum of both known columns, with a blank before their names."""
    generator = np.random.default_rng(0)
    load, wind = generator.normal(size=(2, rows))
    stamps = pd.date_range("2013-01-01", periods=rows, freq="h").strftime("%Y/%-m/%-d %-H:%M")
    load_name, wind_name = epf.KNOWN
    return pd.DataFrame({"date": stamps, load_name: load, wind_name: wind, "OT": load + 2 * wind})


def test_parts_of_the_published_file() -> None:
    assert A.parts(52416) == (36692, 41933)
    assert B.parts(52416)[1] == 52416 - 728 * 24


def test_errors_are_those_of_the_test_part() -> None:
    price = np.sin(np.arange(1200.0))
    price[::7] += 3
    held_out, test = A.parts(len(price))
    actual = np.array([price[row : row + 24] for row in range(test, len(price) - 23)])
    found = A.errors(actual + 2.0, price)
    assert found["MAE"] == pytest.approx(2 / price[:held_out].std())
    assert found["MSE"] == pytest.approx(4 / price[:held_out].var())
    _, test = B.parts(len(price))
    actual = np.array([price[row : row + 24] for row in range(test, len(price) - 23)])
    # wrong everywhere but at the origins of each day's forecast
    wrong = actual + 1.0
    wrong[::24] -= 1.0
    assert B.errors(wrong, price) == {"MAE": pytest.approx(0)}


def test_naive_forecasts_repeat() -> None:
    found = epf.naive_forecasts(np.arange(100.0), 60, 24)
    assert found.shape == (17, 24)
    np.testing.assert_array_equal(found[3], np.arange(39, 63))


@pytest.mark.parametrize("protocol", [A, B])
def test_ridge_is_exact_where_the_future_says_all(protocol: epf.Protocol) -> None:
    table = prices(2400).set_index("date")
    price = table["OT"].to_numpy()
    with_future, without = (
        protocol.errors(epf.ridge_forecasts(table, protocol, future), price)["MAE"]
        for future in (True, False)
    )
    assert with_future < 1e-2
    assert without > 0.5


def test_protocol_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, protocol = tmp_path / "prices.csv", B
    prices(900).to_csv(file, index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EPF_NP", str(file))
    codes: list[int] = []
    monkeypatch.setattr(epf, "transformertf", lambda *words: codes.append(main(list(words))))
    page = epf.measure(protocol, file, [3], SHORT)
    assert codes == [0] * 4
    assert page.count("\n") == 1 + len(protocol.published) + 6
    assert page.count(f"`{protocol.config.name}`") == 2
    assert "nan" not in page


def test_spread_is_told_of_several_seeds() -> None:
    assert epf.mean_and_spread([1.0]) == "1.000"
    assert epf.mean_and_spread([1.0, 3.0]) == "2.000 ± 1.414"

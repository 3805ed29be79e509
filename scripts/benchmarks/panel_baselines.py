"""Naive forecasts of the sample panel, and what one who knows the physics would forecast.

    python -m scripts.benchmarks.panel_baselines FORECASTS

FORECASTS is a table as `transformertf predict` writes it for `panel_test.parquet`.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from scripts.benchmarks.baselines import PENALTIES, Array, Ridge, rmse
from scripts.data import panel

CONTEXT = 48
DAY, MAX_GAP = pd.Timedelta(days=1), pd.Timedelta(hours=3)
DATA = Path(__file__).parents[2] / "sample_configs" / "data"
NAIVE = ("ridge regression", "the day before", "repeat the last value")
# a fault that is there now is there for so long, in half of all cases
FAULT_MINUTES = 60 * panel.FAULT_H * np.log(2)

Rows = npt.NDArray[np.int64]


def prepared(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each unit, with columns for the last known oil and air."""
    found = {}
    for name, rows in table.groupby("unit"):
        rows = rows.reset_index(drop=True)
        known = rows[["oil_c", "air_c"]].ffill().bfill()
        # an air that was never read: as warm as the site is on average
        known = known.fillna(rows["oil_c"].mean() / 4)
        found[str(name)] = rows.assign(last_oil=known["oil_c"], last_air=known["air_c"])
    return found


def features(rows: pd.DataFrame, origins: Rows, horizon: int) -> Array:
    """Return what ridge regression sees of windows that start after the rows `origins`.

    The oil and the load of a day, the last air, the hour, and of the horizon the planned load,
    its square, the planned cooling and the time since the origin.
    """
    past = origins[:, None] + np.arange(1 - CONTEXT, 1)
    future = origins[:, None] + np.arange(1, horizon + 1)
    load, oil = rows["load"].to_numpy(dtype=float), rows["last_oil"].to_numpy(dtype=float)
    hours = ((rows["time"] - panel.START) / pd.Timedelta(hours=1)).to_numpy()
    turn = 2 * np.pi * hours[origins, None] / 24
    modes = [rows["mode"].to_numpy()[future] == mode for mode in panel.COOLING]
    return np.concatenate(
        [
            oil[past], load[past], rows["last_air"].to_numpy(dtype=float)[origins, None],
            np.sin(turn), np.cos(turn), load[future], load[future] ** 2, *modes,
            hours[future] - hours[origins, None],
        ],
        axis=1,
    )  # fmt: skip


def training_windows(horizon: int, step: int = 3) -> tuple[Array, Array]:
    """Return features and targets (n, horizon) of training windows that cross no long gap."""
    found, targets = [], []
    for rows in prepared(pd.read_parquet(DATA / "panel.parquet")).values():
        origins = np.arange(CONTEXT - 1, len(rows) - horizon, step)
        breaks = (rows["time"].diff() > MAX_GAP).cumsum().to_numpy()
        origins = origins[breaks[origins - CONTEXT + 1] == breaks[origins + horizon]]
        if len(origins):
            oil = rows["oil_c"].to_numpy(dtype=float)
            target = oil[origins[:, None] + np.arange(1, horizon + 1)]
            whole = ~np.isnan(target).any(axis=1)
            found.append(features(rows, origins[whole], horizon))
            targets.append(target[whole])
    return np.concatenate(found), np.concatenate(targets)


def physics(name: str, rows: pd.DataFrame, origin: int, horizon: int) -> Array:
    """Return the forecast (horizon,) of one who knows the unit's constants and the climate.

    The weather fades as it does on average, the load is as planned, a fault lasts for its median
    duration and no new one comes.
    """
    unit = panel.make_unit(int(name.removeprefix("T")))
    known = rows["oil_c"].notna().to_numpy()
    last = int(np.flatnonzero(known[: origin + 1])[-1])
    ahead = rows.iloc[last + 1 : origin + horizon + 1]
    minutes = ((ahead["time"] - rows["time"][last]) / pd.Timedelta(minutes=1)).to_numpy()
    air = panel.climate(unit.site, pd.DatetimeIndex(ahead["time"]))
    read = rows["air_c"][: origin + 1].last_valid_index()
    if read is not None:
        at = rows["time"][read]
        now = float(rows["air_c"][read]) - panel.climate(unit.site, pd.DatetimeIndex([at]))[0]
        since = ((ahead["time"] - at) / pd.Timedelta(hours=1)).to_numpy()
        air = air + now * np.exp(-np.abs(since) / panel.WEATHER_MEMORY_H)
    failed = rows["alarm"][origin] == "cooling"
    mode = np.where(failed & (minutes < FAULT_MINUTES), "ONAN", ahead["mode"]).astype(str)
    goal = unit.settle(air, ahead["load"].to_numpy(dtype=float), mode)
    oil = unit.follow(float(rows["oil_c"][last]), np.diff(minutes, prepend=0.0), goal, mode)
    return oil[-horizon:]


def panel_errors(forecasts: pd.DataFrame) -> dict[str, float]:
    """Return the RMSE (K) of each naive forecast and of the physics on the forecasts' rows.

    The ridge penalty is the one of `PENALTIES` that does best on these rows; rows whose target is
    missing do not count.
    """
    horizon = int(forecasts["step"].max())
    tables = prepared(pd.read_parquet(DATA / "panel_test.parquet"))
    seen, actual, last, before, ideal = [], [], [], [], []
    for name, own in forecasts.groupby("series"):
        rows = tables[str(name)]
        stamps = pd.Index(rows["time"])
        origins = stamps.get_indexer(pd.Index(own["origin"].unique()))
        future = origins[:, None] + np.arange(1, horizon + 1)
        oil = rows["last_oil"].to_numpy(dtype=float)
        seen.append(features(rows, origins, horizon))
        actual.append(rows["oil_c"].to_numpy(dtype=float)[future])
        last.append(np.repeat(oil[origins, None], horizon, axis=1))
        nearest = stamps.get_indexer(stamps[future.ravel()] - DAY, method="nearest")
        # a horizon is half a day: the day before is past already
        before.append(oil[np.minimum(nearest.reshape(future.shape), origins[:, None])])
        ideal += [physics(str(name), rows, int(origin), horizon) for origin in origins]
    target = np.concatenate(actual)
    there = ~np.isnan(target)
    x, y = training_windows(horizon)
    ridge = [Ridge(x, y, penalty).predict(np.concatenate(seen)) for penalty in PENALTIES]
    return {
        "ridge regression": min(rmse(one[there], target[there]) for one in ridge),
        "the day before": rmse(np.concatenate(before)[there], target[there]),
        "repeat the last value": rmse(np.concatenate(last)[there], target[there]),
        "physics": rmse(np.array(ideal)[there], target[there]),
    }


def main() -> None:
    """Print the errors beside those of the forecasts named on the command line."""
    parser = argparse.ArgumentParser(description="Errors of naive forecasts of the sample panel.")
    parser.add_argument("forecasts", type=Path)
    forecasts = pd.read_parquet(parser.parse_args().forecasts)
    known = forecasts.dropna(subset="actual")
    own = rmse(known["prediction"].to_numpy(), known["actual"].to_numpy())
    for name, error in {"forecasts": own, **panel_errors(forecasts)}.items():
        print(f"{name:<24}{error:8.3f} K")


if __name__ == "__main__":
    main()

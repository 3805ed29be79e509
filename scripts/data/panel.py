"""Write the sample panel: the oil temperature of a fleet of power transformers.

    python -m scripts.data.panel [--output DIR]

The oil at the top of the tank follows the losses and the air outside (the differential equation
of the top-oil temperature in IEC 60076-7, with k11 = 1):

    tau dT/dt = A + D ((1 + R K^2) / (1 + R))^x - T

with the oil's temperature T, that of the air A, the load K over the rated one, the ratio R of
load losses to no-load losses, and a rise D at rated load, an exponent x and a time constant tau
that depend on the cooling: oil and air by themselves (ONAN), with fans (ONAF), with fans and
pumps (OFAF). Load, cooling and air are held from one reading to the next, so that

    T_i = G_i + (T_(i-1) - G_i) exp(-(t_i - t_(i-1)) / tau_i),  G = A + D (...)^x

is exact, however uneven the readings. D, R and tau differ a little from unit to unit, and tau
grows with the rated power. Load and cooling follow a plan, known ahead. The air is not: it has a
climate of its site, by month and hour, and weather, an Ornstein-Uhlenbeck process with a standard
deviation of 1.5 K and a memory of 36 h. At times a unit's fans and pumps fail, for 10 h on average:
it is then cooled as ONAN whatever the plan says, and raises an alarm. Readings of the oil err by
0.2 K (standard deviation).

What a logger makes of it: readings every 30 minutes, give or take 9; some are skipped, and at
times the logger is down for 5 to 30 hours. The air's and the oil's values are missing at times.
Three units were put in service late, one of them too late to learn from.

Three tables, rows in the order of time, all units mixed: `panel.parquet`, five weeks across the
change to summer time; `panel_test.parquet`, the week after them, each unit's with a day ahead of
it as context; `panel_predict.parquet`, two days up to the end of that week and the 12 hours to
come, whose oil, air and alarm are missing. In the last two are an alarm and a site that the first
has not: `gas`, which does nothing to the temperature, and a new unit on the coast.

Half a day ahead from a day of context, on the week of test: repeating the last value errs by
11.8 K (root mean square), the value of the day before by 11.6 K, ridge regression by 2.5 K, and who
knows all of the above but what is drawn at random by 0.86 K (`panel_baselines.py`).

Each unit has a random generator of its own, seeded by its number: the same values come out every
time.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]
TextArray = npt.NDArray[np.str_]

DEFAULT_OUTPUT = Path("sample_configs/data")
START = pd.Timestamp("2025-03-03", tz="Europe/Zurich")
TRAIN_DAYS, TEST_DAYS, CONTEXT_DAYS, PREDICT_DAYS = 35.0, 7.0, 1.0, 2.0
HORIZON_DAYS = 0.5
READING_MINUTES, JITTER_MINUTES = 30, 9

WEATHER_SPREAD_K, WEATHER_MEMORY_H = 1.5, 36.0
FAULT_H, HEALTHY_H = 10.0, 500.0
OIL_ERROR_K = 0.2
HOT_OIL_C = 80.0


@dataclass(frozen=True, slots=True)
class Cooling:
    """A cooling mode: rise of the oil at rated load, its exponent and its time constant."""

    rise_k: float
    exponent: float
    minutes: float


COOLING = {
    "ONAN": Cooling(66.0, 0.8, 210.0),
    "ONAF": Cooling(52.0, 0.8, 150.0),
    "OFAF": Cooling(44.0, 1.0, 90.0),
}
# rated powers (MVA) to draw from, and the coolings that a kind has
KINDS = {
    "distribution": ((1.0, 2.5), ("ONAN", "ONAF")),
    "grid": ((10.0, 40.0), ("ONAN", "ONAF")),
    "generator": ((60.0, 200.0), ("ONAN", "ONAF", "OFAF")),
}
# mean temperature of the air (degrees C) on the first day, and half its swing in a day
SITES = {"alpine": (1.0, 6.0), "city": (10.0, 4.0), "lake": (8.0, 3.0), "coast": (13.0, 2.0)}
# days in service before the end of `panel.parquet`; the others are older
LATE = {21: 6.0, 22: 3.0, 23: 0.5, 24: -4.5}
UNITS = 24
# units that raise an alarm never seen before
GAS = (4, 9)


@dataclass(frozen=True, slots=True)
class Unit:
    """A transformer; its number seeds its random generator."""

    number: int
    kind: str
    site: str
    rated_mva: float
    loss_ratio: float
    rise_scale: float
    time_scale: float
    busy: float

    @property
    def name(self) -> str:
        """Return what it is called in the tables."""
        return f"T{self.number:02d}"

    def settle(self, air_c: FloatArray, load: FloatArray, cooling: TextArray) -> FloatArray:
        """Return where the oil's temperature would come to rest, G."""
        modes = [COOLING[name] for name in cooling]
        rise = self.rise_scale * np.array([mode.rise_k for mode in modes])
        exponent = np.array([mode.exponent for mode in modes])
        losses = (1 + self.loss_ratio * load**2) / (1 + self.loss_ratio)
        return np.asarray(air_c + rise * losses**exponent)

    def follow(
        self, start_c: float, minutes: FloatArray, goal_c: FloatArray, cooling: TextArray
    ) -> FloatArray:
        """Return the oil's temperature after each of some stretches of time, from `start_c` on."""
        tau = self.time_scale * np.array([COOLING[name].minutes for name in cooling])
        oil, found = start_c, []
        for goal, kept in zip(goal_c, np.exp(-minutes / tau), strict=True):
            oil = goal + (oil - goal) * kept
            found.append(oil)
        return np.array(found)


def make_unit(number: int) -> Unit:
    """Return a unit, drawn at random but for its kind and site."""
    rng = np.random.default_rng([number, 0])
    kind = list(KINDS)[number % 3]
    # the last one stands where no other does
    site = "coast" if number == UNITS else list(SITES)[number // 3 % 3]
    rated = float(np.round(rng.uniform(*KINDS[kind][0]), 1))
    scale, busy = rng.uniform(0.85, 1.15), rng.uniform(0.55, 0.9)
    return Unit(number, kind, site, rated, rng.uniform(5.0, 8.0), scale, 0.75 * rated**0.1, busy)


def climate(site: str, time: pd.DatetimeIndex) -> FloatArray:
    """Return the expected temperature of the air (degrees C)."""
    mean, swing = SITES[site]
    days = (time - START) / pd.Timedelta(days=1)
    hour = time.hour + time.minute / 60
    return np.asarray(mean + 0.12 * days + swing * np.cos(2 * np.pi * (hour - 15) / 24))


def weather(site: str) -> FloatArray:
    """Return the air's deviation from the climate (K), hour by hour from the start on."""
    rng = np.random.default_rng([list(SITES).index(site), 1])
    kept = np.exp(-1 / WEATHER_MEMORY_H)
    found = [rng.normal(0, WEATHER_SPREAD_K)]
    for shock in rng.normal(0, WEATHER_SPREAD_K * np.sqrt(1 - kept**2), 24 * 44):
        found.append(kept * found[-1] + shock)
    return np.array(found)


def stamps(unit: Unit, rng: np.random.Generator) -> pd.DatetimeIndex:
    """Return the times of all readings, none of them lost yet."""
    first = max(0.0, TRAIN_DAYS - LATE.get(unit.number, TRAIN_DAYS))
    last = TRAIN_DAYS + TEST_DAYS + HORIZON_DAYS
    minutes = np.arange(first * 1440, last * 1440, READING_MINUTES) + 15
    minutes += rng.integers(-JITTER_MINUTES, JITTER_MINUTES, len(minutes), endpoint=True)
    return START + pd.to_timedelta(minutes, unit="min").as_unit("us")


def plan(
    unit: Unit, time: pd.DatetimeIndex, rng: np.random.Generator
) -> tuple[FloatArray, TextArray]:
    """Return load over rated load, and cooling: held for 2 to 8 hours each time."""
    hours = (time - time[0]) / pd.Timedelta(hours=1)
    begins = np.cumsum(rng.uniform(2, 8, 2 + int(hours[-1] / 2)))
    block = np.searchsorted(begins, hours)
    first = np.unique(block, return_index=True)[1]
    level = np.empty(len(time))
    cooling = np.empty(len(time), dtype="<U4")
    for begin, end in zip(first, [*first[1:], len(time)], strict=True):
        at = time[begin]
        shape = 1 + 0.3 * np.cos(2 * np.pi * (at.hour - 14) / 24) - 0.2 * (at.day_of_week > 4)
        level[begin:end] = np.clip(unit.busy * shape + rng.normal(0, 0.2), 0.1, 1.25)
        # the more load, the more cooling; at times it is run for other reasons
        wanted = np.searchsorted([0.55, 0.8], level[begin] + 0.3 * (rng.random() < 0.4))
        known = KINDS[unit.kind][1]
        cooling[begin:end] = known[min(int(wanted), len(known) - 1)]
    return level.round(3), cooling


def spells(
    hours: FloatArray, rng: np.random.Generator, every: float, lasting: tuple[float, float] | float
) -> npt.NDArray[np.bool_]:
    """Return which times (h) fall into spells that come at random.

    Args:
        hours: the times.
        rng: draws begin and length of each.
        every: mean time (h) between the end of one and the next.
        lasting: shortest and longest, or the mean of an exponential distribution, in h.
    """
    within = np.zeros(len(hours), dtype=np.bool_)
    begin = rng.exponential(every)
    while begin < hours[-1]:
        long = rng.uniform(*lasting) if isinstance(lasting, tuple) else rng.exponential(lasting)
        within |= (hours >= begin) & (hours < begin + long)
        begin += long + rng.exponential(every)
    return within


def make_readings(unit: Unit) -> pd.DataFrame:
    """Return all readings of a unit, up to the end of the horizon, with nothing missing."""
    rng = np.random.default_rng([unit.number, 2])
    time = stamps(unit, rng)
    hours = np.asarray((time - START) / pd.Timedelta(hours=1), dtype=np.float64)
    load, cooling = plan(unit, time, rng)
    air = climate(unit.site, time) + np.interp(hours, np.arange(24 * 44 + 1), weather(unit.site))
    fault = spells(hours, rng, HEALTHY_H, FAULT_H) & (cooling != "ONAN")
    actual = np.where(fault, "ONAN", cooling)
    goal = unit.settle(air, load, actual)
    oil = unit.follow(goal[0], np.diff(60 * hours, prepend=60 * hours[0]), goal, actual)
    oil += rng.normal(0, OIL_ERROR_K, len(oil))
    alarm = np.where(fault, "cooling", np.where(oil > HOT_OIL_C, "hot", "none"))
    if unit.number in GAS:
        first = rng.uniform(24 * (TRAIN_DAYS + 1), 24 * (TRAIN_DAYS + TEST_DAYS - 1))
        alarm = np.where((hours > first) & (hours < first + 12), "gas", alarm)
    columns = {"mode": cooling, "load": load, "air_c": air.round(1), "alarm": alarm}
    return pd.DataFrame({"unit": unit.name, "time": time, **columns, "oil_c": oil.round(2)}).assign(
        kind=unit.kind, site=unit.site, rated_mva=unit.rated_mva
    )


def lose(readings: pd.DataFrame, unit: Unit) -> pd.DataFrame:
    """Return what of a unit's readings was logged."""
    rng = np.random.default_rng([unit.number, 3])
    hours = np.asarray((readings["time"] - START) / pd.Timedelta(hours=1), dtype=np.float64)
    down = spells(hours, rng, 220.0, (5.0, 30.0)) | (rng.random(len(hours)) < 0.015)
    # what is to come is planned, not logged
    down &= hours < 24 * (TRAIN_DAYS + TEST_DAYS)
    logged = readings.assign(
        air_c=readings["air_c"].mask(spells(hours, rng, 40.0, 4.0)),
        oil_c=readings["oil_c"].mask(spells(hours, rng, 30.0, (0.4, 2.0))),
    )
    return logged[~down]


def make_tables() -> dict[str, pd.DataFrame]:
    """Return the tables by the names of their files."""
    logged = pd.concat(lose(make_readings(unit), unit) for unit in units())
    logged = logged.sort_values(["time", "unit"], ignore_index=True)
    floats = ["rated_mva", "load", "air_c", "oil_c"]
    logged[floats] = logged[floats].astype(np.float32)
    days = (logged["time"] - START) / pd.Timedelta(days=1)
    end = TRAIN_DAYS + TEST_DAYS
    future = logged[days >= end].assign(
        air_c=np.float32(np.nan), alarm=None, oil_c=np.float32(np.nan)
    )
    tables = {
        "panel": logged[days < TRAIN_DAYS],
        "panel_test": logged[(days >= TRAIN_DAYS - CONTEXT_DAYS) & (days < end)],
        "panel_predict": pd.concat([logged[(days >= end - PREDICT_DAYS) & (days < end)], future]),
    }
    return {name: _whole(table) for name, table in tables.items()}


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table in which the oil of each unit is known at the end, but for the future.

    What is missing there would be taken for the future.
    """
    known = table["time"].where(table["oil_c"].notna()).groupby(table["unit"]).transform("max")
    planned = table["time"] >= START + pd.Timedelta(days=TRAIN_DAYS + TEST_DAYS)
    return table[(table["time"] <= known) | planned].reset_index(drop=True)


def units() -> Iterator[Unit]:
    """Yield all units, numbered from 1."""
    for number in range(1, UNITS + 1):
        yield make_unit(number)


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet under a temporary name, so that no half-written file is left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".partial")
    table.to_parquet(unfinished, index=False, compression="zstd")
    unfinished.replace(path)


def main() -> None:
    """Write all tables into the folder named on the command line."""
    parser = argparse.ArgumentParser(description="Write the sample panel as Parquet files.")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR")
    output: Path = parser.parse_args().output
    for name, table in make_tables().items():
        write(table, output / f"{name}.parquet")
        print(f"{name}.parquet: {len(table)} rows, {table['unit'].nunique()} units", flush=True)


if __name__ == "__main__":
    main()

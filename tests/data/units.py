"""A table of units with every role there is, and its batches from the definition, row by row."""

from typing import Any

import numpy as np
import pandas as pd

CONTEXT, HORIZON, LAGS = 5, 3, (4, 6)
ROWS = (48, 40, 52)
GAP = "4h"
# rows of unit 0 without a value
HOLES = {"set": (0, 9, 10), "mode": (4,), "current": (20,), "alarm": (25,), "y": (11, 12, 30, 41)}
ROLES: dict[str, Any] = {
    "target_covariate": "y",
    "known_covariates": ["set", "mode"],
    "known_past_covariates": ["current", "alarm"],
    "static_covariates": ["power", "site"],
    "categorical_covariates": ["mode", "alarm", "site", "dayofweek"],
    "calendar_features": ["hour", "dayofweek"],
    "time_column": "time",
    "series_id": "unit",
}
OPTIONS: dict[str, Any] = {
    **ROLES,
    "target_lags": list(LAGS),
    "max_gap": GAP,
    "drop_short_series": True,
    "ctxt_seq_len": CONTEXT,
    "tgt_seq_len": HORIZON,
    "dtype": "float64",
    "batch_size": 1000,
}


def make_units(*, holes: bool = False) -> pd.DataFrame:
    """Return units of uneven hours across the end of summer time, each with a gap."""
    units = []
    for number, rows in enumerate(ROWS):
        generator = np.random.default_rng([number, 7])
        hours = generator.integers(1, 4, rows)
        hours[17 + number] = 30
        time = pd.Timestamp("2024-10-25 20:00", tz="Europe/Zurich") + pd.to_timedelta(
            hours.cumsum(), unit="h"
        )
        mode = generator.choice(["auto", "07", "7"], rows).astype(object)
        alarm = pd.Series(generator.integers(-1, 2, rows)).astype("Int64")
        mode[-6], alarm.iloc[-5] = "late", 9  # not among the first two thirds
        units.append(
            pd.DataFrame(
                {
                    "unit": f"u{number}",
                    "time": time,
                    "set": generator.normal(20, 3, rows),
                    "mode": mode,
                    "current": generator.normal(-1, 0.2, rows),
                    "alarm": alarm,
                    "power": 1.5 + number,
                    "site": ("north", "south", "north")[number],
                    "y": 50 * (number + 1) + generator.normal(0, 2, rows).cumsum(),
                }
            )
        )
    if holes:
        for name, lost in HOLES.items():
            units[0].loc[list(lost), name] = None
        units[1]["site"], units[2]["power"] = None, np.nan
    return pd.concat(units, ignore_index=True)


def stretches_of(rows: pd.DataFrame) -> pd.Series:
    """Return for each row the number of its stretch."""
    return (rows["time"].diff() > pd.Timedelta(GAP)).cumsum()


class Reference:
    """Features of whole units, scaled; windows are cut out of them.

    Args:
        frame: the table.
        data: the fitted data module, which tells the names of the features and the time's scale.
        training: share of each unit's rows that is for training.
    """

    def __init__(self, frame: pd.DataFrame, data: Any, training: float) -> None:
        self.data, self.normalize = data, data.hparams["normalize"]
        self.units = [rows.reset_index(drop=True) for _, rows in frame.groupby("unit")]
        limits, lag = data.limits, max(LAGS) if data.limits.context else 0
        least = lag + limits.min_context + limits.min_horizon
        self.training = [
            rows[: len(rows) - int(len(rows) * (1 - training) + 1e-9)] for rows in self.units
        ]
        # a stretch that is too short for a window is left out
        self.training = [
            rows.groupby(stretches_of(rows)).filter(lambda own: len(own) >= least)
            for rows in self.training
        ]
        self.features = [self._features(number) for number in range(len(self.units))]

    def code(self, name: str, values: Any) -> list[int]:
        """Return the numbers of categories: by their place in the sorted texts of training."""
        seen = pd.concat([rows[name] for rows in self.training]).dropna().astype(str)
        numbers = {text: place for place, text in enumerate(sorted(set(seen)), start=1)}
        return [0 if pd.isna(value) else numbers.get(str(value), 0) for value in values]

    def scale(self, name: str, values: Any, unit: int) -> Any:
        """Return scaled values of a column."""
        alone = self.normalize == "series" or (self.normalize == "window" and name == "y")
        rows = self.training[unit] if alone else pd.concat(self.training)
        if name == "power":  # one value of each unit, and statistics of all of them
            rows = pd.concat([own[:1] for own in self.training])
        return (values - rows[name].mean()) / rows[name].std(ddof=0)

    def _features(self, number: int) -> pd.DataFrame:
        rows, everyone = self.units[number], pd.concat(self.training)
        stretch = stretches_of(rows)
        made: dict[str, Any] = {}
        for name in ("set", "current", "y"):
            filled = rows[name].groupby(stretch).ffill().fillna(everyone[name].mean())
            made[name] = self.scale(name, filled, number)
            made[f"{name}_observed"] = rows[name].notna().astype(float)
        for lag in LAGS:
            made[f"y_lag_{lag}"] = made["y"].groupby(stretch).shift(lag)
        turn = 2 * np.pi * rows["time"].dt.hour / 24
        made["hour_sin"], made["hour_cos"] = np.sin(turn), np.cos(turn)
        made["mode"], made["alarm"] = (
            self.code("mode", rows["mode"]),
            self.code("alarm", rows["alarm"]),
        )
        made["dayofweek"] = rows["time"].dt.day_of_week + 1
        made["seconds"] = (rows["time"] - rows["time"][0]).dt.total_seconds()
        return pd.DataFrame(made)

    def window(self, number: int, origin: int, context: int, horizon: int) -> dict[str, Any]:
        """Return what a batch holds of one window, without padding."""
        data, rows = self.data, self.features[number]
        past = rows[origin + 1 - context : origin + 1].copy()
        future = rows[origin + 1 : origin + 1 + horizon].copy()
        target = future[["y"]].to_numpy()
        begin = past["seconds"].iloc[0]
        own = {}
        if self.normalize == "window":
            own = self._normalise(past, future)
            target = target / own["window_unit"]
        for side in (past, future):
            side["time"] = (side["seconds"] - begin) / data.scaling.time_scale
        unit = self.units[number]
        return {
            "encoder_input": past[list(data.columns.encoder_features(True))].to_numpy(),
            "decoder_input": future[list(data.columns.decoder_features)].to_numpy(),
            "encoder_categories": past[["mode", "dayofweek", "alarm"]].to_numpy(),
            "decoder_categories": future[["mode", "dayofweek"]].to_numpy(),
            "static_input": np.nan_to_num(self.scale("power", unit["power"][:1], number)),
            "static_categories": np.array(self.code("site", unit["site"][:1])),
            "target": target,
            "target_mask": future["y_observed"].to_numpy() == 1,
            **own,
        }

    def _normalise(self, past: pd.DataFrame, future: pd.DataFrame) -> dict[str, Any]:
        """Normalise a window by its context; return what was taken off the target."""
        seen = past["y"][past["y_observed"] == 1]
        spread, unit = max(0.1, seen.std(ddof=0)), max(1.0, seen.std(ddof=0))
        means = {name: past[name].mean() for name in ("set", "current")}
        for side in (past, future):
            for name, mean in means.items():
                side[name] -= mean
            for name in ("y", *(f"y_lag_{lag}" for lag in LAGS)):
                side[name] = (side[name] - seen.mean()) / spread
        return {
            "window_loc": np.array(seen.mean() / unit),
            "window_scale": np.array(spread / unit),
            "window_unit": np.array(unit),
        }


def windows_in(
    unit: pd.DataFrame, first: int, end: int, context: int = CONTEXT, horizon: int = HORIZON
) -> set[int]:
    """Return the origins of all whole windows whose targets are rows `first` to before `end`."""
    stretch = stretches_of(unit)
    found = set()
    for origin in range(len(unit)):
        target = range(origin + 1, origin + 1 + horizon)
        begin = origin + 1 - context
        if target[0] < first or target[-1] >= end or begin < 0:
            continue
        start = int((stretch < stretch[begin]).sum())
        if stretch[begin] == stretch[target[-1]] and begin - start >= max(LAGS):
            found.add(origin)
    return found

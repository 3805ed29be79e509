"""The metrics of utilsforecast and darts, and a forecast of darts, under our names."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tests.reference.peers import import_peer

LEVELS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
QUANTILES = [f"q{level:g}" for level in LEVELS]
INTERVALS = {"0.5": ("q0.25", "q0.75"), "0.8": ("q0.1", "q0.9"), "0.96": ("q0.02", "q0.98")}
SEASON = 3
GROUPS = ("all", "series", "step")
NAIVE_SEASON, NAIVE_ORIGIN, NAIVE_STEPS = 7, 30, 17

FloatArray = npt.NDArray[np.float64]
History = Mapping[str, FloatArray]


def with_actuals(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose actual is known, with a column that makes one group of them."""
    return table.dropna(subset="actual").assign(all="all")


def with_actuals_of_zero(known: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with 0 as the actual of every second step."""
    return known.assign(actual=known["actual"].where(known["step"] != 2, 0.0))


def utilsforecast_scores(known: pd.DataFrame, history: History) -> dict[str, pd.DataFrame]:
    """Return the scores of utilsforecast, a table each by group, and what else it says.

    `zeros` is MAPE by series where some actuals are 0; `reliability` the share of actuals below
    each quantile.
    """
    losses = import_peer("utilsforecast.losses")
    zeros = losses.mape(
        with_actuals_of_zero(known), ["prediction"], id_col="series", target_col="actual"
    )
    observed = [
        losses.calibration(known, {"m": column}, id_col="all", target_col="actual")["m"].item()
        for column in QUANTILES
    ]
    tables = {group: _by_group(losses, known, group) for group in GROUPS}
    tables["series"]["MASE"] = _mase(losses, known, history)
    return {
        **tables,
        "zeros": pd.DataFrame({"MAPE": zeros.set_index("series")["prediction"]}),
        "reliability": pd.DataFrame({"observed": observed}, index=pd.Index(LEVELS)),
    }


def _by_group(losses: Any, known: pd.DataFrame, group: str) -> pd.DataFrame:
    names = {"id_col": group, "target_col": "actual"}
    levels = np.array(LEVELS)
    points = {"MAE": ("mae", 1), "RMSE": ("rmse", 1), "MAPE": ("mape", 1), "sMAPE": ("smape", 2)}
    scores = {
        metric: factor
        * getattr(losses, name)(known, ["prediction"], **names).set_index(group)["prediction"]
        for metric, (name, factor) in points.items()
    }
    loss = losses.mqloss(known, {"m": QUANTILES}, levels, **names)
    scores["CRPS"] = 2 * loss.set_index(group)["m"]
    weighted = losses.scaled_crps(known, {"m": QUANTILES}, levels, **names)
    scores["WQL"] = weighted.set_index(group)["m"]
    for nominal, (low, high) in INTERVALS.items():
        ends = known.rename(columns={low: "m-lo-9", high: "m-hi-9"})
        inside = losses.coverage(ends, ["m"], 9, **names)
        scores[f"coverage_{nominal}"] = inside.set_index(group)["m"]
    return pd.DataFrame(scores)


def _mase(losses: Any, known: pd.DataFrame, history: History) -> "pd.Series[float]":
    train = pd.concat(
        pd.DataFrame({"series": name, "ds": range(len(values)), "actual": values})
        for name, values in history.items()
    )
    mase: pd.DataFrame = losses.mase(
        known, ["prediction"], SEASON, train, id_col="series", target_col="actual"
    )
    return mase.set_index("series")["prediction"]


def darts_scores(known: pd.DataFrame, history: History) -> dict[str, pd.DataFrame]:
    """Return the scores of darts by series, and a seasonal naive forecast, `naive` by step."""
    scores = {
        name: _darts_points(known[known["series"] == name], past)
        | _darts_quantiles(known[known["series"] == name])
        for name, past in history.items()
    }
    model = import_peer("darts.models").NaiveSeasonal(K=NAIVE_SEASON)
    past = naive_series()[: NAIVE_ORIGIN + 1]
    model.fit(_series(pd.DataFrame({"y": past}), ["y"]))
    forecast = model.predict(NAIVE_STEPS).values()[:, 0]
    step = pd.Index(np.arange(1, NAIVE_STEPS + 1))
    return {
        "series": pd.DataFrame.from_dict(scores, orient="index"),
        "naive": pd.DataFrame({"prediction": forecast}, index=step),
    }


def naive_series() -> FloatArray:
    """Return a series whose values up to the origin make the seasonal naive forecast."""
    values: FloatArray = np.sin(np.arange(NAIVE_ORIGIN + 10) ** 2.0)
    return values


def _series(rows: pd.DataFrame, columns: list[str], start: int = 0) -> Any:
    """Return columns of a table as a series of darts, one row after another."""
    index = pd.RangeIndex(start, start + len(rows))
    values = rows[columns].to_numpy()
    darts = import_peer("darts")
    return darts.TimeSeries.from_times_and_values(index, values, columns=columns)


def _darts_points(rows: pd.DataFrame, past: FloatArray) -> dict[str, float]:
    metrics = import_peer("darts.metrics")
    actual = _series(rows.rename(columns={"actual": "y"}), ["y"], len(past))
    forecast = _series(rows.rename(columns={"prediction": "y"}), ["y"], len(past))
    return {
        "MAE": metrics.mae(actual, forecast),
        "RMSE": metrics.rmse(actual, forecast),
        "MAPE": metrics.mape(actual, forecast) / 100,
        "sMAPE": metrics.smape(actual, forecast) / 100,
        "MASE": metrics.mase(actual, forecast, _series(pd.DataFrame({"y": past}), ["y"]), m=SEASON),
    }


def _darts_quantiles(rows: pd.DataFrame) -> dict[str, float]:
    metrics = import_peer("darts.metrics")
    names = [f"y_q{level:.3f}" for level in LEVELS]
    rows = rows.rename(columns={"actual": "y", **dict(zip(QUANTILES, names, strict=True))})
    actual, forecast = _series(rows, ["y"]), _series(rows, names)
    levels = (np.array(LEVELS), pd.Index(names))
    loss = metrics.mql(actual, forecast, q=levels, component_reduction=None)
    scores = {"CRPS": float(np.mean(loss))}
    for nominal, quantiles in INTERVALS.items():
        ends = tuple(float(end[1:]) for end in quantiles)
        scores[f"coverage_{nominal}"] = metrics.mic(actual, forecast, q_interval=ends)
        scores[f"width_{nominal}"] = metrics.miw(actual, forecast, q_interval=ends)
    return scores

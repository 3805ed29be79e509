"""Fit, test and predict `configs/epf_np.yml`, and print the standardised test error.

The environment variable EPF_NP names the file. The error is computed twice: from the metrics
that `transformertf test` prints, and from the forecasts of every hour with NumPy alone.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from scripts.benchmarks.baselines import PENALTIES, Array, Ridge, rmse

CONFIG, NAME, OUTPUT = "configs/epf_np.yml", "epf_np", Path("demo")
CONTEXT, HORIZON, VALIDATION, TEST = 168, 24, 0.1, 0.2


def transformertf(*words: str) -> None:
    """Run a command line, showing it."""
    print(f"\n$ transformertf {' '.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", "transformertf", *words], check=True)


def ridge_forecasts(table: pd.DataFrame, train_end: int, test: int) -> Array:
    """Return test forecasts (n, 24) of ridge regression with the future columns.

    Features: a week of all three columns, and the two known ones over the day ahead.
    """
    columns = [sliding_window_view(table[name].to_numpy(), CONTEXT) for name in table]
    future = [sliding_window_view(table[name].to_numpy(), HORIZON) for name in table]
    known, target = slice(CONTEXT, None), future[-1][CONTEXT:]
    count = len(target)
    features = np.concatenate(
        [*(column[:count] for column in columns), *(column[known] for column in future[:-1])],
        axis=1,
    )  # fmt: skip
    train = train_end - CONTEXT - HORIZON + 1
    validation = slice(train_end - CONTEXT, test - CONTEXT - HORIZON + 1)
    models = [Ridge(features[:train], target[:train], penalty) for penalty in PENALTIES]
    errors = [rmse(model.predict(features[validation]), target[validation]) for model in models]
    return models[int(np.argmin(errors))].predict(features[test - CONTEXT :])


def standardised_errors(forecasts: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return MAE and MSE on the test part in units of the training part's standard deviation.

    Args:
        forecasts: of every hour, sorted by origin and step.
        table: the two known columns and the price, in this order.
    """
    price = table.iloc[:, -1].to_numpy()
    rows = len(price)
    test = rows - int(rows * TEST)
    train_end = test - int(rows * VALIDATION)
    actual = sliding_window_view(price[test:], HORIZON)
    candidates = {
        # windows end with the file: the last origins are those of the test part
        "transformertf": forecasts["prediction"].to_numpy().reshape(-1, HORIZON)[-len(actual) :],
        "ridge with the future columns": ridge_forecasts(table, train_end, test),
        "repeat the last day": sliding_window_view(price[test - HORIZON : -HORIZON], HORIZON),
    }
    spread = price[:train_end].std()
    errors = {name: (values - actual) / spread for name, values in candidates.items()}
    return pd.DataFrame(
        {name: {"MAE": np.abs(e).mean(), "MSE": np.square(e).mean()} for name, e in errors.items()}
    ).T


def main() -> None:
    """Run the experiment."""
    source = Path(os.environ["EPF_NP"])
    OUTPUT.mkdir(exist_ok=True)
    start = time.monotonic()
    transformertf("fit", "--config", CONFIG)
    seconds = time.monotonic() - start
    last = ("--config", CONFIG, "--ckpt_path", "last")
    transformertf("test", *last)
    hourly = OUTPUT / "epf_hourly.parquet"
    transformertf("predict", *last, "--data.predict_df_paths", str(source),
                  "--origin", "all", "--output", str(hourly))  # fmt: skip
    transformertf("predict", *last, "--data.predict_df_paths", str(source),
                  "--origin", "last", "--output", str(OUTPUT / "epf_last_day.parquet"))  # fmt: skip
    table = pd.read_csv(source, skipinitialspace=True, index_col="date")
    print(f"\nfit {seconds:.0f} s; standardised by the training part, every hour an origin:")
    print(standardised_errors(pd.read_parquet(hourly), table).round(4).to_string())


if __name__ == "__main__":
    main()

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

CONFIG, NAME, OUTPUT = "configs/epf_np.yml", "epf_np", Path("demo")
HORIZON, VALIDATION, TEST = 24, 0.1, 0.2


def transformertf(*words: str) -> None:
    """Run a command line, showing it."""
    print(f"\n$ transformertf {' '.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", "transformertf", *words], check=True)


def standardised_errors(forecasts: pd.DataFrame, price: np.ndarray) -> dict[str, float]:
    """Return MAE and MSE on the test part in units of the training part's standard deviation.

    Args:
        forecasts: of every hour, with `origin` a time stamp; sorted by origin and step.
        price: the whole column.
    """
    rows = len(price)
    test = rows - int(rows * TEST)
    spread = price[: test - int(rows * VALIDATION)].std()
    per_origin = forecasts["prediction"].to_numpy().reshape(-1, HORIZON)
    # windows end with the file: the last origins are those whose targets lie in the test part
    ours = per_origin[-(rows - test - HORIZON + 1) :]
    actual = np.lib.stride_tricks.sliding_window_view(price[test:], HORIZON)
    naive = np.lib.stride_tricks.sliding_window_view(price[test - HORIZON : -HORIZON], HORIZON)
    return {
        "test MAE": np.abs(ours - actual).mean() / spread,
        "test MSE": np.square(ours - actual).mean() / spread**2,
        "test MAE of repeating the last day": np.abs(naive - actual).mean() / spread,
    }


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
    price = pd.read_csv(source, skipinitialspace=True)["OT"].to_numpy()
    print(f"\nfit {seconds:.0f} s; standardised by the training part, every hour an origin:")
    for name, value in standardised_errors(pd.read_parquet(hourly), price).items():
        print(f"  {name:<36}{value:.4f}")


if __name__ == "__main__":
    main()

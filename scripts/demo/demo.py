"""The demo behind `make demo`: fit, resume, predict, compare, draw.

Runs the commands a user would type, from the repository root, and says which.
"""

import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import yaml

from scripts.benchmarks.baselines import baseline_errors, rmse
from transformertf.plots import forecast_figure

CONFIG = Path("sample_configs/lstm.yml")
DATA = Path("sample_configs/data")
OUTPUT = Path("demo")
NAME = "demo"


def transformertf(*words: str) -> None:
    """Run a command line, showing it."""
    print(f"\n$ transformertf {' '.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", "transformertf", *words], check=True)


def newest_checkpoint() -> Path:
    """Return `last.ckpt` of the newest run."""
    folders = Path("runs", NAME).glob("version_*/checkpoints/last.ckpt")
    return max(folders, key=lambda path: int(path.parts[-3].removeprefix("version_")))


def main() -> None:
    """Run the demo."""
    start = time.monotonic()
    epochs = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["trainer"]["max_epochs"]
    OUTPUT.mkdir(exist_ok=True)
    forecasts_path = OUTPUT / "forecasts.parquet"
    test = sorted((DATA / "test").glob("*.parquet"))

    transformertf("fit", "--config", str(CONFIG), "-n", NAME)
    transformertf("fit", "--config", str(CONFIG), "-n", NAME, "--ckpt_path", "last",
                  "--trainer.max_epochs", str(epochs + 1))  # fmt: skip
    checkpoint = newest_checkpoint()
    transformertf("predict", "--ckpt_path", str(checkpoint), "--data.predict_df_paths",
                  str(DATA / "test" / "*.parquet"), "--output", str(forecasts_path))  # fmt: skip

    forecasts = pd.read_parquet(forecasts_path)
    picture = OUTPUT / "forecast.png"
    figure = forecast_figure(forecasts, target="displacement [mm]", time="time [s]")
    figure.savefig(picture, dpi=120)
    errors = baseline_errors(sorted((DATA / "train").glob("*.parquet")), forecasts, test)
    own = rmse(forecasts["prediction"].to_numpy(), forecasts["actual"].to_numpy())

    print("\ntest RMSE [mm], the same windows for all")
    for name, error in {"encoder-decoder LSTM": own, **errors}.items():
        print(f"  {name:<24}{error:8.4f}")
    print(f"  the better baseline is {min(errors.values()) / own:.1f} times the LSTM's error\n")
    print(f"checkpoint  {checkpoint}")
    print(f"forecasts   {forecasts_path}")
    print(f"picture     {picture}")
    print(f"time        {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()

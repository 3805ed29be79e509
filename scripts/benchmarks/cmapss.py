"""Turbofan engines, run to failure (NASA's C-MAPSS): tables, fits, and the error at the last row.

    CMAPSS=FOLDER python -m scripts.benchmarks.cmapss [--seeds 3] [--output DIR]

The environment variable CMAPSS names the folder of the raw files. Of each subset
`configs/benchmarks/cmapss.yml` is fitted, and its forecasts of the test units are made, by the
command line alone. The score is the root mean square error at the last row of each test unit, its
remaining cycles capped at 125 as those that are learned are.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from scripts.benchmarks.benchmarking import describe_machine, markdown_table
from scripts.benchmarks.fits import ROOT, command, fit

CONFIG = ROOT / "configs" / "benchmarks" / "cmapss.yml"
SUBSETS = "FD001", "FD003"
# an engine shows no wear long before it fails: its remaining life is told from here on
CAP = 125
COLUMNS = [
    "unit", "cycle", *(f"setting_{i}" for i in range(1, 4)), *(f"sensor_{i}" for i in range(1, 22))
]  # fmt: skip


def read_raw(path: Path) -> pd.DataFrame:
    """Return the rows of a raw file: unit, cycle, three settings, 21 sensors."""
    return pd.read_csv(path, sep=r"\s+", header=None, names=COLUMNS)


def with_life(table: pd.DataFrame, last: pd.Series | None = None) -> pd.DataFrame:
    """Return a table with the remaining cycles of each row, at most `CAP`, in the column `rul`.

    Args:
        table: whole runs of units.
        last: of each unit, the cycles that remain after its last row; none in training.
    """
    cycles = table["cycle"]
    life = cycles.groupby(table["unit"]).transform("max") - cycles
    if last is not None:
        life += table["unit"].map(last)
    return table.assign(rul=np.minimum(life, CAP).astype(float))


def write_tables(raw: Path, subset: str, folder: Path) -> None:
    """Write `train_FD001.parquet` and `test_FD001.parquet`, or those of another subset.

    The two number their units alike; those of the test are named apart.
    """
    remaining = np.loadtxt(raw / f"RUL_{subset}.txt", ndmin=1)
    last = pd.Series(remaining, index=np.arange(1, len(remaining) + 1))
    train = with_life(read_raw(raw / f"train_{subset}.txt"))
    test = with_life(read_raw(raw / f"test_{subset}.txt"), last)
    for name, table in (("train", train), ("test", test)):
        units = name + "-" + table["unit"].astype(str)
        table.assign(unit=units).to_parquet(folder / f"{name}_{subset}.parquet", index=False)


def score(forecasts: pd.DataFrame) -> float:
    """Return the root mean square error at the last row of each series, in cycles."""
    last = forecasts.groupby("series").last()
    return float((last["prediction"] - last["actual"]).pow(2).mean() ** 0.5)


def fit_and_score(folder: Path, subset: str, seed: int) -> dict[str, str | float]:
    """Fit a subset with a seed and forecast its test units; return a row for `summary`."""
    paths = {"CMAPSS_TRAIN": str(folder / f"train_{subset}.parquet")}
    one = fit(folder, CONFIG, seed, variables=paths, name=f"cmapss_{subset}")
    forecasts = folder / f"cmapss_{subset}_{seed}.parquet"
    command(
        folder, "predict", "--ckpt_path", str(one.checkpoint),
        "--data.predict_df_paths", str(folder / f"test_{subset}.parquet"),
        "--output", str(forecasts),
    )  # fmt: skip
    return {
        "subset": subset,
        "error": score(pd.read_parquet(forecasts)),
        "seconds": one.seconds,
        "weights": one.parameters,
    }


def summary(found: pd.DataFrame) -> str:
    """Return a Markdown table of the mean error and its spread over seeds, by subset.

    Args:
        found: columns subset, error, seconds and weights.
    """
    rows = [
        [subset, f"{runs.error.mean():.2f}", f"{runs.error.min():.2f} to {runs.error.max():.2f}",
         f"{runs.seconds.mean():.0f}", f"{runs.weights.max():,}"]
        for subset, runs in found.groupby("subset")
    ]  # fmt: skip
    return markdown_table(["subset", "RMSE, mean", "from, to", "fit, processor s", "weights"], rows)


def main() -> None:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder of the tables")
    arguments = parser.parse_args()
    folder = arguments.output.resolve()
    folder.mkdir(exist_ok=True)
    found = []
    for subset in SUBSETS:
        write_tables(Path(os.environ["CMAPSS"]), subset, folder)
        for seed in range(arguments.seeds):
            found.append(fit_and_score(folder, subset, seed))
            print(f"seed {seed}: {found[-1]}", file=sys.stderr, flush=True)
    print(f"\n{arguments.seeds} seeds; {describe_machine('pandas', 'lightning')}\n")
    print(summary(pd.DataFrame(found)))


if __name__ == "__main__":
    main()

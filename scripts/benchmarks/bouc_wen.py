"""The Bouc-Wen benchmark: learn from simulated records, forecast the official ones.

    export TRANSFORMERTF_BOUC_WEN_H5=test.h5
    python -m scripts.benchmarks.bouc_wen [--seeds 3] [--output DIR]

Fits `configs/benchmarks/bouc_wen.yml` to the records of `scripts/data/records.py` and prints a
table. Both official records are forecast from the force alone. The multisine was recorded in its
steady state, after further periods of the same force: one period of it leads in. The sweep begins
at rest. Without the variable the errors are those on the validation records.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from scripts.benchmarks.benchmarking import describe_machine, markdown_table
from scripts.benchmarks.fits import ROOT, Fit, command, fit, row
from scripts.data.records import VARIABLE, official_records, write_records

CONFIG = ROOT / "configs" / "benchmarks" / "bouc_wen.yml"
RECORDS = 60
# metres, of published models and of simple ones, on the official multisine and sweep
PUBLISHED = {
    "zero": (6.67e-4, 6.64e-4),
    "linear filter, 500 taps": (1.51e-4, 1.71e-4),
    "dynoNet (published)": (4.52e-5, None),
    "state-space network (published)": (2.65e-5, None),
    "polynomial state space (published)": (1.34e-5, None),
    "best published found": (7.53e-6, None),
}
HEADER = ("model", "multisine", "sweep", "processor time of the fit", "parameters")


def to_judge(folder: Path) -> dict[str, tuple[pd.DataFrame, int]]:
    """Return the records to forecast, and the row from which on each is judged."""
    if VARIABLE in os.environ:
        official = official_records(Path(os.environ[VARIABLE]))
        multisine = official["multisine"]
        twice = pd.concat([multisine, multisine], ignore_index=True)
        return {"multisine": (twice, len(multisine)), "sweep": (official["sinesweep"], 0)}
    kept = {path.stem: pd.read_parquet(path) for path in (folder / "validation").glob("*.parquet")}
    return {"multisine": (kept["000"], 0), "sweep": (kept["002"], 0)}


def errors(folder: Path, one: Fit) -> list[float]:
    """Return the root mean square errors (m) of multisine and sweep."""
    found = []
    for name, (record, first) in to_judge(folder).items():
        asked = folder / f"{name}.parquet"
        record.to_parquet(asked)
        forecasts = folder / f"{one.checkpoint.parents[2].name}_{name}.parquet"
        command(
            folder, "predict", "--ckpt_path", str(one.checkpoint),
            "--data.predict_df_paths", str(asked), "--output", str(forecasts),
        )  # fmt: skip
        error = pd.read_parquet(forecasts)["prediction"] - record["displacement_um"]
        found.append(1e-6 * float(np.sqrt(np.mean(error.to_numpy()[first:] ** 2))))
    return found


def main() -> None:
    """Fit with each seed and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, help="folder of data and runs; default: a new one")
    options = parser.parse_args()
    folder = options.output or Path(tempfile.mkdtemp())
    write_records(folder, RECORDS)
    fits = [fit(folder, CONFIG, seed) for seed in range(options.seeds)]
    rows = [
        [name, *("" if error is None else f"{error:.2e} m" for error in pair), "", ""]
        for name, pair in PUBLISHED.items()
    ]
    rows.append(
        row("`bouc_wen.yml`", fits, lambda one: errors(folder, one), lambda error: f"{error:.2e} m")
    )
    print(markdown_table(HEADER, rows))
    print(f"\n{describe_machine('lightning')}")


if __name__ == "__main__":
    main()

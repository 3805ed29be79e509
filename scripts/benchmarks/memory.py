"""What carrying the state along runs is worth where memory is long: carried against windows.

    python -m scripts.benchmarks.memory [--seeds 3] [--variants NAME ...] [--output DIR]

The oil of power transformers (the equation in `scripts/data/panel.py`), read every second: its
time constants are 5 000 to 15 000 readings, and a run is 100 000 of them. Inputs are the load and
the cooling, which change every two to eight hours; the target is the oil's temperature above that
of the air. `configs/benchmarks/memory.yml` is fitted as it is, and with random windows of the same
length, batch and number of steps in the place of carried states: forecasts of both are carried
along whole runs. Prints a table.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from scripts.benchmarks.benchmarking import describe_machine, markdown_table
from scripts.benchmarks.fits import ROOT, Fit, command, fit, row
from scripts.data.panel import KINDS, make_unit

CONFIG = ROOT / "configs" / "benchmarks" / "memory.yml"
RUNS = {"train": range(12), "validation": range(12, 14), "test": range(14, 18)}
STEPS = 100_000
HOLD_S = (2 * 3600, 8 * 3600)
VARIANTS: dict[str, tuple[str, ...]] = {
    "states carried": (),
    "windows": ("--data.carry_state", "false"),
    "windows, first half not scored": ("--data.carry_state", "false", "--data.washout", "250"),
}


def make_run(number: int) -> pd.DataFrame:
    """Return a run of one unit under a load of its own, second by second."""
    generator, unit = np.random.default_rng([number, 4]), make_unit(1)
    ends = np.cumsum(generator.integers(*HOLD_S, size=STEPS // HOLD_S[0] + 1))
    block = np.searchsorted(ends, np.arange(STEPS), side="right")
    load = generator.uniform(0.1, 1.25, block[-1] + 1)[block]
    cooling = generator.choice(KINDS[unit.kind][1], block[-1] + 1)[block]
    goal = unit.settle(np.zeros(STEPS), load, cooling)
    rise = unit.follow(0.0, np.full(STEPS, 1 / 60), goal, cooling)
    columns = {"load": load, "fans": (cooling == "ONAF").astype(float), "rise_k": rise}
    return pd.DataFrame(columns).astype(np.float32)


def write_runs(folder: Path) -> None:
    """Write the runs of each stage."""
    for stage, numbers in RUNS.items():
        (folder / stage).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            make_run(number).to_parquet(folder / stage / f"run_{number:02d}.parquet")


def errors(folder: Path, one: Fit) -> list[float]:
    """Return the root mean square errors (K) on validation and test runs, whole ones."""
    found = []
    for stage in ("validation", "test"):
        output = folder / f"{one.checkpoint.parents[2].name}_{stage}"
        files = folder / stage / "*.parquet"
        command(
            folder, "evaluate", "--ckpt_path", str(one.checkpoint),
            "--data.test_df_paths", str(files), "--output", str(output),
        )  # fmt: skip
        found.append(float(json.loads((output / "metrics.json").read_text())["RMSE"]))
    return found


def main() -> None:
    """Fit each variant with each seed and print how far they are off."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--output", type=Path, help="folder of data and runs; default: a new one")
    options = parser.parse_args()
    folder = options.output or Path(tempfile.mkdtemp())
    write_runs(folder)
    rows = []
    for place, name in enumerate(options.variants):
        fits = [
            fit(folder, CONFIG, seed, VARIANTS[name], name=f"variant_{place}")
            for seed in range(options.seeds)
        ]
        found = row(name, fits, lambda one: errors(folder, one), lambda error: f"{error:.2f} K")
        rows.append(found)
    header = ("training", "validation RMSE", "test RMSE", "processor time", "parameters")
    print(markdown_table(header, rows))
    print(f"\n{describe_machine('lightning')}")


if __name__ == "__main__":
    main()

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

from pathlib import Path

import numpy as np
import pandas as pd

from scripts.benchmarks.fits import ROOT, compare
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


if __name__ == "__main__":
    compare(CONFIG, VARIANTS, "{:.2f} K".format, prepare=write_runs)

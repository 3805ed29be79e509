"""The benchmark of long memory: its runs hold the equation, and its rows are of what was fitted."""

from pathlib import Path

import numpy as np
import pytest

from scripts.benchmarks import fits, memory
from scripts.data.panel import COOLING, make_unit


def test_a_run_holds_the_equation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "STEPS", 20_000)
    run, unit = memory.make_run(3), make_unit(1)
    assert len(run) == 20_000
    rise, load = run["rise_k"].to_numpy(), run["load"].to_numpy()
    name = np.where(run["fans"] > 0, "ONAF", "ONAN")
    tau = 60 * unit.time_scale * np.array([COOLING[each].minutes for each in name])
    goal = unit.settle(np.zeros(len(run)), load.astype(np.float64), name)
    # explicit Euler with steps of a second, against the exact solution
    found = np.zeros(len(run))
    for step in range(1, len(run)):
        found[step] = found[step - 1] + (goal[step] - found[step - 1]) / tau[step]
    np.testing.assert_allclose(rise[1:], found[1:], atol=0.05)
    assert tau.min() > 5000


def test_a_row_has_the_mean_and_the_range() -> None:
    made = [fits.Fit(Path(str(seed)), 10.0 * seed, 7_000) for seed in range(3)]
    cells = fits.row(
        "it", made, lambda one: [float(one.seconds), 1.0], lambda error: f"{error:.1f}"
    )
    assert cells == ["it", "10.0 (0.0 to 20.0)", "1.0 (1.0 to 1.0)", "10 s", "7,000"]

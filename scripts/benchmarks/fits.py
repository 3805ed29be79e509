"""Experiments through the product's own commands: fits with several seeds, and a row of each."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Fit:
    """A fit that has ended.

    Attributes:
        checkpoint: its last one.
        seconds: processor time, all threads together.
        parameters: number of weights.
    """

    checkpoint: Path
    seconds: float
    parameters: int


def command(folder: Path, *words: str, variables: Mapping[str, str] | None = None) -> float:
    """Run a command of the product in a folder and return its processor time (s)."""
    print(f"$ transformertf {' '.join(words)}", file=sys.stderr, flush=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "transformertf", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(variables or {})},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fit(
    folder: Path,
    config: Path,
    seed: int,
    words: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    name: str | None = None,
) -> Fit:
    """Fit a configuration in a folder of its own runs."""
    name = f"{name or config.stem}_{seed}"
    seconds = command(
        folder, "fit", "--config", str(config), "--seed_everything", str(seed), "-n", name, *words,
        variables=variables,
    )  # fmt: skip
    checkpoint = folder / "runs" / name / "version_0" / "checkpoints" / "last.ckpt"
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    parameters = sum(value.numel() for key, value in weights.items() if key.startswith("model."))
    return Fit(checkpoint, seconds, parameters)


def row(
    name: str,
    fits: Iterable[Fit],
    scores: Callable[[Fit], Sequence[float]],
    form: Callable[[float], str],
) -> list[str]:
    """Return a row of a table: parameters, processor time, and of each score mean and spread.

    Args:
        name: what it is called.
        fits: with different seeds.
        scores: errors of a fit.
        form: writes an error.
    """
    fits = list(fits)
    found = np.array([scores(one) for one in fits])
    cells = []
    for each in found.T:
        spread = f" ({form(each.min())} to {form(each.max())})" if len(each) > 1 else ""
        cells.append(form(float(each.mean())) + spread)
    seconds = np.mean([one.seconds for one in fits])
    return [name, *cells, f"{seconds:.0f} s", f"{fits[0].parameters:,}"]

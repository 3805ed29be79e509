"""Experiments through the product's own commands: fits with several seeds, and a row of each."""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from scripts.benchmarks.benchmarking import describe_machine, markdown_table

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
    versions = (folder / "runs" / name).glob("version_*")
    newest = max(versions, key=lambda run: int(run.name.removeprefix("version_")))
    checkpoint = newest / "checkpoints" / "last.ckpt"
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


def errors_of_runs(folder: Path, one: Fit, data: Path) -> list[float]:
    """Return the root mean square errors of a fit on whole validation and test runs.

    Args:
        folder: where the evaluations are put.
        one: the fit.
        data: has a folder of runs for each stage.
    """
    found = []
    for stage in ("validation", "test"):
        output = folder / f"{one.checkpoint.parents[2].name}_{stage}"
        command(
            folder, "evaluate", "--ckpt_path", str(one.checkpoint),
            "--data.test_df_paths", str(data / stage / "*.parquet"), "--output", str(output),
        )  # fmt: skip
        found.append(float(json.loads((output / "metrics.json").read_text())["RMSE"]))
    return found


def compare(
    config: Path,
    variants: Mapping[str, Sequence[str]],
    form: Callable[[float], str],
    data: Path | None = None,
    prepare: Callable[[Path], None] | None = None,
) -> None:
    """Fit each variant with each seed, as the command line asks, and print a table.

    Args:
        config: the experiment.
        variants: further flags of each, by name.
        form: writes an error.
        data: has a folder of runs for each stage; None for the folder that is worked in.
        prepare: writes what is fitted to into that folder.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=variants, default=list(variants))
    parser.add_argument("--output", type=Path, help="folder of data and runs; default: a new one")
    options = parser.parse_args()
    folder = (options.output or Path(tempfile.mkdtemp())).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if prepare is not None:
        prepare(folder)
    rows = []
    for name in options.variants:
        plain = re.sub(r"\W+", "_", name)
        fits = [fit(folder, config, seed, variants[name], name=plain)
                for seed in range(options.seeds)]  # fmt: skip
        rows.append(row(name, fits, lambda one: errors_of_runs(folder, one, data or folder), form))
    header = ("training", "validation RMSE", "test RMSE", "processor time", "parameters")
    print(markdown_table(header, rows))
    print(f"\n{describe_machine('lightning')}")

"""Train the sample configurations in full; write the tables of sample_configs/README.md.

    python -m scripts.benchmarks.samples                 all of them
    python -m scripts.benchmarks.samples tft xtft        these; the rows of the others stay

Each runs as a user would run it, `transformertf fit` and then `predict` of `last.ckpt` on the test
files, in a folder that is thrown away. Errors are those of the forecasts: of the oscillator in
millimetres, of the panel, for names that start with `panel_`, in kelvin.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from scripts.benchmarks.baselines import (
    FORCE,
    PENALTIES,
    TARGET,
    Array,
    Ridge,
    baseline_errors,
    rmse,
)
from scripts.benchmarks.benchmarking import describe_machine, markdown_table
from scripts.benchmarks.panel_baselines import NAIVE as PANEL_NAIVE
from scripts.benchmarks.panel_baselines import panel_errors

FOLDER = Path(__file__).parents[2] / "sample_configs"
TRAIN = sorted((FOLDER / "data" / "train").glob("*.parquet"))
TEST = sorted((FOLDER / "data" / "test").glob("*.parquet"))
FILTER_STEPS = 200  # what a forecast sees of the force: 50 steps of context and 150 ahead
BEGIN, END = "<!-- written by scripts/benchmarks/samples.py -->", "<!-- end of what it writes -->"
HEADER = ["file", "model", "parameters", "fit", "processor", "test RMSE"]
PANEL = "panel"
# the naive forecasts of each kind of data
NAIVE = {
    "EncoderDecoderDataModule": ("ridge regression", "repeat the last value"),
    "TimeSeriesDataModule": ("linear filter", "training mean"),
    PANEL: PANEL_NAIVE,
}


@dataclass(frozen=True)
class Result:
    """What became of one configuration; errors in mm, of the panel in K."""

    name: str
    parameters: int
    seconds: float
    processor_seconds: float
    error: float
    naive: tuple[float, ...]

    def row(self) -> list[str]:
        """Return the cells of the table."""
        unit = unit_of(self.name)
        errors = (f"{error:.3f} {unit}" for error in (self.error, *self.naive))
        seconds = (f"{seconds:.0f} s" for seconds in (self.seconds, self.processor_seconds))
        times = f"{min(self.naive) / self.error:.1f}"
        file, model = f"`{self.name}.yml`", model_of(self.name)
        return [file, model, str(self.parameters), *seconds, *errors, times]


def read(name: str) -> dict[str, dict[str, str]]:
    """Return a configuration by its name."""
    tree: dict[str, dict[str, str]] = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    return tree


def model_of(name: str) -> str:
    """Return the class of a configuration's model."""
    return read(name)["model"]["class_path"].rpartition(".")[2]


def data_of(name: str) -> str:
    """Return a configuration's kind of data: the panel, or the class of its data module."""
    if name.startswith(f"{PANEL}_"):
        return PANEL
    return read(name)["data"]["class_path"].rpartition(".")[2]


def unit_of(name: str) -> str:
    """Return the unit of a configuration's errors."""
    return "K" if data_of(name) == PANEL else "mm"


def transformertf(folder: Path, *words: str) -> tuple[float, float]:
    """Run a command line, showing it; return its seconds on the clock and of the processor."""
    print(f"\n$ transformertf {' '.join(words)}", flush=True)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, "-m", "transformertf", *words], check=True, cwd=folder)
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used


def measure(name: str) -> Result:
    """Fit a configuration in full, forecast the test files, compare."""
    kind = data_of(name)
    test = FOLDER / "data" / ("panel_test.parquet" if kind == PANEL else "test/*.parquet")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        seconds, used = transformertf(folder, "fit", "--config", str(FOLDER / f"{name}.yml"))
        checkpoint = folder / "runs" / name / "version_0" / "checkpoints" / "last.ckpt"
        transformertf(
            folder, "predict", "--ckpt_path", str(checkpoint), "--data.predict_df_paths",
            str(test), "--output", "forecasts.parquet",
        )  # fmt: skip
        forecasts = pd.read_parquet(folder / "forecasts.parquet")
        weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    errors = naive_errors(kind, forecasts)
    known = forecasts.dropna(subset="actual")
    return Result(
        name,
        sum(weight.numel() for key, weight in weights.items() if key.startswith("model.")),
        seconds,
        used,
        rmse(known["prediction"].to_numpy(), known["actual"].to_numpy()),
        tuple(errors[naive] for naive in NAIVE[kind]),
    )


def naive_errors(kind: str, forecasts: pd.DataFrame) -> dict[str, float]:
    """Return the RMSE of the naive forecasts of a kind of data, on the rows of others."""
    if kind == PANEL:
        return panel_errors(forecasts)
    if kind == "TimeSeriesDataModule":
        return sequence_errors(TRAIN, forecasts, TEST)
    return baseline_errors(TRAIN, forecasts, TEST)


def sequence_errors(
    train: Sequence[Path], forecasts: pd.DataFrame, test: Sequence[Path]
) -> dict[str, float]:
    """Return the RMSE of both naive forecasts from the force alone, in mm, on the forecast rows.

    - the mean of the training rows;
    - a linear filter: ridge regression from the last 200 steps of force. Before a run there is
      none. Its penalty is the one of `PENALTIES` that does best on the test rows.

    Args:
        train: training runs, parquet.
        forecasts: a table as `transformertf predict` writes it for the test runs, of evenly
            thinned rows where the data module thins.
        test: the test runs.
    """
    train_x, train_y = filter_windows(train)
    features, targets = [], []
    for path in test:
        own = forecasts.loc[forecasts["series"] == path.stem]
        all_features, all_targets = filter_windows([path])
        rows = np.arange(len(own)) * round(len(all_targets) / len(own))
        np.testing.assert_allclose(own["actual"], all_targets[rows, 0], atol=1e-6)
        features.append(all_features[rows])
        targets.append(all_targets[rows])
    test_x, test_y = np.concatenate(features), np.concatenate(targets)
    ridge = [rmse(Ridge(train_x, train_y, p).predict(test_x), test_y) for p in PENALTIES]
    return {"linear filter": min(ridge), "training mean": rmse(train_y.mean(axis=0), test_y)}


def filter_windows(paths: Sequence[Path]) -> tuple[Array, Array]:
    """Return the last forces (n, 200) and the displacement (n, 1) of every row of the runs."""
    features, targets = [], []
    for path in paths:
        run = pd.read_parquet(path)
        force, target = (run[name].to_numpy(dtype=np.float64) for name in (FORCE, TARGET))
        force = np.concatenate([np.zeros(FILTER_STEPS - 1), force])
        features.append(np.lib.stride_tricks.sliding_window_view(force, FILTER_STEPS))
        targets.append(target[:, None])
    return np.concatenate(features), np.concatenate(targets)


def update(page: str, results: Mapping[str, Sequence[str]], machine: str) -> str:
    """Return the page with new rows; those of other configurations stay, as far as these exist.

    Args:
        page: the page, with what this script wrote between `BEGIN` and `END`.
        results: the cells of new rows, by name of configuration.
        machine: what the new rows were measured on, in words.
    """
    before, _, rest = page.partition(BEGIN)
    written, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the page holds no lines {BEGIN} and {END}")
    rows: dict[str, Sequence[str]] = {}
    for name, line in re.findall(r"^\| `([^`]+)\.yml` (.*) \|$", written, flags=re.MULTILINE):
        rows[name] = [f"`{name}.yml`", *line.removeprefix("| ").split(" | ")]
    rows = {name: row for name, row in (rows | dict(results)).items() if name in names()}
    machines = {machine: list(results)}
    for line, text in re.findall(r"^- ([\w, ]+): (.*)$", written, flags=re.MULTILINE):
        kept = [name for name in line.split(", ") if name in rows and name not in results]
        machines.setdefault(text, []).extend(kept)
    parts = []
    for kind, naive in NAIVE.items():
        own = [rows[name] for name in names() if name in rows and data_of(name) == kind]
        if own:
            parts.append(markdown_table([*HEADER, *naive, "times better"], own))
    lines = (f"- {', '.join(sorted(own))}: {text}" for text, own in machines.items() if own)
    parts.append("\n".join(lines))
    return before + BEGIN + "\n\n" + "\n\n".join(parts) + "\n\n" + END + after


def names() -> list[str]:
    """Return the names of all sample configurations."""
    return sorted(path.stem for path in FOLDER.glob("*.yml"))


def main() -> None:
    """Train, measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="configurations; default: all")
    parser.add_argument("--output", type=Path, default=FOLDER / "README.md", help="page to write")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in names()]
    if unknown:
        parser.exit(2, f"error: no sample config {unknown[0]!r}; there are {', '.join(names())}\n")
    torch.set_num_threads(1)  # as in the configurations
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in arguments.names or names():
        result = measure(name)
        print(
            f"{name}: test RMSE {result.error:.4f} {unit_of(name)}, "
            f"naive {', '.join(f'{error:.4f}' for error in result.naive)}; fit "
            f"{result.seconds:.0f} s, of the processor {result.processor_seconds:.0f} s",
            flush=True,
        )
        page = arguments.output.read_text(encoding="utf-8")
        # after each, so that what is measured is kept
        page = update(page, {name: result.row()}, describe_machine("lightning"))
        arguments.output.write_text(page, encoding="utf-8")
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()

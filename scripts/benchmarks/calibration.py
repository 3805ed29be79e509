"""Measures how often calibrated intervals hold on fresh windows; writes a page of the docs.

A process whose noise grows and shrinks with a known covariate is simulated three times: to train,
to calibrate, and to measure on windows that neither has seen. The page is
`docs/benchmarks/calibration.md`.
"""

import argparse
import contextlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from scripts.benchmarks.benchmarking import describe_machine, markdown_table
from transformertf.cli import main as transformertf

Metrics = dict[str, Any]  # what `evaluate` writes
OUTPUT = Path(__file__).parents[2] / "docs" / "benchmarks" / "calibration.md"
CONTEXT, HORIZON, ROWS = 24, 12, 65
CRITERIA: Mapping[str, Any] = {
    "point (MSELoss)": {"class_path": "MSELoss"},
    "quantiles": {"class_path": "QuantileLoss"},
    "normal distribution": {"class_path": "DistributionLoss"},
}
PAGE = """# Coverage of calibrated intervals

Written by `scripts/benchmarks/calibration.py`. {machine}

An EncoderDecoderLSTM of width 16, trained for {epochs} epochs on {train:,} simulated series of
{rows} rows, {context} + {horizon} steps; calibrated on {calibration:,} other series, one window of
each; measured on {windows:,} windows of as many fresh series. Windows are independent, as theory
wants them. A share of so many has a standard error of at most {error:.1f} points.

{table}

Largest distance from nominal of a calibrated interval: {all:.1f} points over all steps,
{step:.1f} points at a single one.
"""


def simulate(series: int, seed: int) -> pd.DataFrame:
    """Return series of an autoregression whose noise follows a known covariate."""
    generator = np.random.default_rng(seed)
    x = np.abs(np.sin(np.arange(ROWS) / 7 + generator.uniform(0, 7, (series, 1))))
    noise = generator.standard_t(5, (series, ROWS)) * (0.1 + x)
    y = np.zeros((series, ROWS))
    for row in range(1, ROWS):
        y[:, row] = 0.9 * y[:, row - 1] + x[:, row] + noise[:, row]
    unit = np.repeat(np.arange(series), ROWS)
    return pd.DataFrame({"unit": unit, "x": x.ravel(), "y": y.ravel()})


def run(*words: str) -> None:
    """Run a command of transformertf."""
    code = transformertf(words)
    if code:
        raise RuntimeError(f"transformertf {' '.join(words)}: exit code {code}")


def measure(
    criterion: Mapping[str, Any], epochs: int, series: tuple[int, int, int]
) -> list[Metrics]:
    """Return the intervals before and after calibration, with the metrics by step.

    Args:
        criterion: of the model, as class path and arguments.
        epochs: to train.
        series: to train, to calibrate and to measure on.
    """
    config = {
        "model": {
            "class_path": "EncoderDecoderLSTM",
            "init_args": {"d_encoder": 16, "d_decoder": 16, "criterion": dict(criterion)},
        },
        "optimizer": {"class_path": "Adam", "init_args": {"lr": 0.003}},
        "data": {
            "target_covariate": "y",
            "known_covariates": ["x"],
            "series_id": "unit",
            "train_df_paths": "train.parquet",
            "val_df_paths": "calibration.parquet",
            "test_df_paths": "fresh.parquet",
            "ctxt_seq_len": CONTEXT,
            "tgt_seq_len": HORIZON,
        },
        "trainer": {"max_epochs": epochs, "accelerator": "cpu", "enable_progress_bar": False},
    }
    found = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for seed, (name, count) in enumerate(
            zip(("train", "calibration", "fresh"), series, strict=True)
        ):
            simulate(count, seed).to_parquet(f"{name}.parquet")
        Path("model.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        run("fit", "--config", "model.yml")
        path = ["--ckpt_path", "runs/model/version_0/checkpoints/last.ckpt"]
        for _ in range(2):
            run("evaluate", *path, "--origin", "last", "--no-plots", "--output", "evaluation")
            found.append(json.loads(Path("evaluation/metrics.json").read_text(encoding="utf-8")))
            run("calibrate", *path, "--origin", "last")
    return found


def write_page(
    machine: str, found: Mapping[str, list[Metrics]], epochs: int, series: tuple[int, int, int]
) -> str:
    """Return the page.

    Args:
        machine: it, in words.
        found: metrics before and after calibration, by criterion.
        epochs: that were trained.
        series: to train, to calibrate and to measure on.
    """
    rows = []
    everywhere, single = [0.0], [0.0]
    for name, (before, after) in found.items():
        intervals = [key for key in after if key.startswith("coverage_")]
        for key in intervals:
            nominal = 100 * float(key.removeprefix("coverage_"))
            steps = [100 * step[key] for step in after["by_step"]]
            raw = f"{100 * before[key]:.1f} %" if key in before else "-"
            rows.append(
                [name, f"{nominal:.4g} %", raw, f"{100 * after[key]:.1f} %",
                 f"{min(steps):.1f} to {max(steps):.1f} %"]
            )  # fmt: skip
            everywhere.append(abs(100 * after[key] - nominal))
            single.append(max(abs(step - nominal) for step in steps))
    header = ["model", "interval", "before", "calibrated", "by step"]
    return PAGE.format(
        machine=machine,
        epochs=epochs,
        train=series[0],
        calibration=series[1],
        windows=series[2],
        rows=ROWS,
        context=CONTEXT,
        horizon=HORIZON,
        error=100 * 0.5 / series[2] ** 0.5,
        table=markdown_table(header, rows),
        all=max(everywhere),
        step=max(single),
    )


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--series", type=int, nargs=3, default=[1000, 4000, 6000],
                        help="to train, to calibrate and to measure on")  # fmt: skip
    parser.add_argument("--output", type=Path, default=OUTPUT, help="page to write")
    arguments = parser.parse_args()
    output, series = arguments.output.resolve(), tuple(arguments.series)
    found = {
        name: measure(criterion, arguments.epochs, series) for name, criterion in CRITERIA.items()
    }
    page = write_page(describe_machine("lightning"), found, arguments.epochs, series)
    print(page)
    output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

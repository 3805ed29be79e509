"""Measures the ways of `normalize` on data of unlike kinds; writes a page of the docs.

Series of unlike sizes are simulated, with and without shifts of their level; the committed records
are of like sizes; the environment variable EPF_NP names prices whose level moves, where there are
some (`configs/README.md`). Only validation data is looked at.
The page is `docs/benchmarks/normalisation.md`.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from scripts.benchmarks.baselines import Array
from scripts.benchmarks.benchmarking import describe_machine, markdown_table
from transformertf.data import EncoderDecoderDataModule
from transformertf.models import EncoderDecoderLSTM

OUTPUT = Path(__file__).parents[2] / "docs" / "benchmarks" / "normalisation.md"
DATA = Path(__file__).parents[2] / "sample_configs" / "data"
SERIES, ROWS, VALIDATION = 60, 170, 0.2
EARLIER = "`window`, all in one unit"
WAYS: Mapping[str, bool | str] = {
    "`true`": True,
    "`series`": "series",
    EARLIER: "window",
    "`window`": "window",
}
PAGE = """# Ways to normalise

Written by `scripts/benchmarks/normalisation.py`. {machine}

Mean over the series of the MASE on validation data, of the last checkpoint and of the one with the
least `validation/loss`; the scale is the error, on the training rows, of repeating the last season.
Series whose training rows do not vary have no such scale and do not count. The same
EncoderDecoderLSTM of width {width} each time, with the default loss and the same steps; one seed.

{table}

- *sizes*: {series} series whose sizes are log-normal with a sigma of 2; a trend, a week, an
  autoregression, a known covariate; 15 % with many zeros, 3 % constant.
- *shifts*: the same, with levels that jump twice in the mean, in training and after it.
- *records*: the committed records of force and displacement, 50 + 150 steps; the validation series
  are not among those of the training.
- *prices*: Nord Pool, 168 + 24 hours, every sixth origin.

*{earlier}* takes spreads, their floor and the loss in units of all series, as checkpoints from
before the units were those of each series still do.
"""


class Experiment(NamedTuple):
    """Arguments of the data, steps of a season, learning rate, steps of training."""

    data: Mapping[str, Any]
    season: int
    rate: float
    steps: int


def simulate(shifts: bool) -> pd.DataFrame:
    """Return series of unlike sizes, with or without shifts of their level."""
    generator, step = np.random.default_rng(0), np.arange(ROWS)
    tables = []
    for name in range(SERIES):
        size, kind = np.exp(generator.normal(3, 2)), generator.random()
        known = (generator.random(ROWS) < 0.08).astype(float)
        noise = np.zeros(ROWS)
        for row in range(1, ROWS):
            noise[row] = 0.8 * noise[row - 1] + 0.05 * generator.standard_normal()
        week = np.sin(2 * np.pi * (step + generator.integers(7)) / 7)
        y = 1 + generator.normal(0, 0.3) * step / ROWS + noise + 0.4 * known
        y += generator.uniform(0, 0.4) * week
        for _ in range(generator.poisson(2) if shifts else 0):
            y[generator.integers(ROWS) :] *= np.exp(generator.normal(0, 0.8))
        if kind < 0.15:
            y[generator.random(ROWS) > 0.15] = 0.0
        elif kind < 0.18:
            y[:] = 1.0
        turn = 2 * np.pi * step / 7
        tables.append(
            pd.DataFrame({
                "id": f"s{name}", "known": known, "sin": np.sin(turn), "cos": np.cos(turn),
                "y": size * y,
            })
        )  # fmt: skip
    return pd.concat(tables)


def experiments() -> dict[str, Experiment]:
    """Return what there is to fit, by name."""
    panel = {
        "target_covariate": "y",
        "known_covariates": ["known", "sin", "cos"],
        "series_id": "id",
        "val_fraction": VALIDATION,
        "ctxt_seq_len": 28,
        "tgt_seq_len": 14,
    }
    records = {
        "target_covariate": "displacement_mm",
        "known_covariates": ["force_n"],
        "known_past_covariates": ["velocity_mm_s"],
        "time_column": "time_s",
        "train_df_paths": str(DATA / "train" / "*.parquet"),
        "val_df_paths": str(DATA / "validation" / "*.parquet"),
        "ctxt_seq_len": 50,
        "tgt_seq_len": 150,
        "stride": 9,
    }
    found = {
        "sizes": Experiment({**panel, "train_df_paths": simulate(False)}, 7, 8e-3, 400),
        "shifts": Experiment({**panel, "train_df_paths": simulate(True)}, 7, 8e-3, 400),
        "records": Experiment(records, 1, 1e-2, 200),
    }
    if "EPF_NP" in os.environ:
        prices = {
            "target_covariate": "OT",
            "known_covariates": [" Grid load forecast", " Wind power forecast"],
            "time_column": "date",
            "train_df_paths": os.environ["EPF_NP"],
            "val_fraction": 0.1,
            "test_fraction": 0.2,
            "ctxt_seq_len": 168,
            "tgt_seq_len": 24,
            "stride": 6,
        }
        found["prices"] = Experiment(prices, 24, 8e-3, 200)
    return found


def fitted_data(experiment: Experiment, way: str) -> EncoderDecoderDataModule:
    """Return fitted data, normalised in one of the ways."""
    data = EncoderDecoderDataModule(**experiment.data, normalize=WAYS[way])
    data.setup("fit")
    if way == EARLIER:
        state = data.state_dict()
        state["scaling"].update(targets={}, least_spread=None)
        data.load_state_dict(state)
        data.setup("fit")
    return data


def naive_errors(data: EncoderDecoderDataModule, season: int) -> dict[int, float]:
    """Return the mean error of repeating the last season, by place of a validation series."""
    training = {one.name: one for one in data.stage_series("train")}
    share = sum(data.hparams[f"{stage}_fraction"] or 0.0 for stage in ("val", "test"))
    found = {}
    for place, one in enumerate(data.stage_series("validation")):
        y = one.values[:, -1]
        if one.name in training:
            y = y[: len(y) - int(len(y) * share)]
        found[place] = float(np.abs(y[season:] - y[:-season]).mean())
    return found


def mase(module: EncoderDecoderLSTM, data: EncoderDecoderDataModule, season: int) -> float:
    """Return the mean over the series of their MASE on all validation windows."""
    series, errors = [], []
    with torch.inference_mode():
        loader: Any = data.val_dataloader()
        for batch in loader:
            point = module.eval().point_forecast(module(batch, False)["output"])
            found, actual = (
                data.inverse_transform_target(values, batch) for values in (point, batch["target"])
            )
            errors.append((found - actual).abs().mean(dim=(1, 2)))
            series.append(batch["series"])
    scale = pd.Series(naive_errors(data, season))
    own = pd.Series(torch.cat(errors).numpy()).groupby(torch.cat(series).numpy()).mean()
    return float((own / scale)[scale > 0].mean())


def measure(experiment: Experiment, way: str, width: int) -> Array:
    """Return the MASE of the last checkpoint and of the one that `validation/loss` picks."""
    lightning.seed_everything(0, verbose=False)
    data = fitted_data(experiment, way)
    module = EncoderDecoderLSTM(
        data.num_past_known_covariates,
        data.num_future_known_covariates,
        d_encoder=width,
        d_decoder=width,
        dropout=0.0,
        optimizer=partial(torch.optim.Adam, lr=experiment.rate),
        lr_scheduler=partial(
            torch.optim.lr_scheduler.LinearLR,
            start_factor=1.0, end_factor=0.02, total_iters=experiment.steps,
        ),
        lr_scheduler_interval="step",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        best = ModelCheckpoint(folder, monitor="validation/loss")
        trainer = lightning.Trainer(
            accelerator="cpu", logger=False, callbacks=[best], gradient_clip_val=1.0,
            max_epochs=4, limit_train_batches=experiment.steps // 4,
            enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        )  # fmt: skip
        trainer.fit(module, datamodule=data)
        last = mase(module, data, experiment.season)
        # of our own making, and it keeps tables among the arguments
        kept = torch.load(best.best_model_path, weights_only=False)
        module.load_state_dict(kept["state_dict"])
    return np.array([last, mase(module, data, experiment.season)])


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description="Measure the ways of normalize.")
    parser.add_argument("--width", type=int, default=16)
    width = parser.parse_args().width
    torch.set_num_threads(1)
    chosen = experiments()
    rows = []
    for way in WAYS:
        found = {name: measure(one, way, width) for name, one in chosen.items()}
        print(way, found, flush=True)
        rows.append([way, *(" / ".join(f"{value:.2f}" for value in own) for own in found.values())])
    table = markdown_table(["`normalize`", *chosen], rows)
    machine = describe_machine("lightning")
    OUTPUT.write_text(
        PAGE.format(machine=machine, width=width, table=table, series=SERIES, earlier=EARLIER)
    )


if __name__ == "__main__":
    main()

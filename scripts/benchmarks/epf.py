"""Fits both protocols of the price benchmark for several seeds, and prints their test errors.

The environment variable EPF_NP names the file. Each forecast is made with and without the columns
known a day ahead; the errors are computed from the forecasts and the file with NumPy alone, and so
are those of ridge regression and of repeating a day or a week. Evaluations lie under `demo/epf`.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from scripts.benchmarks.baselines import PENALTIES, Array, Ridge, rmse
from scripts.benchmarks.benchmarking import describe_machine, markdown_table
from scripts.benchmarks.fits import command

CONFIGS, OUTPUT = Path(__file__).parents[2] / "configs" / "benchmarks", Path("demo/epf")
CONTEXT, HORIZON, HELD_OUT = 168, 24, 0.1
KNOWN = (" Grid load forecast", " Wind power forecast")
# whether the columns of the future are known, and what that means for a configuration
FUTURE: Mapping[bool, Sequence[str]] = {
    True: (),
    False: (
        "--data.known_covariates", "null", "--data.known_past_covariates", str(list(KNOWN)),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Protocol:
    """What is forecast, and how errors are told.

    Attributes:
        config: the experiment.
        test: share of the hours, at their end, that are the test part.
        every: hours between origins; the first forecast begins with the test part, at midnight.
        standardised: errors are in units of the price's standard deviation in the training part,
            the rows before the `HELD_OUT` ones; if not, in those of the price, and all rows
            before the test part train.
        published: MAE, and MSE where there is one, by the name of the forecast.
    """

    config: Path
    test: float
    every: int
    standardised: bool
    published: Mapping[str, Sequence[float]]

    def parts(self, rows: int) -> tuple[int, int]:
        """Return the first row that is held out to choose by, and the first one of the test."""
        test = rows - int(rows * self.test)
        return test - int(rows * HELD_OUT), test

    def errors(self, forecasts: Array, price: Array) -> dict[str, float]:
        """Return MAE and MSE on the test part.

        Args:
            forecasts: (n, 24) from every hour of the test part that has a whole horizon.
            price: of all rows.
        """
        held_out, test = self.parts(len(price))
        error = (forecasts - sliding_window_view(price[test:], HORIZON))[:: self.every]
        if not self.standardised:
            return {"MAE": float(np.abs(error).mean())}
        error = error / price[:held_out].std()
        return {"MAE": float(np.abs(error).mean()), "MSE": float(np.square(error).mean())}


PROTOCOLS: Mapping[str, Protocol] = {
    "A": Protocol(
        CONFIGS / "epf_np_a.yml", 0.2, 1, True,
        {"PatchTST, as published": (0.284, 0.267), "TimeXer, as published": (0.268, 0.236)},
    ),
    "B": Protocol(
        CONFIGS / "epf_np_b.yml", 1 / 3, 24, False,
        {
            "LEAR ensemble fitted anew each day, as published": (1.738,),
            "DNN ensemble fitted anew each day, as published": (1.683,),
        },
    ),
}  # fmt: skip


def transformertf(*words: str) -> None:
    """Run a command line here, showing it."""
    command(Path.cwd(), *words)


def fit_and_forecast(protocol: Protocol, future: bool, seed: int, words: Sequence[str]) -> Array:
    """Return forecasts (n, 24) from every hour of the test part, of a fit with a seed.

    Args:
        protocol: with the configuration.
        future: whether the columns of the future are known.
        seed: of the fit.
        words: further flags of the fit.
    """
    name = f"{protocol.config.stem}{'' if future else '_past'}_{seed}"
    run, folder = ("--config", str(protocol.config), "-n", name), OUTPUT / name
    OUTPUT.mkdir(parents=True, exist_ok=True)
    transformertf("fit", *run, "--seed_everything", str(seed), *FUTURE[future], *words)
    transformertf("evaluate", *run, "--ckpt_path", "last", *FUTURE[future], "--origin", "all",
                  "--no-plots", "--output", str(folder))  # fmt: skip
    table = pd.read_parquet(folder / "forecasts.parquet")
    forecasts: Array = (
        table.sort_values(["origin", "step"])["prediction"].to_numpy().reshape(-1, HORIZON)
    )
    return forecasts


def ridge_forecasts(table: pd.DataFrame, protocol: Protocol, future: bool) -> Array:
    """Return forecasts (n, 24) of ridge regression from every hour of the test part.

    Features: a week of all three columns and, where they are known, the two known ones over the
    day ahead. The penalty is the one that does best on the rows that are held out.

    Args:
        table: the two known columns and the price, in this order.
        protocol: says where the test part begins, and whether held-out rows train in the end.
        future: whether the columns of the future are known.
    """
    held_out, test = protocol.parts(len(table))
    columns = [sliding_window_view(table[name].to_numpy(float), CONTEXT) for name in table]
    ahead = [sliding_window_view(table[name].to_numpy(float), HORIZON) for name in table]
    target = ahead[-1][CONTEXT:]
    known = [column[CONTEXT:] for column in ahead[:-1]] if future else []
    features = np.concatenate([*(column[: len(target)] for column in columns), *known], axis=1)
    # a window's place is that of its context's first row
    train, fitted = (
        slice(end - CONTEXT - HORIZON + 1)
        for end in (held_out, held_out if protocol.standardised else test)
    )
    chosen = slice(held_out - CONTEXT, test - CONTEXT - HORIZON + 1)
    models = [Ridge(features[train], target[train], penalty) for penalty in PENALTIES]
    errors = [rmse(model.predict(features[chosen]), target[chosen]) for model in models]
    penalty = PENALTIES[int(np.argmin(errors))]
    return Ridge(features[fitted], target[fitted], penalty).predict(features[test - CONTEXT :])


def naive_forecasts(price: Array, test: int, lag: int) -> Array:
    """Return forecasts (n, 24) that repeat the 24 hours that began `lag` hours before."""
    return sliding_window_view(price[test - lag : len(price) - lag], HORIZON)


def mean_and_spread(found: Sequence[float]) -> str:
    """Return the mean, with the standard deviation where there are several."""
    spread = f" ± {np.std(found, ddof=1):.3f}" if len(found) > 1 else ""
    return f"{np.mean(found):.3f}{spread}"


def measure(
    protocol: Protocol, source: Path, seeds: Sequence[int], words: Sequence[str] = ()
) -> str:
    """Return a table in Markdown: forecasts, and their errors on the test part.

    Args:
        protocol: what is forecast.
        source: the price file.
        seeds: a fit for each of them, with the columns of the future and without.
        words: further flags of the fits.
    """
    table = pd.read_csv(source, index_col="date")
    price = table.iloc[:, -1].to_numpy(float)
    _, test = protocol.parts(len(price))
    forecasts = {
        f"repeat the last {name}": [naive_forecasts(price, test, lag)]
        for name, lag in (("week", CONTEXT), ("day", HORIZON))
    }
    for future, name in ((False, "past only"), (True, "with the future columns")):
        forecasts[f"ridge regression, {name}"] = [ridge_forecasts(table, protocol, future)]
        forecasts[f"**`{protocol.config.name}`, {name}**"] = [
            fit_and_forecast(protocol, future, seed, words) for seed in seeds
        ]
    errors = {
        name: pd.DataFrame([protocol.errors(one, price) for one in found])
        for name, found in forecasts.items()
    }
    header = ["forecast", *next(iter(errors.values()))]
    rows = [[name, *(mean_and_spread(own[key].tolist()) for key in own)]
            for name, own in errors.items()]  # fmt: skip
    published = [[name, *map("{:.3f}".format, own)] for name, own in protocol.published.items()]
    return markdown_table(header, [*published, *rows])


def main() -> None:
    """Run the protocols and print their tables."""
    parser = argparse.ArgumentParser(description="Measure forecasts of Nord Pool's prices.")
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    parser.add_argument("--seeds", type=int, default=3, help="how many; they count from 1")
    options = parser.parse_args()
    seeds = range(1, options.seeds + 1)
    source = Path(os.environ["EPF_NP"])
    tables = {name: measure(PROTOCOLS[name], source, seeds) for name in options.protocols}
    print(f"\n{describe_machine('lightning')} Seeds {[*seeds]}.")
    for name, table in tables.items():
        print(f"\nProtocol {name}\n\n{table}")


if __name__ == "__main__":
    main()

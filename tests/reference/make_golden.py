"""Records what other libraries give, for the suite to compare with where they are not installed.

    make peers
    .venv-peers/bin/python -m tests.reference.make_golden

Writes `golden/pytorch_forecasting.npz`, weights, inputs and outputs of tiny transformers, and
`golden/metrics.npz`, a table of forecasts and its scores, each with the versions that made it.
"""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch

from tests.reference.golden import Array, frame_to_arrays, save, weights_to_arrays
from tests.reference.metrics import (
    LEVELS,
    QUANTILES,
    History,
    darts_scores,
    utilsforecast_scores,
    with_actuals,
)
from tests.reference.temporal_fusion import (
    LENGTHS,
    RECORDED,
    Lengths,
    Names,
    input_gradients,
    make_inputs,
    make_theirs,
    recorded_names,
    run_theirs,
)


def record_transformers() -> dict[str, Array]:
    """Return weights, inputs, outputs and gradients of pytorch-forecasting's transformers."""
    arrays = {}
    for case, arguments in RECORDED.items():
        model = make_theirs(**arguments)
        weights = weights_to_arrays(model.state_dict())
        arrays.update({f"{case}/weights/{name}": array for name, array in weights.items()})
        for which, lengths in LENGTHS.items():
            run = record_run(model, recorded_names(case), lengths)
            arrays.update({f"{case}/{which}/{name}": array for name, array in run.items()})
    return arrays


def record_run(model: torch.nn.Module, names: Names, lengths: Lengths) -> dict[str, Array]:
    """Return inputs, outputs and gradients of a run of their model."""
    inputs = make_inputs(names, lengths)
    outputs = run_theirs(model, names, inputs, lengths)
    gradients = input_gradients(run_theirs, model, names, inputs, lengths)
    tensors = {
        **{f"input/{place}": part for place, part in enumerate(inputs)},
        **{f"output/{name}": output for name, output in outputs.items()},
        **{f"gradient/{place}": part for place, part in enumerate(gradients)},
    }
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def make_history() -> History:
    """Return the training rows of each series, of unlike lengths and levels."""
    generator = np.random.default_rng(1)
    return {
        name: generator.normal(level, 1 + level / 9, rows)
        for name, level, rows in [("a", 0.0, 30), ("b", 50.0, 45), ("c", -4.0, 20), ("d", 7.0, 61)]
    }


def make_table(history: History) -> pd.DataFrame:
    """Return forecasts of several origins, with horizons that end early and unknown actuals."""
    generator = np.random.default_rng(2)
    windows = []
    for name, values in history.items():
        for origin in range(int(generator.integers(2, 9))):
            steps = int(generator.integers(1, 7))
            actual = generator.normal(values.mean(), values.std(), steps)
            actual[generator.random(steps) < 0.15] = np.nan
            quantiles = np.sort(generator.normal(values.mean(), 2, (steps, len(LEVELS))), axis=1)
            window = pd.DataFrame(quantiles, columns=QUANTILES)
            places: dict[str, Any] = {
                "series": name,
                "origin": origin,
                "step": 1 + np.arange(steps),
            }
            windows.append(window.assign(**places, prediction=window["q0.5"], actual=actual))
    return pd.concat(windows, ignore_index=True)


def record_metrics() -> dict[str, Array]:
    """Return history and forecasts of series, and what utilsforecast and darts say of them."""
    history = make_history()
    table = make_table(history)
    known = with_actuals(table)
    frames = {"table": table}
    frames |= {f"utilsforecast/{k}": v for k, v in utilsforecast_scores(known, history).items()}
    frames |= {f"darts/{k}": v for k, v in darts_scores(known, history).items()}
    arrays: dict[str, Array] = {f"history/{name}": values for name, values in history.items()}
    for place, frame in frames.items():
        columns = frame_to_arrays(frame)
        arrays.update({f"{place}/{name}": array for name, array in columns.items()})
    return arrays


def main() -> None:
    """Write both files, and say how large they are."""
    warnings.simplefilter("ignore")  # of what the peers do
    paths = [
        save("pytorch_forecasting", record_transformers(), ["pytorch-forecasting"]),
        save("metrics", record_metrics(), ["utilsforecast", "darts"]),
    ]
    for path in paths:
        print(f"{path.name}: {path.stat().st_size / 1000:.1f} kB")


if __name__ == "__main__":
    main()

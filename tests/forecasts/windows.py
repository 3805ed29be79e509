"""Fitted data modules and small models to roll on, for the tests of this folder."""

from typing import Any

import numpy as np
import pandas as pd

from tests.data.units import CONTEXT, HORIZON, make_units
from tests.models.by_equation import shaken
from transformertf.data import EncoderDecoderDataModule
from transformertf.models import EncoderDecoderLSTM, ForecastModule
from transformertf.nn import QuantileLoss

LEVELS = (0.1, 0.5, 0.9)
OPTIONS: dict[str, Any] = {
    "target_covariate": "y",
    "known_covariates": "set",
    "series_id": "unit",
    "time_column": "time",
    "max_gap": "4h",
    "ctxt_seq_len": CONTEXT,
    "tgt_seq_len": HORIZON,
    "dtype": "float64",
    "train_df_paths": "units.parquet",
}


def make_frame(holes: bool = False) -> pd.DataFrame:
    """Return the units; with holes about every third value of the moving columns is missing."""
    frame = make_units().drop(columns=["current", "alarm"])
    if holes:
        generator = np.random.default_rng(3)
        for name in ("set", "mode", "y"):
            frame.loc[generator.uniform(size=len(frame)) < 0.3, name] = None
    return frame


def fitted(frame: pd.DataFrame, **options: Any) -> EncoderDecoderDataModule:
    """Return a data module that is fitted to a frame, and forecasts it."""
    frame.to_parquet("units.parquet")
    data = EncoderDecoderDataModule(**{**OPTIONS, **options})
    data.setup("fit")
    data.stages.give("predict_df_paths", frame)
    return data


def make_model(
    data: EncoderDecoderDataModule, kind: Any = EncoderDecoderLSTM, **options: Any
) -> ForecastModule:
    """Return a small model in double precision whose weights are far from zero."""
    if kind is EncoderDecoderLSTM:
        options = {"d_encoder": 4, "d_decoder": 4, **options}
    model: ForecastModule = shaken(
        kind(
            num_past_features=data.num_past_known_covariates,
            num_future_features=data.num_future_known_covariates,
            num_static_features=data.num_static_features,
            static_category_sizes=data.static_category_sizes,
            past_category_sizes=data.past_category_sizes,
            future_category_sizes=data.future_category_sizes,
            **{"criterion": QuantileLoss(LEVELS), **options},
        )
    )
    return model.double().eval()

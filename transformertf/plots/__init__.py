"""Figures of fits and forecasts; need the extra `plot` (matplotlib).

Each is a function of frames and returns a figure, which nothing shows or writes by itself.
"""

from transformertf.plots.forecasts import forecast_figure
from transformertf.plots.interpretation import attention_figure, importance_figure
from transformertf.plots.scores import (
    calibration_figure,
    comparison_figure,
    horizon_figure,
    loss_figure,
    residual_figure,
    series_figure,
)
from transformertf.plots.style import can_plot

__all__ = [
    "attention_figure",
    "calibration_figure",
    "can_plot",
    "comparison_figure",
    "forecast_figure",
    "horizon_figure",
    "importance_figure",
    "loss_figure",
    "residual_figure",
    "series_figure",
]

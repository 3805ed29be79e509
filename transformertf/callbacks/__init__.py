"""What hangs on the trainer: random states in checkpoints, forecasts to a file, loss curves."""

from transformertf.callbacks.forecast_writer import ForecastWriter
from transformertf.callbacks.loss_curve import LossCurve
from transformertf.callbacks.random_state import RandomState

__all__ = ["ForecastWriter", "LossCurve", "RandomState"]

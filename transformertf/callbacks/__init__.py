"""What hangs on the trainer: random states, forecasts to a file, figures, Ctrl-C."""

from transformertf.callbacks.forecast_plots import ForecastPlots
from transformertf.callbacks.forecast_writer import ForecastWriter
from transformertf.callbacks.interruption import Interruption
from transformertf.callbacks.loss_curve import LossCurve
from transformertf.callbacks.random_state import RandomState

__all__ = ["ForecastPlots", "ForecastWriter", "Interruption", "LossCurve", "RandomState"]

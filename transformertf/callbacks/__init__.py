"""What hangs on the trainer: checkpoints, signals, forecasts to a file, figures."""

from transformertf.callbacks.averaging import AVERAGING, AveragedWeights
from transformertf.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from transformertf.callbacks.forecast_plots import ForecastPlots
from transformertf.callbacks.forecast_writer import ForecastWriter
from transformertf.callbacks.hyperparameters import Hyperparameters
from transformertf.callbacks.interruption import Interruption
from transformertf.callbacks.loss_curve import LossCurve
from transformertf.callbacks.resumption import Resumption
from transformertf.callbacks.run_record import MADE_WITH, RunRecord, State
from transformertf.callbacks.step_loss import StepLoss
from transformertf.callbacks.validation_clock import ValidationClock

__all__ = [
    "AVERAGING",
    "MADE_WITH",
    "AveragedWeights",
    "BestCheckpoint",
    "ForecastPlots",
    "ForecastWriter",
    "Hyperparameters",
    "Interruption",
    "LastCheckpoint",
    "LossCurve",
    "Resumption",
    "RunRecord",
    "State",
    "StepLoss",
    "ValidationClock",
]

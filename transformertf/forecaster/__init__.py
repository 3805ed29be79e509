"""The Python door: fits, forecasts, judges and asks what if, of files and of frames.

`forecaster` is the door; `keywords` makes a configuration of what it is given for a fit, which
`transformertf.cli` trains from.
"""

from transformertf.forecaster.forecaster import Forecaster

__all__ = ["Forecaster"]

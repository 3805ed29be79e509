"""Exported forecasters, run with NumPy and onnxruntime alone: no torch, no pandas.

    from transformertf.exported import load

    forecasts = load("model.onnx").predict(rows)

    rows -> series -> windows -> session -> forecast table

`transformertf export` makes the files.
"""

from transformertf.exported.forecaster import Exported, load
from transformertf.exported.session import CARD, FORMAT, Session, Window, feed

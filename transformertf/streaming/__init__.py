"""Forecasts of a series that grows: new rows in, forecasts out, the past kept as a state."""

from transformertf.streaming.stream import Stream

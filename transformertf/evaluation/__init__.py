"""Forecasts against what happened: scores, calibration, and what a model looked at."""

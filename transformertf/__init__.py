"""Forecasting of long, ragged, covariate-driven time series.

The way of the data, and of this package from the bottom layer to the top:

    parquet/csv -> frames -> transforms -> windows -> batch -> model -> loss
        -> predictions -> parquet, metrics, plots

`transformertf.data` makes batches of files, `transformertf.models` makes forecasts of
batches, and the two share only `transformertf.batch` and `transformertf.utils.sequence`.
`transformertf.cli` drives both from YAML.
"""

__version__ = "0.1.0"

"""Outputs of a model to tables of forecasts, in original units and real time.

    Outputs -> ForecastRows -> table -> parquet

`rows` goes from outputs to a table, `calibration` moves quantiles to where past errors say they
belong, `continuation` and `paths` go beyond the trained horizon, `baselines` need no model,
`tables` puts all this together, `sinks` are where tables go, and `told` says which rows they are
of.
"""

from transformertf.forecasts.baselines import context_mean
from transformertf.forecasts.calibration import LEVELS, Calibration
from transformertf.forecasts.rows import (
    ForecastRows,
    check_columns,
    check_levels,
    forecast_frame,
    known_rows,
    quantile_column,
    session_table,
    table_levels,
)
from transformertf.forecasts.sinks import ForecastFile, ForecastFrames, Sink
from transformertf.forecasts.tables import (
    NAIVE,
    ForecastTables,
    Horizon,
    baseline_forecasts,
    calibration_of,
    calibration_origin,
    naive_scales,
    sample_paths,
)
from transformertf.forecasts.told import calibrated_rows, remarks, scored_rows

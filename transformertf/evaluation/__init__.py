"""Forecasts against what happened: scores, importance, and the page that shows them."""

from transformertf.evaluation.comparison import (
    SUFFIXES,
    Comparison,
    compare_tables,
    read_forecasts,
)
from transformertf.evaluation.folder import (
    COMPARISON_PAGE,
    FORECASTS,
    METRICS,
    REPORT,
    open_folder,
    write_comparison,
    write_metrics,
    write_report,
)
from transformertf.evaluation.importance import variables_of
from transformertf.evaluation.naive import naive_errors, season_of, usual_season
from transformertf.evaluation.report import (
    evaluate_pieces,
    forecast_picture,
    look_inside,
    make_sections,
)
from transformertf.evaluation.results import Evaluation, html_table, read_pieces

"""Forecasts against what happened: scores, importance, and the page that shows them."""

from transformertf.evaluation.folder import (
    FORECASTS,
    METRICS,
    REPORT,
    open_folder,
    write_metrics,
    write_report,
)
from transformertf.evaluation.importance import variables_of
from transformertf.evaluation.report import evaluate_pieces, look_inside, make_sections
from transformertf.evaluation.results import Evaluation, html_table, read_pieces

"""Forecasts of a stage against what happened, from Python."""

from contextlib import nullcontext
from pathlib import Path

from transformertf.data import Stage, WindowDataModule
from transformertf.data.windows import OriginLike, origin_text
from transformertf.evaluation import (
    FORECASTS,
    Evaluation,
    evaluate_pieces,
    make_sections,
    open_folder,
    usual_season,
    write_metrics,
    write_report,
)
from transformertf.forecaster.trained import TURN, Trained
from transformertf.forecasts import Calibration, ForecastFile, Horizon, scored_rows
from transformertf.plots import can_plot


def judge(
    trained: Trained,
    module: WindowDataModule,
    stage: Stage,
    origin: OriginLike,
    season: int | None,
    horizon: Horizon,
    calibration: Calibration | None,
    folder: Path | None,
) -> Evaluation:
    """Score forecasts; see `Forecaster.evaluate`.

    Args:
        trained: what forecasts.
        module: has the data.
        stage: whose data that is.
        origin: rows after which forecasts start.
        season: rows of a season; what the rate suggests if not given.
        horizon: how far forecasts go.
        calibration: moves their quantiles.
        folder: takes what the command leaves; None to leave nothing.
    """
    opened = nullcontext() if folder is None else open_folder(folder, "folder")
    with opened as place:
        file = None if place is None else ForecastFile(place / FORECASTS, "folder")
        origin = origin_text(origin)
        module.forecast_on(stage, origin)
        if season is None:
            season = usual_season(module.stage_series(stage))
        pieces = trained.run(module, horizon, scored_rows, calibration, season)
        settings = {
            "stage": stage,
            "origin": origin,
            "horizon": horizon.steps,
            "samples": horizon.samples,
            "lead": horizon.lead or None,
        }
        evaluation = evaluate_pieces(pieces, module, season, settings)
        if place is not None and file is not None:
            with file:
                for piece in pieces:
                    file.write(piece)
            write_metrics(place, evaluation)
            if can_plot():
                with TURN:
                    sections = make_sections(evaluation, trained.model, module)
                write_report(place, evaluation, sections)
    return evaluation

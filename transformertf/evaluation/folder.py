"""The folder of an evaluation: what is written to it, and what is there that must stay."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from transformertf.checkpoint import check_folder_of, sweep, whole_file, write_text
from transformertf.errors import InputError
from transformertf.evaluation.comparison import Comparison
from transformertf.evaluation.page import GENERATOR, Section, report_html
from transformertf.evaluation.report import COVARIATES
from transformertf.evaluation.results import Evaluation

FORECASTS, REPORT, METRICS, PLOTS = "forecasts.parquet", "report.html", "metrics.json", "plots"
COMPARISON, COMPARISON_PAGE = "comparison.json", "comparison.html"
TABLES = ("by_step", "by_series")
# of all pictures that there can be
_NAMES = (
    *("forecasts", "horizon", "calibration", "series", "importance", "attention"),
    *(f"residuals_{number}" for number in range(1, COVARIATES + 1)),
)
_SOFTWARE = "Software"  # the key that PNG has for it
# bytes of a page or a picture in which it says what made it
_HEAD = 1000


@contextlib.contextmanager
def open_folder(path: Path, flag: str) -> Iterator[Path]:
    """Make a folder for results; one that is new and stays empty is taken away after an error.

    Args:
        path: the folder.
        flag: what named it, for messages.

    Raises:
        InputError: something else is in its place, nobody may write to it, the folder it would lie
            in is not there, or it holds a file by a name of ours that no evaluation wrote.
    """
    if os.path.lexists(path) and not path.is_dir():
        raise InputError(f"{flag} {path}: expected a folder, found something else")
    is_new = not path.exists()
    if is_new:
        check_folder_of(path, flag)
        path.mkdir(exist_ok=True)  # another process may just have made it
    else:
        check_folder_of(path / METRICS, flag)
        check_others(path, flag)
    try:
        yield path
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):  # it is not empty, or gone
                path.rmdir()
        raise


def check_others(folder: Path, flag: str) -> None:
    """Refuse to write where a file of ours would replace what no evaluation wrote.

    Raises:
        InputError: names the file.
    """
    plots = folder / PLOTS
    others = [plots] if plots.is_symlink() or (plots.exists() and not plots.is_dir()) else []
    for name, is_ours in _OURS.items():
        path = folder / name
        if os.path.lexists(path) and (path.is_symlink() or not path.is_file() or not is_ours(path)):
            others.append(path)
    if others:
        raise InputError(
            f"{flag} {folder}: {others[0].relative_to(folder)} in it was not written by an "
            "evaluation, and would be replaced; move it, or give another folder"
        )


def write_metrics(folder: Path, evaluation: Evaluation) -> None:
    """Write metrics and tables to a folder.

    Pictures and page of an earlier evaluation are taken away, other files stay.

    Raises:
        InputError: as `check_others`.
    """
    check_others(folder, "evaluation")
    for own in (folder, folder / PLOTS):  # what was killed may have written more than this one
        sweep(own)
    write_text(folder / METRICS, evaluation.as_json())
    for name in TABLES:
        table: pd.DataFrame = getattr(evaluation, name)
        with whole_file(folder / f"{name}.parquet") as file:
            table.to_parquet(file)
    for old in [folder / REPORT, *(folder / PLOTS / f"{name}.png" for name in _NAMES)]:
        old.unlink(missing_ok=True)


def write_report(folder: Path, evaluation: Evaluation, sections: Mapping[str, Section]) -> None:
    """Write pictures, and the page that shows them with the metrics, to a folder."""
    pictures = folder / PLOTS
    pictures.mkdir(exist_ok=True)
    for name, section in sections.items():
        if section.figure is not None:
            with whole_file(pictures / f"{name}.png") as file:
                made_by = {_SOFTWARE: GENERATOR}
                section.figure.savefig(file, format="png", dpi=100, metadata=made_by)
    title = f"Evaluation of {evaluation.settings['target']} forecasts"
    write_text(folder / REPORT, report_html(title, list(sections.values())))


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write the tables of a comparison, and the page that shows them, to a folder.

    Raises:
        InputError: as `check_others`.
    """
    check_others(folder, "comparison")
    text = json.dumps(comparison.as_dict(), indent=2, allow_nan=False, ensure_ascii=False)
    write_text(folder / COMPARISON, text + "\n")
    title = f"Comparison of {', '.join(comparison.scores.index)}"
    write_text(folder / COMPARISON_PAGE, report_html(title, comparison.sections()))


def _is_comparison(path: Path) -> bool:
    return _has_keys(path, "scores", "pairs", "windows")


def _is_metrics(path: Path) -> bool:
    return _has_keys(path, *TABLES, "reliability", "settings")


def _has_keys(path: Path, *names: str) -> bool:
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, OSError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() >= {*names}


def _has_columns(*names: str) -> Callable[[Path], bool]:
    def look(path: Path) -> bool:
        try:
            return {*names} <= {*pyarrow.parquet.read_schema(path).names}
        except (pa.ArrowException, OSError):
            return False

    return look


def _holds(mark: str) -> Callable[[Path], bool]:
    def look(path: Path) -> bool:
        with path.open("rb") as file:
            return mark.encode() in file.read(_HEAD)

    return look


_OURS: dict[str, Callable[[Path], bool]] = {
    METRICS: _is_metrics,
    "by_step.parquet": _has_columns("windows", "MAE", "RMSE"),
    "by_series.parquet": _has_columns("series", "MAE", "RMSE"),
    REPORT: _holds(f'<meta name="generator" content="{GENERATOR}">'),
    COMPARISON: _is_comparison,
    COMPARISON_PAGE: _holds(f'<meta name="generator" content="{GENERATOR}">'),
    **{f"{PLOTS}/{name}.png": _holds(f"{_SOFTWARE}\0{GENERATOR}") for name in _NAMES},
}

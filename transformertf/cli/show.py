"""The command that says what a checkpoint holds."""

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from transformertf.callbacks import MADE_WITH
from transformertf.checkpoint import Checkpoint, blamed
from transformertf.cli import runs
from transformertf.cli.experiment import require_checkpoint
from transformertf.cli.tables import show as show_table
from transformertf.errors import InputError

# arguments of the data that say which column is what
ROLES = (
    "target_covariate", "known_covariates", "known_past_covariates", "static_covariates",
    "categorical_covariates", "calendar_features", "target_lags", "weight_covariate", "series_id",
    "time_column",
)  # fmt: skip
LENGTHS = ("ctxt_seq_len", "tgt_seq_len", "seq_len", "downsample", "normalize")


def show(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print a card of a checkpoint's model, data and training."""
    if flags:
        raise InputError(f"show: unknown argument {flags[0]!r}; known: CHECKPOINT, -n, --json")
    checkpoint = require_checkpoint(options)
    with blamed(checkpoint.place):
        card = card_of(checkpoint)
    if options.json:
        print(json.dumps(card, indent=2, ensure_ascii=False, default=str))
        return
    show_table(("", ""), _lines(card))


def card_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what a checkpoint says of itself; what it does not say is left out.

    Returns:
        Primitives by name, in groups: the file, the model, the data, how it was trained and with
        what.
    """
    data, model, state = checkpoint.data, checkpoint.model, checkpoint.data_state
    arguments = data["init_args"]
    folder = runs.folder_of(checkpoint.path)
    card: dict[str, Any] = {
        "file": str(checkpoint.path),
        "run": None if folder is None else f"{folder.parent.name}/{folder.name}",
        "model": model["class_path"].rpartition(".")[2],
        "parameters": _numbers(checkpoint.content["state_dict"]),
        "arguments": model["init_args"],
        "data": data["class_path"].rpartition(".")[2],
        "columns": {name: arguments[name] for name in ROLES if arguments.get(name)},
        "windows": {name: arguments[name] for name in LENGTHS if arguments.get(name) is not None},
        "ranges": state.get("ranges"),
        "trained_on": _trained_on(state.get("content")),
        "epochs": checkpoint.epochs,
        "steps": checkpoint.steps,
        "best": _best(checkpoint),
        "calibrated": _calibrated(checkpoint),
        "made_with": {
            "transformertf": checkpoint.content.get("transformertf_version"),
            **(checkpoint.content.get(MADE_WITH) or {}),
        },
    }
    return {name: value for name, value in card.items() if value not in (None, {})}


def _numbers(weights: Mapping[str, torch.Tensor]) -> int:
    """Return how many numbers a network has learned or been given."""
    return sum(one.numel() for one in weights.values() if one.is_floating_point())


def _trained_on(content: Mapping[str, int] | None) -> dict[str, Any] | None:
    """Return series, rows and one check sum of their values and times."""
    if content is None:
        return None
    sums = (content[name] for name in ("values", "time"))
    counts = {name: content[name] for name in ("series", "rows")}
    return {**counts, "check_sum": "-".join(f"{number:08x}" for number in sums)}


def _best(checkpoint: Checkpoint) -> dict[str, float] | None:
    """Return what was measured with the best checkpoint up to this one."""
    for state in checkpoint.content.get("callbacks", {}).values():
        if isinstance(state, dict) and state.get("best_metrics"):
            return {name: float(value) for name, value in state["best_metrics"].items()}
    return None


def _calibrated(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """Return levels of a calibration, and what share its intervals are made to hold."""
    state = checkpoint.calibration
    if state is None:
        return None
    levels = [float(level) for level in state["levels"]]
    return {
        "levels": levels,
        "coverage": [
            round(level - other, 10)
            for level, other in zip(levels[::-1], levels, strict=True)
            if level > other and math.isclose(level + other, 1)
        ],
        "series": state["series"],
    }


def _lines(node: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Return what is shown, a line for each value, groups below their name."""
    for name, value in node.items():
        if isinstance(value, dict) and not above:
            yield name, ""
            yield from _lines(value, "  ")
        elif value not in (None, []):
            yield f"{above}{name}", _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"

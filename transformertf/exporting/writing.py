"""A trained forecaster to one file, proven before it is there."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transformertf.checkpoint import check_folder_of, refuse_link, whole_file
from transformertf.data import EncoderDecoderDataModule, WindowDataModule
from transformertf.errors import InputError
from transformertf.exported import CARD, FORMAT, Session, feed
from transformertf.exporting.graph import Graph
from transformertf.exporting.proof import Proof, draw, exported_windows, prove
from transformertf.exporting.refusals import refuse
from transformertf.exporting.tracing import BATCH, CONTEXT, HORIZON, OPSET, trace
from transformertf.models import ForecastModule
from transformertf.version import __version__

# what the extra brings, and is imported by name nowhere else
_NEEDS = ("onnx", "onnxscript", "onnxruntime")
ENDING = ".onnx"


def check_target(path: Path, flag: str = "--output") -> None:
    """Refuse to export where that cannot be done.

    Args:
        path: the file to write.
        flag: what named it, for messages.

    Raises:
        InputError: a package lacks, or the file cannot be written there.
    """
    lacking = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if lacking:
        raise InputError(f"export wants {', '.join(lacking)}: pip install 'transformertf[export]'")
    if path.suffix != ENDING:
        raise InputError(f"{flag} {path}: expected a name that ends in {ENDING}")
    if path.is_dir():
        raise InputError(f"{flag} {path}: expected a file, found a folder")
    refuse_link(path, flag)
    check_folder_of(path, flag)


def export(
    model: ForecastModule,
    data: WindowDataModule,
    path: Path,
    *,
    checkpoint: dict[str, Any] | None = None,
    calibrated: bool = False,
) -> Proof:
    """Write a forecaster to an ONNX file, and return how far that is from it.

    Args:
        model: trained.
        data: fitted.
        path: the file; what is there is replaced by a whole one only.
        checkpoint: what the file is to say of where both are from.
        calibrated: whether the checkpoint moves intervals.

    Raises:
        InputError: there is something that has no place in the file, or the graph is not what the
            model is.
    """
    check_target(path)
    windows = refuse(model, data, calibrated)
    model = model.cpu().eval()
    graph = Graph(model, windows).eval()
    card = _card(graph, model, windows, checkpoint or {})
    onnx = trace(graph, _example(card, windows))
    _describe(onnx, card)
    proof = prove(Session(onnx.SerializeToString(), str(path)), model, windows)
    _describe(onnx, {**card, "proof": proof._asdict()})
    with whole_file(path) as file:
        file.write(onnx.SerializeToString())
    return proof


def _example(card: dict[str, Any], data: EncoderDecoderDataModule) -> dict[str, torch.Tensor]:
    """Return inputs to trace with."""
    windows = [*draw(np.random.default_rng(0), data, BATCH, CONTEXT, HORIZON)]
    inputs = feed(card, [*exported_windows(data, windows)])
    return {name: torch.from_numpy(values) for name, values in inputs.items()}


def _card(
    graph: Graph,
    model: ForecastModule,
    data: EncoderDecoderDataModule,
    checkpoint: dict[str, Any],
) -> dict[str, Any]:
    """Return what the file says of its forecaster, primitives."""
    columns, limits = data.columns, data.limits
    ranges = data.fitted.ranges
    return {
        "format": FORMAT,
        "version": __version__,
        "opset": OPSET,
        "model": type(model).__name__,
        "checkpoint": checkpoint,
        "inputs": graph.inputs,
        "columns": {
            "values": columns.values,
            "known": columns.known,
            "past": columns.past,
            "target": columns.target,
            "time": columns.time,
            "ids": columns.ids,
            "static": columns.static,
            "known_categories": columns.known_categories,
            "past_categories": columns.past_categories,
            "static_categories": columns.static_categories,
        },
        "time_kind": data.scaling.time_kind,
        "vocabularies": data.vocabularies.state_dict(),
        "series": {name: row for row, name in enumerate(data.scaling.names, start=1)},
        "limits": {
            "context": limits.context,
            "horizon": limits.horizon,
            "min_context": limits.min_context,
            "min_horizon": limits.min_horizon,
        },
        "levels": model.quantiles,
        "ranges": None if ranges is None else ranges.state_dict(),
    }


def _describe(onnx: Any, card: dict[str, Any]) -> None:
    """Have an ONNX model say what it is."""
    del onnx.metadata_props[:]
    onnx.metadata_props.add(key=CARD, value=json.dumps(card, ensure_ascii=False))
    onnx.producer_name, onnx.producer_version = "transformertf", __version__

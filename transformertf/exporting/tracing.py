"""A graph of torch to one of ONNX."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch.export._patches import (
    register_gru_while_loop_decomposition,
    register_lstm_while_loop_decomposition,
)
from torch.fx.experimental import _config as fx_config

from transformertf.exporting.graph import Graph, Tensors

OPSET = 20
# sizes that are traced with: unlike each other, and no 1, which would be taken for a constant
BATCH, CONTEXT, HORIZON = 3, 7, 5


def trace(graph: Graph, inputs: Tensors) -> Any:
    """Return the ONNX model of a graph, whose batch, context and horizon are of any size.

    Args:
        graph: in evaluation mode.
        inputs: of `BATCH`, `CONTEXT` and `HORIZON`.
    """
    # a batch or a horizon of one is no other graph, as the proof shows
    sizes = {name: torch.export.Dim(name, min=2) for name in ("batch", "context", "horizon")}
    shapes = {
        name: {place: sizes[size] for place, size in enumerate(_axes(name))} for name in inputs
    }
    with (
        torch.no_grad(),
        quietly(),
        register_lstm_while_loop_decomposition(),
        register_gru_while_loop_decomposition(),
        fx_config.patch(backed_size_oblivious=True),  # type: ignore[attr-defined]
    ):
        # not by the exporter itself: what fails it tries again with sizes taken for constants
        exported = torch.export.export(
            graph, (), {"inputs": inputs}, dynamic_shapes={"inputs": shapes}, strict=False
        )
        program = torch.onnx.export(
            exported,
            input_names=list(inputs),
            output_names=graph.outputs,
            dynamo=True,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _free(model)
    return model


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep from users what the exporter says of itself."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _axes(name: str) -> tuple[str, ...]:
    """Return the axes of an input, or of an output, that can be of any size."""
    if name in ("static", "static_categories", "statistics") or name.endswith("_lengths"):
        return ("batch",)
    return ("batch", "context" if name.startswith("past") else "horizon")


def _free(model: Any) -> None:
    """Have an ONNX model declare no size that is the trace's alone.

    Recurrences are declared with the steps that they were traced with, and a runtime warns of all
    others.
    """
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        for axis, size in zip(value.type.tensor_type.shape.dim, _axes(value.name), strict=False):
            axis.dim_param = size

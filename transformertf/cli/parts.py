"""The parts of a model and their parameters, as lines."""

from collections.abc import Iterator

import torch

from transformertf.models import ForecastModule
from transformertf.wording import table

# parameters that a processor alone trains in a time that one waits for
MANY = 1_000_000


def model_lines(model: ForecastModule) -> list[str]:
    """Return a table of a model's parts that have parameters, and the sum.

    Those that do not train are told where there are any; what two parts share counts in the first.
    """
    rows, seen = [], set[int]()
    for name, part in _parts(model):
        own = [one for one in part.parameters() if id(one) not in seen]
        seen.update(map(id, own))
        if own:
            rows.append((name, type(part).__name__, own))
    rows.append((type(model).__name__, "", [*model.parameters()]))
    frozen = any(not one.requires_grad for one in model.parameters())
    cells = [("part", "kind", "parameters", "trained")]
    for name, kind, own in rows:
        cells.append((name, kind, _count(own), _count(one for one in own if one.requires_grad)))
    return table([row if frozen else row[:3] for row in cells])


def _parts(model: ForecastModule) -> Iterator[tuple[str, torch.nn.Module]]:
    """Give the parts of the network by name, then the network itself, then what is beside it."""
    yield from model.model.named_children()
    yield from model.named_children()


def _count(parameters: Iterator[torch.nn.Parameter] | list[torch.nn.Parameter]) -> str:
    return f"{sum(one.numel() for one in parameters):,}"


def parameters_of(model: ForecastModule) -> tuple[int, int]:
    """Return how many parameters a model has, and how many of them train."""
    counts = [(one.numel(), one.requires_grad) for one in model.parameters()]
    return sum(n for n, _ in counts), sum(n for n, trains in counts if trains)


def size_remark(model: ForecastModule, device: torch.device) -> str | None:
    """Return what to do where a processor alone has many parameters to train; None elsewhere."""
    _, count = parameters_of(model)
    if device.type != "cpu" or count <= MANY:
        return None
    widths = {
        name: value for name, value in model.hparams.items()
        if name.startswith("d_") and isinstance(value, int) and value > 64
    }  # fmt: skip
    told = ", ".join(f"model.{name} ({value} now)" for name, value in widths.items())
    advice = f"; lower {told}, such as to 32" if told else ""
    return f"{count / 1e6:.1f} million parameters to train on a CPU: steps are slow{advice}"

"""Draw the rooms of the package from its code: sizes, imports between rooms, what each hands on.

    python -m scripts.docs.architecture            writes docs/images/architecture.png
    python -m scripts.docs.architecture --count    prints how many imports run upward

The order of the rooms is that of the layers in pyproject.toml, which import-linter holds.
"""

import argparse
import itertools
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import grimp
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "images" / "architecture.png"
PACKAGE = "transformertf"
# of the rooms with rooms inside
WITHIN = ("data", "models")
# Okabe and Ito's, lightened
GROUND, DATA, MODEL, AFTER, DOOR = "#eeeeee", "#d6e8f5", "#d5efe6", "#fbe9cf", "#f5dfeb"
WIDTH, HEIGHT = 2.6, 0.78


class Room(NamedTuple):
    """Where a room is drawn, its colour, and the type it hands on."""

    x: float
    y: float
    colour: str
    gives: str = ""


# data flows upward, on the left to a batch, on the right from it, and both meet in forecasts
ROOMS = {
    "errors": Room(0, 0, GROUND, "what users read"),
    "version": Room(1, 0, GROUND, "of the package"),
    "class_paths": Room(2, 0, GROUND, "what may be named"),
    "processes": Room(1, 2, GROUND, "of a run"),
    "places": Room(1, 3, GROUND, "locks, own folders"),
    "wording": Room(1, 4, GROUND, "as people read it"),
    "stage": Room(2, 3, GROUND, "train, validation, test"),
    "batch": Room(0, 1, GROUND, "Batch, its checker"),
    "utils": Room(1, 1, GROUND, "lengths, masks"),
    "reach": Room(2, 1, GROUND, "what may be reached"),
    "checkpoint": Room(2, 2, GROUND, "one file, a forecaster"),
    "data.transform": Room(0, 2, DATA, "of single columns"),
    "data.reading": Room(0, 3, DATA, "Table, Panel, Series"),
    "data.windows": Room(0, 4, DATA, "Part, Windows, Request"),
    "data.scaling": Room(0, 5, DATA, "ScaledRows"),
    "data.batches": Room(0, 6, DATA, "Batch"),
    "data": Room(0, 7, DATA, "data modules"),
    "nn": Room(2, 4, MODEL, "layers, losses"),
    "models.common": Room(2, 5, MODEL, "of the base"),
    "models": Room(2, 6, MODEL, "Outputs"),
    "forecasts": Room(1, 8, AFTER, "forecast table, parquet"),
    "exported": Room(2, 3, GROUND, "runs without torch"),
    "exporting": Room(1, 9, AFTER, "one ONNX file"),
    "plots": Room(0, 9, AFTER, "figures"),
    "streaming": Room(2, 9, AFTER, "row by row"),
    "evaluation": Room(0.5, 10, AFTER, "scores, the report"),
    "proposal": Room(1, 5, DOOR, "YAML for new data"),
    "callbacks": Room(1.5, 10, AFTER, "what hangs on a fit"),
    "forecaster": Room(1, 12, DOOR, "the Python door"),
    "cli": Room(1, 11, DOOR, "YAML, commands, runs"),
}
# the way of the data, which is drawn over the imports
FLOW = (
    "data.reading", "data.windows", "data.scaling", "data.batches", "models", "forecasts",
    "evaluation",
)  # fmt: skip


def room_of(module: str) -> str:
    """Return the room that a module lies in; "" for the package itself and what starts it."""
    parts = module.split(".")[1:]
    if parts and parts[0] in WITHIN and ".".join(parts[:2]) in ROOMS:
        return ".".join(parts[:2])
    return parts[0] if parts and parts[0] in ROOMS else ""


def imports() -> Counter[tuple[str, str]]:
    """Return how many imports lead from each room to each other one."""
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=True)
    return Counter(
        (room_of(module), room_of(target))
        for module in graph.modules
        for target in graph.find_modules_directly_imported_by(module)
        if room_of(module) and room_of(module) != room_of(target)
    )


def layers() -> dict[str, tuple[int, ...]]:
    """Return the height of each module or room named in import-linter's layers.

    Of what lies in a room that has layers itself, first the room's height, then that within it.
    """
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contracts: list[dict[str, Any]] = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    found: dict[str, tuple[int, ...]] = {PACKAGE: ()}
    for contract in contracts:
        if contract["type"] == "layers":
            (within,) = contract.get("containers", [PACKAGE])
            for height, layer in enumerate(reversed(contract["layers"])):
                for name in layer.split(" | "):
                    full = f"{within}.{name.removeprefix(f'{PACKAGE}.')}"
                    found[full] = (*found[within], height)
    return found


def upward() -> list[tuple[str, str]]:
    """Return the imports that do not run downward, from one named in the layers to another."""
    heights = layers()

    def named(module: str) -> str:
        while module not in heights:
            module = module.rpartition(".")[0]
        return module

    found = []
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=True)
    for module in sorted(graph.modules):
        for target in sorted(graph.find_modules_directly_imported_by(module)):
            one, other = named(module), named(target)
            # the door of a room stands above what is in it, and what starts the package above all
            inside = other.startswith(f"{one}.")
            if one != other and not inside and heights[one] <= heights[other]:
                found.append((module, target))
    return found


def size(room: str) -> str:
    """Return how many files and lines a room has."""
    place = ROOT / PACKAGE / Path(*room.split("."))
    files = list(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    modules = [(file, ".".join(file.relative_to(ROOT).with_suffix("").parts)) for file in files]
    own = [file for file, module in modules if room_of(module) == room]
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in own)
    return f"{len(own)} files, {lines} lines" if len(own) > 1 else f"{lines} lines"


def draw() -> Figure:
    """Return the picture."""
    figure = Figure(figsize=(10, 14), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set(xlim=(-0.1, 10.6), ylim=(-0.3, 13.6))
    for (user, used), count in imports().items():
        if ROOMS[used].colour != GROUND:
            _arrow(axes, used, user, "0.75", 0.4 + 0.08 * min(count, 12), "-", 1)
    for one, following in itertools.pairwise(FLOW):
        _arrow(axes, one, following, "#0072B2", 2.2, "-|>", 3)
    for name, room in ROOMS.items():
        _box(axes, name, room)
    axes.text(
        0,
        13.35,
        "The rooms of transformertf; what each hands on, in italics. Blue: the way of the data.\n"
        "Thin lines: imports, which all run down; those of the ground, used by all, are left out.",
        va="center",
        fontsize=9,
    )
    return figure


def _corner(room: Room) -> tuple[float, float]:
    return room.x * 3.6, room.y * 1.03


def _box(axes: Axes, name: str, room: Room) -> None:
    x, y = _corner(room)
    style = "round,pad=0.02,rounding_size=0.08"
    box = FancyBboxPatch(
        (x, y),
        WIDTH,
        HEIGHT,
        style,
        facecolor=room.colour,
        edgecolor="0.35",
        linewidth=0.8,
        zorder=4,
    )
    axes.add_patch(box)
    middle = x + WIDTH / 2
    lines: tuple[tuple[str, float, dict[str, Any]], ...] = (
        (name, 0.76, {"fontweight": "bold", "fontsize": 10}),
        (room.gives, 0.46, {"fontstyle": "italic", "fontsize": 8.5}),
        (size(name), 0.18, {"fontsize": 7.5, "color": "0.35"}),
    )
    for text, height, options in lines:
        axes.text(middle, y + height * HEIGHT, text, ha="center", va="center", zorder=5, **options)


def _arrow(
    axes: Axes, lower: str, upper: str, colour: str, width: float, style: str, order: int
) -> None:
    (x, y), (other, top) = _corner(ROOMS[lower]), _corner(ROOMS[upper])
    side = abs(y - top) < HEIGHT
    ends = (
        ((x + WIDTH, y + HEIGHT / 2), (other, top + HEIGHT / 2))
        if side
        else ((x + WIDTH / 2, y + HEIGHT), (other + WIDTH / 2, top))
    )
    arrow = FancyArrowPatch(
        *ends,
        arrowstyle=style,
        mutation_scale=14,
        color=colour,
        linewidth=width,
        zorder=order,
        connectionstyle="arc3,rad=0.12" if order == 1 and x == other else "arc3,rad=0",
    )
    axes.add_patch(arrow)


def main() -> None:
    """Draw, or count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", action="store_true", help="print the imports that run upward")
    if parser.parse_args().count:
        found = upward()
        print(f"{len(found)} imports run upward", *(f"{one} -> {other}" for one, other in found))
        return
    draw().savefig(PICTURE, dpi=110)
    print(PICTURE.relative_to(ROOT))


if __name__ == "__main__":
    main()

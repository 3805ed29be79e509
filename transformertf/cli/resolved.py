"""The command that prints a configuration as a fit would take it, and where each value is from."""

import argparse
import enum
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from transformertf.cli.config import Composer, named
from transformertf.cli.experiment import find_checkpoint, make_composer
from transformertf.cli.interpolation import part_of
from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.cli.yaml_file import NULL, YamlFile

Path = tuple[str, ...]

# longer lines push their source away
COLUMN = 60
# where a key of the resolved configuration was given, if not at the same place
GIVEN_AT = {
    ("model", "init_args", "optimizer"): ("optimizer",),
    ("model", "init_args", "lr_scheduler"): ("lr_scheduler",),
    ("model", "init_args", "lr_scheduler_interval"): ("lr_scheduler", "interval"),
    ("model", "init_args", "lr_scheduler_monitor"): ("lr_scheduler", "monitor"),
}
# a column and its transforms, which have no defaults
TRANSFORMS = ("data", "init_args", "extra_transforms")
DEFAULT = "default"


class _Not(enum.Enum):
    """Why a source has no say in a value: it gives none, or a list that has none there."""

    GIVEN = enum.auto()
    IN_THE_LIST = enum.auto()


def config(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print the resolved configuration; with `--explain`, the source of each value beside it."""
    checkpoint = find_checkpoint(options)
    composer = make_composer(options, flags, checkpoint)
    if checkpoint is not None:
        composer.go_on(checkpoint)
    cli = ForecastCLI(composer, writes_run=True)
    text = yaml.safe_dump(cli.resolved(), sort_keys=False, width=float("inf"), allow_unicode=True)
    print(
        "\n".join(explained(text, composer, options.config)) if options.explain else text.rstrip()
    )


def explained(text: str, composer: Composer, files: Sequence[YamlFile]) -> Iterator[str]:
    """Yield the lines of a resolved configuration, each value with its source in a comment.

    Args:
        text: the configuration, as YAML in blocks.
        composer: has its sources.
        files: those of them that are files.
    """
    told = _Sources(composer, files)
    sources = {
        value.end_mark.line: told.of(path, value.tag == NULL)
        for value, path in _values(yaml.compose(text, Loader=yaml.SafeLoader), ())
    }
    for number, line in enumerate(text.splitlines()):
        yield f"{line:<{COLUMN}}  # {sources[number]}" if number in sources else line


class _Sources:
    """Names what gave a value.

    Args:
        composer: has the sources.
        files: those of them that are files.
    """

    def __init__(self, composer: Composer, files: Sequence[YamlFile]) -> None:
        self._sources = composer.sources
        self._roots = {named(file.path): file.root() for file in files}

    def of(self, path: Path, is_null: bool) -> str:
        """Return file and line, flag or checkpoint; "default" where nothing was given.

        Args:
            path: of a value of the resolved configuration.
            is_null: it is null.
        """
        return next((told for at in _places(path) if (told := self._at(at, is_null))), DEFAULT)

    def _at(self, path: Path, is_null: bool) -> str | None:
        for name, tree in reversed(self._sources):
            found = _found(tree, path)
            if found is _Not.GIVEN:
                continue
            # null leaves an argument out that takes none
            if found is _Not.IN_THE_LIST or (found is None and not is_null):
                return None
            if name in self._roots:
                return _place(name, self._roots[name], path)
            return name if name.startswith("--") else f"checkpoint {name}"
        return None


def _values(node: yaml.Node | None, path: Path) -> Iterator[tuple[yaml.Node, Path]]:
    """Yield each value of a configuration, and its path."""
    if isinstance(node, yaml.MappingNode) and node.value:
        for key, value in node.value:
            yield from _values(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode) and node.value:
        for number, value in enumerate(node.value):
            yield from _values(value, (*path, str(number)))
    elif node is not None:
        yield node, path


def _places(path: Path) -> Iterator[Path]:
    """Yield where a value of the resolved configuration can be given, what wins before the rest."""
    for resolved, given in GIVEN_AT.items():
        if path[: len(resolved)] == resolved:
            yield (*given, *path[len(resolved) :])
    yield path[: len(TRANSFORMS) + 1] if path[: len(TRANSFORMS)] == TRANSFORMS else path


def _found(tree: Any, path: Path) -> Any:
    """Return what a source gives for a value."""
    node, in_list = tree, False
    for part in path:
        in_list = in_list or isinstance(node, list)
        below = part_of(node, part)
        if below is None and not (isinstance(node, dict) and part in node):
            return _Not.IN_THE_LIST if in_list else _Not.GIVEN
        node = below
    return node


def _place(name: str, root: yaml.Node | None, path: Path) -> str:
    """Return file and line of a value, and the interpolation that it is given by."""
    if path[0] in ("optimizer", "lr_scheduler") and _below(root, path[0]) is None:
        path = ("model", "init_args", *path)  # where it may be given, too
    node, line = root, 0
    for part in path:
        below = _below(node, part)
        if below is not None:
            key, node = below
            line = key.start_mark.line
    raw = str(node.value) if isinstance(node, yaml.ScalarNode) else ""
    return f"{name}:{line + 1}{f' = {raw}' if '${' in raw else ''}"


def _below(node: yaml.Node | None, part: str) -> tuple[yaml.Node, yaml.Node] | None:
    """Return key and value of an item; None of a short form, which leaves `init_args` out."""
    if isinstance(node, yaml.SequenceNode):
        item = node.value[int(part)] if part.isdigit() and int(part) < len(node.value) else None
        return None if item is None else (item, item)
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in reversed(node.value):
        if key.value == part:
            return key, value
    merged = [value for key, value in node.value if key.value == "<<"]
    parts = [one for value in merged for one in _each(value)]
    return next((found for one in parts if (found := _below(one, part)) is not None), None)


def _each(node: yaml.Node) -> list[yaml.Node]:
    return list(node.value) if isinstance(node, yaml.SequenceNode) else [node]

"""Data paths in the sources of a configuration: where they start, and what expands in them."""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from transformertf.data.reading import matches

FUNCTION = "DiscreteFunctionTransform"


def from_file(tree: dict[str, Any], folder: Path) -> None:
    """Let data paths start at the folder of their YAML where only that exists; variables expand."""
    _change(tree, partial(_found, folder=folder))


def from_flags(tree: dict[str, Any]) -> None:
    """Let `~` and environment variables in data paths expand."""
    _change(tree, _expanded)


def from_checkpoint(tree: dict[str, Any]) -> None:
    """Let nothing expand: what a fit was given has expanded when it was given."""
    _change(tree, _as_written)


def _change(tree: dict[str, Any], change: Callable[[str], str]) -> None:
    arguments = tree.get("data", {}).get("init_args", {})
    _change_functions(arguments.get("extra_transforms"), change)
    for key, spec in arguments.items():
        if key.endswith("_df_paths") and isinstance(spec, str):
            arguments[key] = change(spec)
        elif key.endswith("_df_paths") and isinstance(spec, list):
            arguments[key] = [change(str(path)) for path in spec]


def _change_functions(specs: Any, change: Callable[[str], str]) -> None:
    """Do the same for the files of functions among transforms."""
    if isinstance(specs, list):
        for spec in specs:
            _change_functions(spec, change)
    if not isinstance(specs, dict):
        return
    whole = str(specs.get("class_path", "")).endswith(FUNCTION)
    for key, spec in specs.items():
        if str(key).endswith(FUNCTION) or (whole and key == "init_args"):
            if isinstance(spec, dict) and isinstance(spec.get("x"), str):
                spec["x"] = change(spec["x"])
        else:
            _change_functions(spec, change)


def _expanded(path: str) -> str:
    expanded = os.path.expanduser(os.path.expandvars(path))
    # a variable that is not set, or an interpolation, is told of where files are looked for
    return path if "$" in expanded else expanded


def _found(path: str, folder: Path) -> str:
    expanded = _expanded(path)
    beside = os.path.join(folder, expanded)
    return beside if not matches(expanded) and matches(beside) else expanded


def _as_written(path: str) -> str:
    # as a glob it means the same characters
    same = _expanded(path) == path
    return path if same else re.sub(r"\$|^~", lambda found: f"[{found[0]}]", path)

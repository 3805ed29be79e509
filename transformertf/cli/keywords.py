"""Keyword arguments of a call from Python: the configuration that they are, and their frames."""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import pyarrow as pa

from transformertf.cli.classes import BARE_NAMES, arguments_of, data_module_for, import_class
from transformertf.cli.config import NAMING, TOP_LEVEL, Composer, Tree
from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.cli.synonyms import meant_by
from transformertf.data import as_list
from transformertf.data.reading import as_frame, is_frame
from transformertf.errors import InputError, nearest

# what a call says in fewer letters, and the argument of the data module
ROLES = {
    "target": "target_covariate",
    "known": "known_covariates",
    "past": "known_past_covariates",
    "static": "static_covariates",
    "categorical": "categorical_covariates",
    "time": "time_column",
    "context": "ctxt_seq_len",
    "horizon": "tgt_seq_len",
}
# likewise of the run
RUN = {"epochs": ("trainer", "max_epochs"), "seed": ("seed_everything",)}
# arguments that take files, or a frame
FILES = "_df_paths"
# stands for a frame until it has a file
FRAME = "the frame"
SECTIONS = ("data", "model", "trainer")
# where a run keeps one, the stem of which names its series as that of a frame to forecast
KEPT_AS = "frame.parquet"
KEPT = re.compile(rf"\S*version_\d+\S*{re.escape(KEPT_AS)}")


def tree_of(
    keywords: Mapping[str, Any], where: str, before: Composer
) -> tuple[Tree, dict[str, pd.DataFrame]]:
    """Return the configuration that keywords mean, and the frames among them by their argument.

    A keyword is a key at the top of a configuration, an argument of the data module, of the model
    or of the trainer, or one of `ROLES` and `RUN`.

    Args:
        keywords: as they were given; None where nothing is.
        where: names the call, for messages.
        before: has what the keywords are put over: a model and data module that they do not name.

    Raises:
        InputError: a keyword that nothing takes, or a value that YAML cannot say.
    """
    given = {name: _plain(value, f"{where}: {name}") for name, value in keywords.items()
             if not is_frame(value)}  # fmt: skip
    tree: Tree = {name: given.pop(name) for name in TOP_LEVEL if given.get(name) is not None}
    taken = _taken(tree, before)
    frames: dict[str, pd.DataFrame] = {}
    for name in keywords:
        if name in tree or keywords[name] is None:
            continue
        path = _place(name, taken, where)
        if is_frame(keywords[name]):
            frames[path[-1]] = as_frame(keywords[name], path[-1])
        _put(tree, path, given.get(name, FRAME), f"{where}: {name}")
    return tree, frames


def check_frames(keywords: Mapping[str, Any], where: str) -> None:
    """Refuse frames where none is taken, and columns that are the index of one.

    Args:
        keywords: by the names of the arguments; none of them None.
        where: names the call, for messages.

    Raises:
        InputError: names the keyword, or the column.
    """
    for name, value in keywords.items():
        if not is_frame(value):
            continue
        if not name.endswith(FILES):
            raise InputError(f"{where}: {name} takes no frame; what takes rows is named *{FILES}")
        frame = as_frame(value, name)
        index = {str(level) for level in frame.index.names} - {str(one) for one in frame.columns}
        for role in NAMING:
            for column in as_list(keywords.get(role)):
                if column in index:
                    raise InputError(
                        f"{FRAME}: no column {column!r}, which is its index; give "
                        "frame.reset_index()"
                    )


def _taken(tree: Tree, before: Composer) -> dict[str, Collection[str]]:
    """Return what data module, model and trainer take by name."""
    model = _named(tree.get("model")) or before.class_of("model")
    if model is None:
        raise InputError("config: no model.class_path; give a model, as model='TFT'")
    model_class = import_class(model, "model.class_path")
    data = _named(tree.get("data")) or before.class_of("data")
    data = data or BARE_NAMES[data_module_for(model_class)]
    classes = (import_class(data, "data.class_path"), model_class, lightning.Trainer)
    return {
        section: arguments_of(cls) or () for section, cls in zip(SECTIONS, classes, strict=True)
    }


def _named(value: Any) -> str | None:
    """Return the path of the class that a section names."""
    name = value.get("class_path") if isinstance(value, dict) else value
    return None if name is None else BARE_NAMES.get(name, name)


def _place(name: str, taken: Mapping[str, Collection[str]], where: str) -> tuple[str, ...]:
    """Return the keys under which the value of a keyword stands."""
    if name in RUN:
        return RUN[name]
    argument = ROLES.get(name, name)
    for section in SECTIONS:
        if argument in taken[section]:
            return (section, argument) if section == "trainer" else (section, "init_args", argument)
    known = {*TOP_LEVEL, *ROLES, *RUN, *(one for names in taken.values() for one in names)}
    meant = meant_by(name, {section: tuple(taken[section]) for section in SECTIONS})
    # a keyword has no section
    hint = meant and re.sub(rf"\b({'|'.join(SECTIONS)})\.", "", meant)
    raise InputError(f"{where}: no argument {name!r}; {hint or nearest(name, known - {name})}")


def _put(tree: Tree, path: Iterable[str], value: Any, place: str) -> None:
    """Put a value under keys; a section that is a word names its class."""
    *parents, leaf = path
    node = tree
    for key in parents:
        if isinstance(node.get(key), str):
            node[key] = {"class_path": node[key]}
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise InputError(f"{place} stands in {key}, which is {node!r:.60}; give a dictionary")
    node[leaf] = value


def _plain(value: Any, place: str) -> Any:
    """Return what YAML can say of a value.

    Raises:
        InputError: nothing.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple | set | pd.Index | np.ndarray):
        return [_plain(item, place) for item in value]
    raise InputError(
        f"{place}: {type(value).__name__} is an object that no configuration can keep; name its "
        "class, as {'class_path': 'EarlyStopping', 'init_args': {'monitor': 'validation/loss'}}"
    )


def keep_frames(cli: ForecastCLI, folder: Path, frames: Mapping[str, pd.DataFrame]) -> None:
    """Write frames into a run folder, and have the configuration name their files.

    Args:
        cli: composed, not built.
        folder: of the run.
        frames: by the argument of the data module.

    Raises:
        InputError: what no file can hold.
    """
    for argument, frame in frames.items():
        path = folder / "data" / argument.removesuffix(FILES) / KEPT_AS
        path.parent.mkdir(parents=True)
        try:
            named = frame.set_axis([str(name) for name in frame.columns], axis="columns")
            named.to_parquet(path, index=False)
        except (pa.ArrowException, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{argument}: the frame cannot be kept ({reason:.300})") from error
        cli.config[f"data.init_args.{argument}"] = str(path)

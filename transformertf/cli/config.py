"""From YAML files, a checkpoint and flags to one resolved configuration.

Files merge from left to right, flags come last, and `${...}` is resolved after the merge.
Bare names of this package's classes become full paths, so that `MSELoss` means ours.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from transformertf.callbacks import AVERAGING
from transformertf.checkpoint import TRAINING, Checkpoint
from transformertf.class_paths import refuse_foreign
from transformertf.cli import paths
from transformertf.cli.classes import (
    BARE_NAMES,
    arguments_of,
    data_module_for,
    import_class,
    keys_of_sections,
    never_null,
    refuse_other_batches,
)
from transformertf.cli.interpolation import as_text, part_of, resolve
from transformertf.cli.synonyms import meant_by, misplaced
from transformertf.cli.yaml_file import RENAME, YamlFile, quote_names
from transformertf.data import ARGUMENTS, Csv, Rescaled
from transformertf.errors import InputError, nearest

Tree = dict[str, Any]

TOP_LEVEL = (
    "seed_everything",
    "num_threads",
    "checkpoint_every",
    "ema",
    "trainer",
    "model",
    "data",
    "optimizer",
    "lr_scheduler",
)
# not keys, but what a misspelt flag may have meant, and what other tools have as keys
COMMAND_OPTIONS = ("ckpt_path", "config", "name", "origin", "output", "transfer-ckpt", "verbose")
OPTION_KEYS = {
    **{name.replace("-", "_"): f"--{name}" for name in COMMAND_OPTIONS},
    "experiment_name": "--name",
}
# their values name something, and are text whatever YAML would read
NAMING = (*(name for name, row in ARGUMENTS.items() if row.names is not None), RENAME, "from")
# of csv files, what is a character, or as good as text
WRITTEN = ("sep", "decimal", "thousands", "comment", "encoding")
DEFAULT_OPTIMIZER = "Adam"
# an option of one letter, which a command would have taken were it one of its own
_LETTER = re.compile(r"-[A-Za-z]")


@dataclass
class Composer:
    """Collects the sources of a configuration, then composes them.

    Attributes:
        sources: (name, tree) in the order of their precedence, the last one wins.
        pipes: YAML that was read from none of the files that stay.
    """

    sources: list[tuple[str, Tree]] = field(default_factory=list)
    pipes: list[Path] = field(default_factory=list)

    def add_tree(self, name: str, tree: Tree) -> None:
        """Add a tree that a command makes."""
        self.sources.append((name, _shape(tree, name)))

    def add_checkpoint(self, path: Path, tree: Tree) -> None:
        """Add what a checkpoint says of itself: nothing in it is resolved or expands."""
        shaped = as_text(_shape(tree, str(path)))
        paths.from_checkpoint(shaped)
        self.sources.append((_named(path), shaped))

    def add_file(self, file: YamlFile) -> None:
        """Add a YAML file.

        Raises:
            InputError: not a mapping in YAML.
        """
        tree = _shape(file.tree(NAMING), str(file.path))
        paths.from_file(tree, file.path.parent)
        self.sources.append((_named(file.path), tree))
        if not file.path.is_file():
            self.pipes.append(file.path)

    def refuse_pipes(self) -> None:
        """Refuse a configuration that no further process can read.

        Raises:
            InputError: names the first pipe.
        """
        for path in self.pipes:
            raise InputError(
                f"--config {path}: a pipe is read once, and each process of trainer.devices reads "
                "it; write it to a file, and give that"
            )

    def add_flags(self, flags: Sequence[str]) -> None:
        """Add what is left of the command line: `--a.b value`, `--a.b=value`, `--a.b v1 v2`.

        Raises:
            InputError: a word that belongs to no flag, or a flag without a value.
        """
        for key, values in _split_flags(flags):
            try:
                self._add_flag(key, values)
            except RecursionError as error:
                raise InputError(f"--{key:.60}: nests too deep; write it flat") from error

    def _add_flag(self, key: str, values: list[str]) -> None:
        parsed = [_parse_value(key, value) for value in values]
        tree: Tree = {}
        node = tree
        *parents, leaf = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = parsed[0] if len(parsed) == 1 else parsed
        shaped = _shape(tree, f"--{key}")
        paths.from_flags(shaped)
        self.sources.append((f"--{key}", shaped))

    def go_on(self, checkpoint: Checkpoint) -> None:
        """Let a checkpoint say what the sources leave unsaid of how weights train."""
        tree: Tree = dict(checkpoint.training)
        if AVERAGING in checkpoint.content:
            tree["ema"] = checkpoint.content[AVERAGING]["decay"]
        if tree.get("lr_scheduler") is not None:
            own = checkpoint.model["init_args"]
            names = ("lr_scheduler_interval", "lr_scheduler_monitor")
            tree["model"] = {"init_args": {name: own[name] for name in names if name in own}}
        shaped = as_text(_shape(tree, str(checkpoint.path)))
        self.sources.insert(0, (_named(checkpoint.path), shaped))

    def compose(self) -> Tree:
        """Return the merged, resolved and checked configuration.

        Raises:
            InputError: an unknown key or class, or an interpolation that leads nowhere.
        """
        merged: Tree = {}
        for _, source in self.sources:
            merged = _merge(merged, source, "")
        tree = resolve(merged, self.where)
        refuse_foreign(tree, "")  # what was put together
        self._refuse_options(tree)
        self._check_keys(tree, "", TOP_LEVEL)
        self._check_keys(tree.get("trainer", {}), "trainer", arguments_of(lightning.Trainer))
        _leave_out_nulls(tree.get("trainer", {}), lightning.Trainer)
        if "optimizer" in tree:
            tree["optimizer"].setdefault("class_path", BARE_NAMES[DEFAULT_OPTIMIZER])
        for section in ("model", "lr_scheduler"):
            if "class_path" not in tree.get(section, {}) and (
                section in tree or section == "model"
            ):
                raise InputError(
                    f"config: no {section}.class_path; name the class in --config FILE"
                )
        model = import_class(tree["model"]["class_path"], "model.class_path")
        own = BARE_NAMES[data_module_for(model)]
        data = tree.setdefault("data", {}).setdefault("class_path", own)
        # else the arguments of the class that fits are told as unknown
        refuse_other_batches(model, import_class(data, "data.class_path"))
        for section in ("model", "data"):
            tree[section].setdefault("init_args", {})
        _name_criterion(tree["model"]["init_args"])
        self._check_classes(tree, "")
        _give_optimizer(tree)
        arguments = tree["data"]["init_args"]
        self._check_reading(arguments)
        if "extra_transforms" in arguments:
            arguments["extra_transforms"] = _shorten(arguments["extra_transforms"])
        return tree

    def _check_classes(self, node: Any, path: str) -> None:
        """Check every class of the tree: that it exists, and that it takes its arguments."""
        if isinstance(node, list):
            for index, item in enumerate(node):
                self._check_classes(item, f"{path}.{index}")
        if not isinstance(node, dict):
            return
        if isinstance(node.get("class_path"), str):
            cls = import_class(node["class_path"], f"{path}.class_path")
            extra = ("interval", "monitor") if path == "lr_scheduler" else ()
            self._check_keys(node, path, ("class_path", "init_args", *extra))
            known, arguments = arguments_of(cls), node.get("init_args") or {}
            if not isinstance(arguments, dict):
                place = f"{path}.init_args{self.where(f'{path}.init_args')}"
                raise InputError(f"{place}: expected keys and values, found {arguments!r:.60}")
            if known is not None:
                self._check_keys(arguments, f"{path}.init_args", known)
            _leave_out_nulls(arguments, cls)
        for key, value in node.items():
            self._check_classes(value, f"{path}.{key}".lstrip("."))

    def _check_reading(self, arguments: Tree) -> None:
        """Check the keys of what says how files are read."""
        prefix = "data.init_args"
        known: dict[str, tuple[Any, type]] = {f"{prefix}.csv": (arguments.get("csv"), Csv)}
        if isinstance(renames := arguments.get("rename"), dict):
            known |= {f"{prefix}.rename.{new}": (how, Rescaled) for new, how in renames.items()}
        for path, (given, kind) in known.items():
            if isinstance(given, dict):
                self._check_keys(given, path, list(kind.__annotations__))

    def _check_keys(self, tree: Tree, prefix: str, known: Sequence[str] | None) -> None:
        for key in tree:
            if known is not None and key not in known:
                path = f"{prefix}.{key}" if prefix else key
                # a misspelt option of the command is left over as a flag
                options = () if prefix or not self.is_typed(path) else COMMAND_OPTIONS
                sections = keys_of_sections() | {prefix.partition(".")[0]: known}
                hint = meant_by(key, sections) or nearest(key, [*known, *options])
                raise InputError(f"unknown key {path!r}{self.where(path)}; {hint}")

    def _refuse_options(self, tree: Tree) -> None:
        """Refuse what only a command can be told: a configuration is that of every run."""
        for key in tree:
            option = OPTION_KEYS.get(key.replace("-", "_"))
            if option is not None and not self.is_typed(key):
                raise InputError(
                    f"{key}{self.where(key)}: an option of the command and no key of a "
                    f"configuration; leave it out, and give {option} on the command line"
                )

    def where(self, path: str) -> str:
        """Return the source that set a key, for messages."""
        if path.startswith(tuple(f"model.init_args.{key}" for key in TRAINING)):
            path = path.removeprefix("model.init_args.")
        for name, tree in reversed(self.sources):
            node: Any = tree
            for part in path.split("."):
                node = part_of(node, part)
            if node is not None:
                return f" in {name}"
        return ""

    def is_typed(self, path: str) -> bool:
        """Whether a key is of the command line, and not of a file or a checkpoint."""
        return self.where(path).startswith(" in --")


def _named(path: Path) -> str:
    """Return the name of a file as a source; what begins with dashes is a flag."""
    return os.path.join(os.curdir, path) if str(path).startswith("-") else str(path)


def _shape(tree: Tree, source: str) -> Tree:
    """Bring shorthands to `class_path` and `init_args`, and bare names to full ones.

    Raises:
        InputError: a section is no mapping, or a class is of a package that is not allowed.
    """
    shaped = {key: value for key, value in _qualify(tree).items() if value is not None}
    for section in ("model", "data", "optimizer", "lr_scheduler"):
        if section in shaped:
            shaped[section] = _shape_class(shaped[section], section, source)
    _require_mapping(shaped.get("trainer", {}), "trainer", source)
    for key in ("callbacks", "logger"):
        if key in shaped.get("trainer", {}):
            shaped["trainer"][key] = _shape_words(shaped["trainer"][key])
    _lift_optimizer(shaped, source)
    arguments = shaped.get("model", {}).get("init_args", {})
    if arguments.get("criterion") is not None:
        arguments["criterion"] = _shape_class(arguments["criterion"], "model.criterion", source)
    refuse_foreign(shaped, "", f" in {source}")
    return shaped


def _shape_class(value: Any, section: str, source: str) -> Tree:
    """Return a section as `class_path` and `init_args`; loose keys are arguments."""
    if isinstance(value, str):
        return {"class_path": BARE_NAMES.get(value, value)}
    _require_mapping(value, section, source)
    own = ("class_path", *(("interval", "monitor") if section == "lr_scheduler" else ()))
    shaped = {key: item for key, item in value.items() if key in own}
    arguments = value.get("init_args") or {}
    _require_mapping(arguments, f"{section}.init_args", source)
    loose = {key: item for key, item in value.items() if key not in (*own, "init_args")}
    if arguments or loose:
        shaped["init_args"] = {**arguments, **loose}
    return shaped


def _shape_words(value: Any) -> Any:
    """Return classes named by a word alone, one or a list of them, as `class_path`."""
    if isinstance(value, list):
        return [_shape_words(item) for item in value]
    return {"class_path": BARE_NAMES.get(value, value)} if isinstance(value, str) else value


def _require_mapping(value: Any, path: str, source: str) -> None:
    if not isinstance(value, dict):
        raise InputError(f"{path} in {source}: expected keys and values, found {value!r}")


def _merge(base: Tree, new: Tree, path: str) -> Tree:
    """Return `base` overlaid with `new`; lists are replaced, not joined.

    Where the class changes, only those arguments stay that the new class takes as well.
    """
    merged = dict(base)
    if "class_path" in new and base.get("class_path", new["class_path"]) != new["class_path"]:
        known = arguments_of(import_class(new["class_path"], f"{path}class_path"))
        before = base.get("init_args") or {}
        if isinstance(before, dict):  # anything else is refused once all is merged
            merged["init_args"] = {k: v for k, v in before.items() if known and k in known}
    for key, value in new.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = _merge(old, value, f"{path}{key}.")
        merged[key] = value
    return merged


def _qualify(node: Any) -> Any:
    if isinstance(node, list):
        return [_qualify(item) for item in node]
    if not isinstance(node, dict):
        return node
    tree = {key: _qualify(value) for key, value in node.items()}
    if isinstance(tree.get("class_path"), str):
        tree["class_path"] = BARE_NAMES.get(tree["class_path"], tree["class_path"])
    return tree


def _shorten(spec: Any) -> Any:
    """Return transforms as mappings of a name to arguments.

    Where a class is named by `class_path`, jsonargparse reads its arguments by their types, and
    takes the path of a file for what is in it.
    """
    if isinstance(spec, list):
        return [_shorten(item) for item in spec]
    if not isinstance(spec, dict):
        return spec
    if "class_path" in spec:
        return {spec["class_path"]: _shorten(spec.get("init_args") or {})}
    return {key: _shorten(value) for key, value in spec.items()}


def _split_flags(words: Sequence[str]) -> list[tuple[str, list[str]]]:
    flags: list[tuple[str, list[str]]] = []
    for word in words:
        if word.startswith("--"):
            key, equals, value = word[2:].partition("=")
            flags.append((key, [value] if equals else []))
        elif flags and not _LETTER.fullmatch(word):
            flags[-1][1].append(word)
        else:
            hint = misplaced(word) or "options start with --"
            raise InputError(f"unexpected argument {word!r}; {hint}")
    for key, values in flags:
        if key.endswith("+"):
            raise InputError(f"--{key}: lists are replaced as a whole; give all of --{key[:-1]}")
        if not values:
            meant = meant_by(key, {})
            raise InputError(f"--{key} wants a value" + ("" if meant is None else f"; {meant}"))
    return flags


def _parse_value(key: str, text: str) -> Any:
    """Return a flag's value as YAML would read it; paths, and what is not YAML, are text."""
    *parents, leaf = key.split(".")
    if leaf.endswith("_df_paths") and not text.startswith("["):
        return text
    if parents[-1:] == ["csv"] and leaf in WRITTEN:
        return text
    try:
        if leaf in NAMING or parents[-1:] == [RENAME]:
            text = quote_names(text)
        tree = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException):
        return text
    assert isinstance(tree, dict)
    return tree["value"]


def _leave_out_nulls(arguments: Tree, cls: type) -> None:
    """Leave null out where it can only mean that nothing is given: the default holds."""
    for name in never_null(cls):
        if name in arguments and arguments[name] is None:
            del arguments[name]


def _lift_optimizer(tree: Tree, source: str) -> None:
    """Make the model's own `optimizer` and `lr_scheduler` top-level ones, as one place to merge.

    Raises:
        InputError: both are given.
    """
    arguments = tree.get("model", {}).get("init_args", {})
    for key in TRAINING:
        value = arguments.pop(key, None)
        if value is not None and tree.get(key) is not None:
            raise InputError(f"{key} is given twice: at top level and in model.init_args; keep one")
        if value is not None:
            tree[key] = _shape_class(value, key, source)


def _name_criterion(arguments: Tree) -> None:
    """Name the one loss that takes quantiles, where only these are given."""
    criterion = arguments.get("criterion")
    if isinstance(criterion, dict) and "quantiles" in (criterion.get("init_args") or {}):
        criterion.setdefault("class_path", BARE_NAMES["QuantileLoss"])


def _give_optimizer(tree: Tree) -> None:
    """Make the top-level `optimizer` and `lr_scheduler` arguments of the model."""
    arguments = tree["model"]["init_args"]
    for key in TRAINING:
        if key not in tree:
            continue
        value = dict(tree.pop(key))
        for option in ("interval", "monitor"):
            if key == "lr_scheduler" and (given := value.pop(option, None)) is not None:
                arguments[f"lr_scheduler_{option}"] = given
        arguments[key] = value

"""Help in two sizes: a screen for each command, and a page for each group of arguments.

All of it comes from the options of the command and from the catalogue, without torch.
"""

import argparse
import dataclasses
import itertools
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from transformertf.cli import catalogue
from transformertf.cli.catalogue import Argument
from transformertf.cli.yaml_file import YamlFile
from transformertf.errors import InputError, nearest


class Group(NamedTuple):
    """Arguments that a page tells of.

    Attributes:
        text: what they are, in a line.
        prefix: of their flags.
        section: of classes whose arguments they are; empty where they are of one class.
    """

    text: str
    prefix: str
    section: str = ""


GROUPS = {
    "columns": Group("which column is what", "data."),
    "windows": Group("context, horizon, steps and lengths", "data."),
    "data": Group("files, parts, gaps, scaling, batches", "data."),
    "model": Group("the network, its loss and what is logged", "model.", "model"),
    "criterion": Group("losses", "model.criterion.init_args.", "criterion"),
    "optimizer": Group("optimizers and their settings", "optimizer.", "optimizer"),
    "lr_scheduler": Group("schedules of the learning rate", "lr_scheduler.", "lr_scheduler"),
    "trainer": Group("epochs, devices, precision, limits", "trainer."),
    "callbacks": Group("what may hang on a fit", "", "callbacks"),
    "logger": Group("where metrics may go beside metrics.csv", "", "logger"),
    "transforms": Group("what may be done to a column", "", "extra_transforms"),
    "run": Group("seed, threads, averages, checkpoints", ""),
}
# whose pages list classes of one kind
OF_CLASSES = [name for name, group in GROUPS.items() if group.section and name != "model"]
# a command that goes on from a checkpoint has model and columns from there
AFTER_FIT = ("windows", "data", "trainer", "run")
# the data that such a command reads, by how the arguments begin that name it
READS = {
    "validate": ("val_",),
    "test": ("test_",),
    "predict": ("predict_", "future_"),
    "evaluate": ("val_", "test_"),
    "calibrate": ("val_", "test_"),
}
STAGES = ("train_", "val_", "test_", "predict_", "future_")
# arguments that such a command has no use for
TRAINING_ONLY = (
    "balance", "bucket_by_length", "fresh_starts", "noise_std", "randomize_seq_len", "shuffle",
    "split_by", "weight_covariate", "checkpoint_every", "ema",
)  # fmt: skip
# and those of the trainer that it has
OF_TRAINER = (
    "accelerator", "benchmark", "deterministic", "devices", "enable_progress_bar",
    "inference_mode", "limit_predict_batches", "limit_test_batches", "limit_val_batches",
    "num_nodes", "plugins", "precision", "strategy",
)  # fmt: skip
EXAMPLES = {
    "fit": ("--config tft.yml --trainer.max_epochs 5", "--config tft.yml --ckpt_path last"),
    "check": ("--config tft.yml",),
    "config": ("-c tft.yml -c small.yml --optimizer.lr 1e-3 --explain",),
    "validate": ("-n tft --ckpt_path last",),
    "test": ("-n tft --ckpt_path last", "--ckpt_path last.ckpt --data.test_df_paths new.csv"),
    "predict": ("-n tft --ckpt_path last --data.predict_df_paths new.csv",),
    "evaluate": ("-n tft --ckpt_path last", "-n tft --ckpt_path last --origin all --season 24"),
    "calibrate": ("-n tft --ckpt_path last",),
}


class Asked(argparse.Action):
    """Keeps that help is asked for, and of what: the words after it say whose arguments to show."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
        values: Any, option_string: str | None = None,
    ) -> None:  # fmt: skip
        """Keep the command's own page, and the words."""
        namespace.help = Page(parser.format_help(), values, option_string == "--help-all")


class Page(NamedTuple):
    """What is asked for: the options of the command, the words after it, whether all is wanted."""

    options: str
    words: Sequence[str]
    is_whole: bool


def show(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print the page that is asked for.

    Raises:
        InputError: there is no such group or class, or the configuration cannot be read.
    """
    page, command = options.help, options.command
    model = _model_of(options, flags)
    if page.words:
        print("\n".join(_group_page(command, page.words, model)))
        return
    print(page.options)
    if not page.is_whole:
        print("\n".join(_overview(command, model)))
        return
    for name in groups_of(command):
        print("\n".join(_group_page(command, [name], model)), end="\n\n")


def groups_of(command: str) -> list[str]:
    """Return the groups of arguments that a command takes."""
    return [name for name in GROUPS if command not in READS or name in AFTER_FIT]


def examples_of(command: str) -> Sequence[str]:
    """Return the words that may follow a command."""
    return EXAMPLES.get(command, ("--config tft.yml",))


def _model_of(options: argparse.Namespace, flags: Sequence[str]) -> str | None:
    """Return the model that flags, or else configurations, name; None where none does."""
    named: Any = None
    for path in options.config:
        tree = YamlFile.read(path).tree().get("model")
        found = tree.get("class_path") if isinstance(tree, dict) else tree
        named = found or named
    for word, following in zip(flags, [*flags[1:], ""], strict=False):
        key, equals, value = word.partition("=")
        if key in ("--model", "--model.class_path"):
            named = value if equals else following
    every = catalogue.spellings("model").items()
    # a class of another package has arguments that nobody knows here
    return next((name for name, paths in every if named in paths), None)


def _overview(command: str, model: str | None) -> list[str]:
    """Return the lines below the options of a command: its groups, and how to see the rest."""
    lines = ["groups of arguments, each a key of the YAML and a flag (--data.batch_size 32):"]
    for name in groups_of(command):
        if name == "model" and model:
            names = ", ".join(one.name for one in _arguments(command, "model", model)[0])
            lines += _wrapped(f"model {model:<7} {names}", 2, 16)
        elif name not in OF_CLASSES:
            lines.append(f"  {name:<13} {GROUPS[name].text}")
    if command not in READS:
        lines += _wrapped(f"of classes:   {', '.join(OF_CLASSES)}", 2, 16)
    example = "data" if command in READS else "model TFT"
    return [
        *lines,
        "",
        f"  transformertf {command} --help {example}    a group",
        f"  transformertf {command} --help-all{' ' * (len(example) - 3)}    everything",
    ]


def _group_page(command: str, words: Sequence[str], model: str | None) -> list[str]:
    """Return the lines of a group, or of a class or an argument in it."""
    name, *named = words
    known = groups_of(command)
    if name not in known:
        return _argument_page(command, name, model)
    if len(named) > 1:
        raise InputError(f"--help {' '.join(words)}: expected a group, and one name in it")
    group = GROUPS[name]
    if not group.section:
        if named:
            raise InputError(f"--help {name} {named[0]}: {name} takes no name; leave it out")
        own, _ = _arguments(command, name, model)
        return [f"{name}: {group.text}", *_listed(own, group.prefix)]
    if named:
        return _class_page(command, name, catalogue.class_named(group.section, named[0]))
    if name == "model" and model is not None:
        return _class_page(command, name, model)
    return _classes_page(command, name)


def _classes_page(command: str, name: str) -> list[str]:
    """Return the classes of a group, and what all of them take."""
    group = GROUPS[name]
    lines = [f"{name}: {group.text}"]
    for each in catalogue.classes(group.section):
        lines += [f"  {each}", *_wrapped(catalogue.summary(each), 6)]
    if name == "criterion":
        lines += ["  any other elementwise loss of torch by its path: torch.nn.SmoothL1Loss"]
    _, common = _arguments(command, name, None)
    if common:
        lines += ["", "all of them take:", *_listed(common, group.prefix)]
    return [*lines, "", f"  transformertf {command} --help {name} NAME    the arguments of one"]


def _class_page(command: str, name: str, chosen: str) -> list[str]:
    """Return what a class is, and its arguments."""
    own, common = _arguments(command, name, chosen)
    prefix = GROUPS[name].prefix
    lines = [f"{name} {chosen}", *_wrapped(catalogue.summary(chosen), 2), *_listed(own, prefix)]
    if common:
        lines += ["", "as all of them:", *_listed(common, prefix)]
    return lines


def _argument_page(command: str, word: str, model: str | None) -> list[str]:
    """Return the lines of one argument, by its key.

    Raises:
        InputError: there is none of that name.
    """
    known = keys(command, model)
    for key, one in known.items():
        if word in (key, one.name):
            return list(_listed([one], key.removesuffix(one.name)))
    hint = nearest(word, groups_of(command))
    if not hint.startswith("did you mean"):
        hint = nearest(word, [*known, *(one.name for one in known.values())])
    raise InputError(f"--help {word}: no group or argument of that name; {hint}")


def keys(command: str, model: str | None = None) -> dict[str, Argument]:
    """Return the arguments that a command takes, by their keys.

    Args:
        command: that takes them.
        model: whose arguments they are; else those of all models.
    """
    found: dict[str, Argument] = {}
    for name in groups_of(command):
        group = GROUPS[name]
        chosen: list[str | None] = [model]
        if group.section and not (name == "model" and model):
            chosen = [*catalogue.classes(group.section)]
        if not group.section or group.prefix:
            for each in chosen:
                for one in itertools.chain(*_arguments(command, name, each)):
                    found.setdefault(f"{group.prefix}{one.name}", one)
    return found


def _arguments(
    command: str, name: str, chosen: str | None
) -> tuple[list[Argument], list[Argument]]:
    """Return the arguments of a group: of the class that is chosen, and what all of them take.

    Args:
        command: that takes them.
        name: of the group.
        chosen: a class of it; of the data, the model whose data it is.
    """
    if name == "run":
        found = catalogue.top_level()
    elif name == "trainer":
        found = catalogue.arguments("trainer")
    elif GROUPS[name].prefix == "data.":
        kinds = catalogue.classes("data") if chosen is None else [catalogue.data_for(chosen)]
        # what both data modules take comes first, told as the first of them has it
        every = {
            one.name: one
            for kind in ("WindowDataModule", *reversed(kinds))
            for one in catalogue.arguments(kind)
        }
        found = [one for one in every.values() if one.group == name]
    elif name == "model":
        found = catalogue.arguments(chosen or "ForecastModule")
        own = [one for one in found if one.group == "own" and chosen]
        return own, [one for one in found if one.group == "common"]
    elif name == "lr_scheduler":
        return (catalogue.arguments(chosen) if chosen else []), _beside_schedules()
    else:
        found = catalogue.arguments(chosen) if chosen else []
    return [one for one in found if command not in READS or _is_of_use(command, name, one)], []


def _beside_schedules() -> list[Argument]:
    """Return what is said of a schedule beside its class; the model has it, too."""
    every = catalogue.arguments("ForecastModule")
    return [
        dataclasses.replace(one, name=one.name.removeprefix("lr_scheduler_"))
        for one in every
        if one.name.startswith("lr_scheduler_")
    ]


def _is_of_use(command: str, group: str, one: Argument) -> bool:
    """Whether a command that goes on from a checkpoint takes an argument."""
    if group == "trainer":
        return one.name in OF_TRAINER
    if one.after_fit == "fixed" or one.name in TRAINING_ONLY:
        return False
    return not one.name.startswith(STAGES) or one.name.startswith(READS[command])


def _listed(arguments: Sequence[Argument], prefix: str) -> Iterator[str]:
    """Yield the lines of arguments: flag, what it may be, default, text."""
    for one in arguments:
        default = f", default {one.default}" if one.default else ""
        yield from _wrapped(f"--{prefix}{one.name}  {one.kind or 'any'}{default}", 2, 6)
        yield from _wrapped(one.text, 6)


def _wrapped(text: str, indent: int, following: int | None = None) -> list[str]:
    later = " " * (indent if following is None else following)
    width = min(shutil.get_terminal_size().columns, 100)
    return textwrap.wrap(
        text, width, initial_indent=" " * indent, subsequent_indent=later,
        break_on_hyphens=False,
    )  # fmt: skip

"""Write the JSON schema of a configuration, from the signatures and docstrings of its classes.

    python -m scripts.docs.schema            writes transformertf/schema.json
    python -m scripts.docs.schema --check    ends with code 1 where that is not up to date

What editors, the help and shell completion read: `transformertf schema` prints it. Values and their
texts come from jsonargparse; what is ours is that classes go by bare name, that their arguments may
stand beside `class_path`, and that `${...}` may stand anywhere. Nothing is required of a file: it
may be a fragment of a configuration. The dialect is draft 7, which all editors know.
"""

import argparse
import inspect
import itertools
import json
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning
from jsonargparse import ArgumentParser
from torch.optim.lr_scheduler import LRScheduler

import transformertf.callbacks
import transformertf.models
from transformertf.cli import catalogue
from transformertf.cli.classes import BARE_NAMES, DATA_MODULES, SECTIONS
from transformertf.cli.lightning_cli import LINKS, USELESS, ForecastCLI
from transformertf.cli.options import EPOCHS
from transformertf.data import ARGUMENTS, WindowDataModule
from transformertf.models import ForecastModule

Schema = dict[str, Any]

FILE = Path(__file__).parents[2] / "transformertf" / "schema.json"
# what the schema is drawn from, beside our own code
SOURCES = ("torch", "lightning", "jsonargparse")
INTERPOLATION = {
    "description": "the value of a key, ${trainer.max_epochs}, or a variable, ${oc.env:NAME}",
    "type": "string",
    "pattern": r"\$\{",
}
# text, whatever an editor makes of it
NAME = {"type": ["string", "number", "boolean"]}
# a class of another package, whose arguments are not known here
FOREIGN = {
    "description": "a class of another package, which --allow names",
    "type": "string",
    "pattern": r"^(?!transformertf\.)\w+(\.\w+)+$",
}
# sections whose classes take their arguments beside class_path, and what else stands there
LOOSE: Mapping[str, Mapping[str, str]] = {
    "model": {},
    "data": {},
    "optimizer": {},
    "lr_scheduler": {"interval": "lr_scheduler_interval", "monitor": "lr_scheduler_monitor"},
}
MEANINGS = {
    "model": "The network: the name of its class, or class_path and arguments.",
    "data": "The data: files, columns, windows. Its class follows the model's.",
    "optimizer": "The optimizer; Adam where class_path does not say otherwise.",
    "lr_scheduler": "The learning rate's schedule, by epoch or step.",
    "criterion": "The loss, elementwise: ours, or one of torch by its path.",
    "callbacks": "A callback of the trainer.",
    "logger": "A logger of the trainer, beside metrics.csv.",
    "extra_transforms": "A transform of a column, before it is normalised.",
}
# arguments of other libraries' classes that most configurations have
TOLD = {
    "max_epochs": f"epochs of the fit; {EPOCHS} where neither this, max_steps nor max_time is "
    "given, -1 for no end",
    "max_steps": "optimizer steps of the fit; -1 for no end",
    "max_time": "longest time of the fit, as days:hours:minutes:seconds",
    "min_epochs": "epochs before anything may end the fit",
    "accelerator": "where to compute: auto, cpu, gpu, ...",
    "devices": "how many devices, or processes, of the accelerator; a list names them",
    "num_nodes": "machines that train together",
    "strategy": "how processes train together: auto, ddp, ...",
    "precision": "32-true, bf16-mixed, 16-mixed or 64-true; by the data where it is not given",
    "callbacks": "what hangs on the fit: a class, or a list of them",
    "logger": "where metrics go beside metrics.csv: a class, or a list of them; false for none",
    "gradient_clip_val": "largest norm of a gradient; larger ones are scaled down to it",
    "accumulate_grad_batches": "batches of an optimizer step",
    "limit_train_batches": "batches of an epoch, as a number or a share",
    "limit_val_batches": "batches of a validation, as a number or a share",
    "limit_test_batches": "batches of a test, as a number or a share",
    "limit_predict_batches": "batches of a prediction, as a number or a share",
    "val_check_interval": "batches, share of an epoch or time between validations",
    "check_val_every_n_epoch": "epochs between validations",
    "log_every_n_steps": "steps between rows of metrics.csv within an epoch",
    "fast_dev_run": "try so many batches of everything, and keep nothing",
    "enable_progress_bar": "show a bar on a terminal; lines without",
    "deterministic": "the same bits on a GPU, too, where it can",
    "lr": "learning rate",
    "weight_decay": "how much weights are pulled to 0",
    "monitor": "metric that is watched",
    "patience": "times without gain before it acts",
}
# arguments that name a class, by the section that it is of; elsewhere any class may stand
TAKES = {
    "criterion": "criterion",
    "optimizer": "optimizer",
    "lr_scheduler": "lr_scheduler",
    "callbacks": "callbacks",
    "logger": "logger",
}
# and those that take several
TAKES_SEVERAL = {"schedulers": "lr_scheduler", "transforms": "extra_transforms"}
CLASSES_OF_TRAINER = ("accelerator", "plugins", "profiler", "strategy")
# arguments that a configuration cannot say, for they are objects of a run
OBJECTS = {"self", "params", "parameters_to_prune", "update_fn", "device", "avg_fn", "theme"}
# arguments of the data that say which rows are in a window
WINDOWS = (
    "ctxt_seq_len", "tgt_seq_len", "min_ctxt_seq_len", "min_tgt_seq_len", "seq_len", "min_seq_len",
    "randomize_seq_len", "bucket_by_length", "encoder_alignment", "decoder_alignment", "alignment",
    "stride", "downsample", "downsample_method", "target_lags", "max_gap", "drop_short_series",
    "carry_state", "washout", "fresh_starts", "origin",
)  # fmt: skip
# bases of others, and classes that take functions
NOT_MADE = (
    "BaseFinetuning", "BasePredictionWriter", "Callback", "Checkpoint", "ForecastModule",
    "LambdaCallback", "LambdaLR", "LinkedLoss", "Logger", "LRScheduler", "MultiplicativeLR",
    "Optimizer", "ProgressBar", "TargetTransform", "Transform", "TripletMarginWithDistanceLoss",
)  # fmt: skip
BASES = (ForecastModule, WindowDataModule)
LINKED = {target.rpartition(".")[2] for target in LINKS.values()}


def schema() -> Schema:
    """Return the schema of a configuration."""
    defs: Schema = {"interpolation": INTERPOLATION, "foreign": FOREIGN, "name": NAME}
    for section, names in classes().items():
        defs.update(_section(section, names))
    defs |= {base.__name__: _arguments(base) for base in BASES}
    defs["class"] = _class_of_any()
    defs["transforms"] = _one_or_list({"$ref": "#/$defs/extra_transforms"})
    defs["trainer"] = _arguments(lightning.Trainer, frozenset((*TAKES, *CLASSES_OF_TRAINER)))
    defs["trainer"]["properties"] |= _classes_of_trainer()
    defs["trainer"]["description"] = "Lightning's trainer: epochs, devices, callbacks, loggers."
    sources = [f"{name} {version(name).partition('+')[0]}" for name in SOURCES]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$comment": f"Written by scripts.docs.schema from {', '.join(sources)}.",
        "title": "A configuration of transformertf",
        "type": "object",
        "properties": _top_level(),
        "additionalProperties": False,
        "allOf": [_data_of_sequences()],
        "$defs": defs,
    }


def classes() -> dict[str, dict[str, type]]:
    """Return the classes that each section names, by the name they are known by here."""
    found: dict[str, dict[str, type]] = {}
    for section, names in SECTIONS.items():
        # of several names the shortest is the one
        kinds = {_imported(BARE_NAMES[name]): name for name in sorted(names, key=len, reverse=True)}
        made = {name: kind for kind, name in kinds.items() if _can_be_made(kind)}
        found[section] = dict(sorted(made.items()))
    ours = transformertf.callbacks
    found["callbacks"]["transformertf.callbacks.ForecastPlots"] = ours.ForecastPlots
    return found


def _imported(path: str) -> type:
    module, _, name = path.rpartition(".")
    kind: type = getattr(import_module(module), name)
    return kind


def _can_be_made(kind: type) -> bool:
    """Whether a class is more than a base of others, is of use, and takes what YAML can say."""
    return kind.__name__ not in NOT_MADE and kind not in USELESS


def _spellings(name: str, kind: type) -> list[str]:
    """Return how a class may be named: bare, by its module, and by the package that gives it."""
    # other names of it, and torch's own that become ours
    others = [other for other, path in BARE_NAMES.items() if path == BARE_NAMES.get(name)]
    *parts, module = itertools.accumulate(kind.__module__.split("."), "{}.{}".format)
    paths = [
        f"{place}.{each}"
        for place in (module, *reversed(parts))
        for each in dict.fromkeys((kind.__name__, *others))
        if getattr(import_module(place), each, None) is kind
    ]
    return list(dict.fromkeys((name, *others, *paths)))


def _section(section: str, kinds: Mapping[str, type]) -> Schema:
    """Return the definitions of a section: its names, its forms, and each of its classes."""
    defs: Schema = {}
    spellings = {name: _spellings(name, kind) for name, kind in kinds.items()}
    defs[f"{section}.name"] = _names(spellings)
    cases = []
    for name, kind in kinds.items():
        key = name.rpartition(".")[2]
        is_schedule = issubclass(kind, LRScheduler)
        defs[key] = _arguments(kind, frozenset({"optimizer"} if is_schedule else ()))
        if section in LOOSE:
            defs[f"{key}.beside"] = _beside(key, defs[key], section)
        within = {"properties": {"init_args": _or_null(_ref(key))}}
        then = _ref(f"{key}.beside") if section in LOOSE else within
        cases.append(_if_class(spellings[name], then))
    node: Schema = {
        "type": "object",
        "properties": {"class_path": _ref(f"{section}.name")},
        "allOf": cases,
    }
    if section in LOOSE:
        defs[f"{section}.any"] = _any_of(section, [key.rpartition(".")[2] for key in kinds], defs)
        no_class = {"not": {"required": ["class_path"]}}
        node["allOf"].append({"if": no_class, "then": _ref(f"{section}.any")})
    else:
        node["properties"]["init_args"] = _or_null({"type": "object"})
        node |= {"required": ["class_path"], "additionalProperties": False}
    forms = [_ref(f"{section}.name"), node, {"type": "null"}]
    if section == "extra_transforms":
        forms.insert(2, _named_by_key(spellings))
    defs[section] = {"description": MEANINGS[section], "anyOf": forms}
    return defs


def _names(spellings: Mapping[str, list[str]]) -> Schema:
    """Return the names of classes: an editor suggests the short ones, and takes their paths."""
    every = [path for paths in spellings.values() for path in paths]
    short = [path for path in every if path in spellings or "." not in path]
    own = [re.escape(path) for path in every if path.startswith("transformertf.")]
    forms = [{"enum": short}, _ref("foreign"), _ref("interpolation")]
    if own:
        forms.insert(1, {"type": "string", "pattern": f"^({'|'.join(own)})$"})
    return {"anyOf": forms}


def _if_class(spellings: list[str], then: Schema) -> Schema:
    """Return what holds where class_path is one of these."""
    named = {"properties": {"class_path": {"enum": spellings}}, "required": ["class_path"]}
    return {"if": named, "then": then}


def _beside(key: str, own: Schema, section: str) -> Schema:
    """Return the form of a class whose arguments stand in init_args, beside it, or in both."""
    here = {name: _ref(f"{key}/properties/{name}") for name in own["properties"]}
    base = "ForecastModule/properties"
    more = {name: _ref(f"{base}/{argument}") for name, argument in LOOSE[section].items()}
    properties = {"class_path": True, "init_args": _or_null(_ref(key)), **more, **here}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _any_of(section: str, keys: Iterable[str], defs: Schema) -> Schema:
    """Return the form of a section whose class another file names."""
    keys = ["Adam"] if section == "optimizer" else list(keys)
    merged: Schema = {"properties": {}}
    for key in reversed(keys):
        merged["properties"] |= {
            name: _ref(f"{key}/properties/{name}") for name in defs[key]["properties"]
        }
    whole = _beside("any", merged, section)
    whole["properties"] |= merged["properties"]
    whole["properties"]["init_args"] = _or_null(
        {"type": "object", **merged, "additionalProperties": False}
    )
    return whole


def _named_by_key(spellings: Mapping[str, list[str]]) -> Schema:
    """Return the form of a class as a mapping of its name to its arguments."""
    keys = {path: _or_null(_ref(name)) for name, paths in spellings.items() for path in paths}
    return {"type": "object", "properties": keys, "additionalProperties": False, "maxProperties": 1}


@cache
def _drawn(kind: type, without: frozenset[str]) -> Schema:
    """Return what jsonargparse says of the constructor of a class."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, None, skip=set(without), fail_untyped=False)
    drawn: Schema = json.loads(parser.get_completion_script("jsonschema"))
    return drawn


def _arguments(kind: type, without: frozenset[str] = frozenset()) -> Schema:
    """Return the arguments of a class as properties."""
    skipped = OBJECTS | without
    taken = inspect.signature(kind).parameters
    named = {
        name: _ref(TAKES[name]) if name in TAKES else _list_of(_ref(TAKES_SEVERAL[name]))
        for name in taken
        if name in {**TAKES, **TAKES_SEVERAL} and name not in skipped
    }
    drawn = _drawn(kind, frozenset(skipped | named.keys()))
    required = drawn.get("required", [])
    found = {
        name: _property(name, value, kind, name in required)
        for name, value in drawn["properties"].items()
        if name != "$schema"
    }
    found |= {name: _or_null(form) for name, form in named.items()}
    base = next((base for base in BASES if issubclass(kind, base) and kind is not base), None)
    if base is not None:  # what all of them take is said once
        shared = _arguments(base)["properties"]
        found = {
            name: _ref(f"{base.__name__}/properties/{name}") if shared.get(name) == value else value
            for name, value in found.items()
        }
    # what a forecaster is, its network says
    told = getattr(transformertf.models, f"{kind.__name__}Model", kind)
    text = _plain((inspect.getdoc(told) or "").partition("\n\n")[0]) if _is_ours(told) else ""
    return {
        **({"description": text} if text else {}),
        "type": "object",
        "properties": found,
        "additionalProperties": False,
    }


def _property(name: str, drawn: Schema, kind: type, required: bool) -> Schema:
    """Return an argument: what it may be, its text and default, and the group it is shown in."""
    value = {key: item for key, item in drawn.items() if key not in ("description", "default")}
    forms = _forms(value)
    row = ARGUMENTS.get(name) if issubclass(kind, lightning.LightningDataModule) else None
    if row is not None and row.names is not None:  # text, whatever YAML makes of it
        forms = [_ref("name"), *([_list_of(_ref("name"))] if row.names == "several" else [])]
    if name == "extra_transforms":
        forms = [{"type": "object", "additionalProperties": _ref("transforms")}]
    if not required:
        forms.append({"type": "null"})
    found: Schema = {}
    if _is_ours(kind) and "description" in drawn:
        found["description"] = _plain(drawn["description"])
    elif name in TOLD and not _is_ours(kind):
        found["description"] = TOLD[name]
    found |= _joined([*forms, _ref("interpolation")])
    if "default" in drawn:
        found["default"] = drawn["default"]
    found |= _extras(name, kind)
    return found


def _is_ours(kind: type) -> bool:
    """Whether a class is of this package: what the words of other libraries say, they say."""
    return kind.__module__.partition(".")[0] == "transformertf"


def _plain(text: str) -> str:
    """Return a docstring's text without what only Sphinx reads."""
    text = re.sub(
        r":\w+:`~?(?:[\w.]+\.)?([^`<]+?)\s*(?:<[^`]*>)?`", r"`\1`", " ".join(text.split())
    )
    text = re.sub(r"; (?:see|arguments are those of) `\w+`", "", text)
    return re.sub(r"`_+", "`", text).replace("``", "`")


def _extras(name: str, kind: type) -> Schema:
    """Return what the help wants to know of an argument; a validator looks past it."""
    if issubclass(kind, lightning.LightningDataModule):
        row = ARGUMENTS[name]
        group = "columns" if row.names is not None else "windows" if name in WINDOWS else "data"
        return {"x-group": group, "x-after-fit": row.after_fit}
    if issubclass(kind, ForecastModule):
        if name in LINKED:
            return {"x-group": "linked", "doNotSuggest": True}
        common = name in inspect.signature(ForecastModule).parameters and name != "output_dim"
        return {"x-group": "common" if common else "own"}
    return {}


def _forms(value: Schema) -> list[Schema]:
    """Return the forms of a value, with `${...}` in lists and mappings, too."""
    if "anyOf" in value:
        # what may be a tensor or a device may be a number or a text, too
        parts = [part for part in value["anyOf"] if "$ref" not in part]
        return [form for part in parts or [{}] for form in _forms(part)]
    if "$ref" in value:  # a class that is no section of ours
        return [_ref("class")]
    value = dict(value)
    if "prefixItems" in value:  # as draft 7 says it
        value["items"] = [_opened(part) for part in value.pop("prefixItems")]
    elif isinstance(value.get("items"), dict):
        value["items"] = _opened(value["items"])
    if "properties" in value:
        value["properties"] = {name: _opened(part) for name, part in value["properties"].items()}
    if isinstance(value.get("additionalProperties"), dict):
        value["additionalProperties"] = _opened(value["additionalProperties"])
    return [value]


def _opened(value: Schema) -> Schema:
    return _joined([*_forms(value), _ref("interpolation")])


def _joined(forms: list[Schema]) -> Schema:
    """Return one schema of several, without `${...}` where any text may stand."""
    kinds: list[str] = []
    rest: list[Schema] = []
    for form in forms:
        if not form:
            return {}
        if set(form) == {"type"}:
            own = form["type"]
            kinds += [own] if isinstance(own, str) else own
        elif form not in rest:
            rest.append(form)
    kinds = list(dict.fromkeys(kinds))
    if "string" in kinds:
        rest = [form for form in rest if form != _ref("interpolation")]
    if kinds:
        rest.insert(0, {"type": kinds[0] if len(kinds) == 1 else kinds})
    return rest[0] if len(rest) == 1 else {"anyOf": rest}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _or_null(form: Schema) -> Schema:
    return {"anyOf": [form, {"type": "null"}, _ref("interpolation")]}


def _one_or_list(form: Schema) -> Schema:
    return {"anyOf": [form, _list_of(form)]}


def _list_of(form: Schema) -> Schema:
    return {"type": "array", "items": form}


def _class_of_any() -> Schema:
    """Return the form of a class of a kind that is not listed here."""
    properties = {"class_path": {"type": "string"}, "init_args": _or_null({"type": "object"})}
    named = {"type": "object", "properties": properties, "required": ["class_path"]}
    return {"anyOf": [{"type": "string"}, named | {"additionalProperties": False}]}


def _classes_of_trainer() -> Schema:
    """Return the trainer's arguments that are classes."""
    several = [_one_or_list(_ref("callbacks")), {"type": "null"}, _ref("interpolation")]
    loggers = [_one_or_list(_ref("logger")), {"type": ["boolean", "null"]}]
    found = {"callbacks": {"anyOf": several}, "logger": {"anyOf": loggers}}
    for name in CLASSES_OF_TRAINER:
        form = _one_or_list(_ref("class")) if name == "plugins" else _ref("class")
        found[name] = _or_null(form)
    return {
        name: {**({"description": TOLD[name]} if name in TOLD else {}), **form}
        for name, form in found.items()
    }


def _top_level() -> Schema:
    """Return the keys of a configuration; those that are ours are declared to LightningCLI."""
    parser = ArgumentParser(exit_on_error=False)
    ForecastCLI.declare(parser)
    drawn = json.loads(parser.get_completion_script("jsonschema"))["properties"]
    del drawn["$schema"]
    drawn["seed_everything"] = {
        "description": "seed of all random numbers; true for one drawn anew",
        "type": ["boolean", "integer"],
        "default": 42,
    }
    found = {name: _property(name, value, ForecastCLI, False) for name, value in drawn.items()}
    sections = {name: _ref(name) for name in (*LOOSE, "trainer")}
    sections["trainer"] = _or_null(sections["trainer"])
    return {**found, **sections}


def _data_of_sequences() -> Schema:
    """Return that a data section without a class is the one that the model takes."""
    models = classes()["model"]
    sequences = [
        path
        for name, kind in models.items()
        if getattr(kind, "takes", None) == "sequences"
        for path in _spellings(name, kind)
    ]
    named = {
        "anyOf": [
            {"enum": sequences},
            {"type": "object", **_if_class(sequences, {})["if"]},
        ]
    }
    no_class = {"type": "object", "not": {"required": ["class_path"]}}
    ifs = {"properties": {"model": named, "data": no_class}, "required": ["model", "data"]}
    then = {"properties": {"data": _ref(f"{DATA_MODULES['sequences']}.beside")}}
    return {"if": ifs, "then": then}


def text() -> str:
    """Return the file's content."""
    return catalogue.as_text(schema())


def main() -> int:
    """Write the schema, or say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        current = FILE.is_file() and FILE.read_text(encoding="utf-8") == text()
        return 0 if current else 1
    FILE.write_text(text(), encoding="utf-8")
    print(FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Classes by import path, from the packages that a configuration or a checkpoint may name.

Importing a module runs its code, and there are classes that start programs. So a path is looked at
before anything is imported, and what jsonargparse imports by itself is held to the same places.
"""

import argparse
import contextlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from functools import partial
from importlib import import_module
from typing import Any

import jsonargparse
import yaml
from jsonargparse._common import parsing_settings

from transformertf.errors import InputError

PACKAGES = ("transformertf", "torch", "lightning", "torchmetrics")
# where in them is what experiments are made of: elsewhere there are launchers of programs, readers
# of pickles, and downloads
PLACES = (
    *(f"transformertf.{name}" for name in ("callbacks", "data", "models", "nn")),
    *(f"torch.{name}" for name in ("nn", "optim", "profiler", "distributed.fsdp")),
    *(f"torch.{name}" for name in ("device", "dtype", "float64", "float32", "float16", "bfloat16")),
    *(
        f"lightning.pytorch.{name}"
        for name in ("accelerators", "callbacks", "loggers", "plugins", "profilers", "strategies")
    ),
    *(f"lightning.fabric.{name}" for name in ("accelerators", "loggers", "plugins", "strategies")),
    "torchmetrics",
)

# where a text is the path of a class
CLASS_KEYS = (
    "class_path",
    "_class_path",
    "criterion",
    "optimizer",
    "lr_scheduler",
    "callbacks",
    "logger",
    "plugins",
    "profiler",
    "strategy",
)

# what is handed to other packages, whose code then runs and most of which send it over the net
REMOTE = {
    "CometLogger": "comet_ml",
    "LitLogger": "litlogger",
    "MLFlowLogger": "mlflow",
    "NeptuneLogger": "neptune",
    "WandbLogger": "wandb",
    "XLAProfiler": "torch_xla",
}

# of parts within each other, in what describes a run
DEEPEST = 32
_MAY_NEST = re.compile(r"[\[{&]|[-?:]\s")

_allowed: ContextVar[tuple[str, ...]] = ContextVar("allowed places", default=PLACES)
# jsonargparse keeps its settings for the whole process
_settings_lock = threading.RLock()


@contextlib.contextmanager
def allowing(packages: Iterable[str] = ()) -> Iterator[None]:
    """Hold class paths to `PLACES` and the given packages until the context ends.

    Args:
        packages: names of further packages, without dots.

    Raises:
        InputError: not the name of a package, or of one that reads class paths itself.
    """
    names = tuple(packages)
    for name in names:
        if not name.isidentifier() or name == "jsonargparse":
            raise InputError(
                f"--allow {name}: expected the name of a package, such as my_models for "
                "my_models.network.Net"
            )
    with _settings_lock:
        before, token = dict(parsing_settings), _allowed.set((*PLACES, *names))
        loader = jsonargparse.get_loader("yaml")
        jsonargparse.set_parsing_settings(
            import_path_denylist=["*"],
            import_path_allowlist=list(_allowed.get()),
            # what is a class by its type alone is made, never what only looks like one
            instantiate_subclass_spec_in_any=False,
        )
        jsonargparse.set_loader("yaml", partial(_load, loader), (yaml.YAMLError,))
        try:
            yield
        finally:
            _allowed.reset(token)
            parsing_settings.clear()
            parsing_settings.update(before)
            jsonargparse.set_loader("yaml", loader, (yaml.YAMLError,))


def _load(loader: Callable[[str], Any], text: str) -> Any:
    """Read a file that a text names.

    Raises:
        YAMLError: it multiplies.
    """
    if multiplies(text):
        raise yaml.YAMLError("aliases, or nested without end; write it out, and flat")
    return loader(text)


def multiplies(text: str) -> bool:
    """Whether a text is YAML with aliases, or nested without end: jsonargparse reads it as such."""
    if len(text) <= DEEPEST or _MAY_NEST.search(text) is None:
        return False
    depth, anchors = 0, set()
    with contextlib.suppress(yaml.YAMLError):  # it is text alone
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.AliasEvent):
                if event.anchor in anchors:
                    return True
                continue
            anchors.add(getattr(event, "anchor", None))
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            within = depth > 0 and isinstance(event, yaml.ScalarEvent) and multiplies(event.value)
            if within or depth > DEEPEST:
                return True
    return False


def class_path(instance: object) -> str:
    """Return the importable path of an object's class."""
    return f"{type(instance).__module__}.{type(instance).__qualname__}"


def find_object(path: str, where: str) -> object:
    """Return what has an import path; None where nothing has.

    Args:
        path: such as `torch.optim.Adam`.
        where: the key that names it, for messages.

    Raises:
        InputError: it is of another place than allowed, or its module cannot be imported.
    """
    refuse_package(path, where)
    module, _, name = path.rpartition(".")
    if not module or not all(part.isidentifier() for part in path.split(".")):
        return None
    try:
        found: object = getattr(import_module(module), name, None)
    except ModuleNotFoundError:
        return None
    except Exception as error:
        raise InputError(f"{where}: importing {module!r} fails ({error!r})") from error
    # a module also holds what it has imported
    if isinstance(found, type):
        refuse_package(f"{found.__module__}.{found.__qualname__}", where)
    return found


def refuse_foreign(node: Any, where: str, source: str = "") -> None:
    """Refuse a tree that names, anywhere in it, a class of another place than allowed.

    And texts that jsonargparse would read as YAML without end.

    Args:
        node: mappings, lists, values, and namespaces of an argument parser; nothing is imported.
        where: the key it stands at, for messages.
        source: names where the tree comes from, likewise.

    Raises:
        InputError: names the first such class, or what stands where one should.
    """
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(node, argparse.Namespace):
        items = vars(node).items()
    elif isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list | tuple):
        items = enumerate(node)
    for key, value in items:
        place = f"{where}.{key}".lstrip(".")
        if key == "class_path" and not isinstance(value, str):
            raise InputError(
                f"{place}{source}: expected the import path of a class, found {value!r:.60}"
            )
        if key in CLASS_KEYS:
            for path in value if isinstance(value, list | tuple) else [value]:
                if isinstance(path, str):
                    refuse_package(path, place, source)
        if isinstance(value, str) and multiplies(value):
            raise InputError(
                f"{place}{source}: YAML within a text, with aliases or nested without end; write "
                "out what is meant"
            )
        refuse_foreign(value, place, source)


def needs_package(path: str) -> str | None:
    """Return the package that the class of an import path hands what it gets to, if any."""
    return REMOTE.get(path.rpartition(".")[2])


def refuse_package(path: str, where: str, source: str = "") -> None:
    """Refuse the path of something in another place than allowed.

    Args:
        path: such as `torch.optim.Adam`; a bare name passes, for nothing is imported of it.
        where: the key that names it, for messages.
        source: names where the key comes from, likewise.

    Raises:
        InputError: names the package, or the places in it.
    """
    package, dot, _ = path.partition(".")
    allowed = _allowed.get()
    if not dot or not package.isidentifier():
        return
    other = needs_package(path)
    if other is not None and other not in allowed:
        raise InputError(
            f"{where}{source}: {path!r} hands a run to the package {other}, whose code would run "
            f"and may send it over the net; if you trust it, give --allow {other}"
        )
    if any(path == place or path.startswith(f"{place}.") for place in allowed):
        return
    own = [place for place in PLACES if place.partition(".")[0] == package]
    if own:
        expected = f"is not in {', '.join(own)}"
    else:
        expected = (
            f"is of the package {package}, whose code would run; expected a class of "
            f"{', '.join(PACKAGES)}"
        )
    raise InputError(
        f"{where}{source}: {path!r} {expected}; if you trust it, give --allow {package} (in "
        "Python: allow)"
    )

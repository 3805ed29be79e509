"""What a configuration or a checkpoint may reach: files of this machine, and one run folder.

Lightning and pandas take an address on the net wherever they take a path, and Lightning writes
wherever it is told. So every text is looked at before anything is made of it. What is typed on the
command line is the user's own, and goes where it says.
"""

import argparse
import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from transformertf.class_paths import needs_package
from transformertf.errors import InputError

# a scheme, or one file system upon another, as fsspec and pandas read them: those have plain names,
# where a folder such as /home/me/run::1 is one of this machine
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(^|::)[\w+.-]*::|::[\w+.-]*$|^data:")
_ABOVE = re.compile(r"(^|[/\\])\.\.([/\\]|$)")
# out of the folder that it is joined to: whole paths, homes, variables, and folders above
_OUTSIDE = re.compile(rf"^[/\\~]|^[A-Za-z]:[/\\]|\$|{_ABOVE.pattern}")
# what Lightning formats names by; others, such as {step:c}, can make any sign
_FORMATS = re.compile(r"\{[^{}:.\[!]*(:0?\d{0,3}(\.\d{1,2})?[defg]?)?\}")
# of trainer, callbacks, loggers and profilers: what is written, from the run folder on
PLACES = (
    "default_root_dir", "dirpath", "exclude_batches_path", "folder", "path", "root_dir", "save_dir",
)  # fmt: skip
# what Lightning uploads the model to
_UPLOADS = "trainer.model_registry"


class Text(NamedTuple):
    """A text in a tree.

    Attributes:
        holder: the mapping or list that has it.
        key: of it there.
        path: where that is, from the root.
        text: itself.
    """

    holder: Any
    key: Any
    path: str
    text: str


def texts(node: Any, path: str = "") -> Iterator[Text]:
    """Yield the texts of a tree, but for what is handed to a package that was allowed.

    Args:
        node: mappings, lists, values, and namespaces of an argument parser.
        path: of the node.
    """
    holder = vars(node) if isinstance(node, argparse.Namespace) else node
    items: Any = ()
    if isinstance(holder, dict) and not needs_package(str(holder.get("class_path"))):
        items = list(holder.items())
    elif isinstance(holder, list | tuple | set):
        items = list(enumerate(holder))
    for key, value in items:
        if key == "__path__":  # jsonargparse notes what it has read
            continue
        place = f"{path}.{key}".lstrip(".")
        if isinstance(value, str | os.PathLike):
            yield Text(holder, key, place, os.fspath(value))
        else:
            yield from texts(value, place)


def check_kept(node: Any, source: str, path: str = "callbacks") -> None:
    """Refuse what callbacks have kept that Lightning may look for, or take away, elsewhere.

    It keeps files as values, and as keys. Those outside a callback's folder it leaves alone, but it
    does not resolve `..`.

    Args:
        node: their states.
        source: names what they stand in, for messages.
        path: of the node.

    Raises:
        InputError: names the first such text.
    """
    if isinstance(node, str):
        refuse_address(path, node, source)
        if _ABOVE.search(node):
            raise InputError(f"{path}{source}: {node!r:.80} leads out of its folder")
    elif isinstance(node, dict):
        for key, value in node.items():
            check_kept(key, source, path)
            check_kept(value, source, f"{path}.{key}")
    elif isinstance(node, list | tuple | set):
        for value in node:
            check_kept(value, source, path)


def refuse_address(path: str, text: str, source: str) -> None:
    """Refuse an address on the net.

    Args:
        path: where it stands, for messages.
        text: what may be one.
        source: names what it stands in, likewise.

    Raises:
        InputError: it is one.
    """
    if _ADDRESS.search(text):
        raise InputError(
            f"{path}{source}: expected a path of this machine, found the address {text!r:.80}; "
            "copy what is there; to write there, give it on the command line"
        )


def check(
    tree: Any,
    is_typed: Callable[[str], bool],
    where: Callable[[str], str],
    names: Collection[str] = (),
) -> None:
    """Refuse what of a file or a checkpoint leads to the net, or out of the run folder.

    Args:
        tree: what objects are to be made of.
        is_typed: whether a key is of the command line.
        where: names the source of a key, for messages.
        names: keys of the data whose values name something that is no place.

    Raises:
        InputError: names the first such text.
    """
    for _, key, path, text in texts(tree):
        if is_typed(path):
            continue
        source = where(path)
        if not (path.startswith("data.") and set(names) & set(path.split("."))):
            refuse_address(path, text, source)
        if not path.startswith("trainer."):  # nothing else writes
            continue
        leads_out = _OUTSIDE.search(text) or path == _UPLOADS
        if leads_out or (key == "filename" and set("{}") & set(_FORMATS.sub("", text))):
            raise InputError(
                f"{path}{source}: {text!r:.80} leads out of the run folder, to which a "
                f"configuration is kept; expected a plain name in it; if you trust it, give "
                f"--{_flag(path)} on the command line"
            )


def place(tree: Any, folder: Path | None, is_typed: Callable[[str], bool]) -> None:
    """Let what a file names as places to write lie in the run folder.

    Args:
        tree: checked; it is changed.
        folder: of the run; None where a command has none.
        is_typed: whether a key is of the command line.

    Raises:
        InputError: such a place, without a run folder.
    """
    for holder, key, path, text in texts(tree):
        if key not in PLACES or not path.startswith("trainer.") or is_typed(path):
            continue
        if folder is None:
            raise InputError(
                f"{path}: {text!r:.80} would lie in a run folder, and this command makes none; "
                f"leave it out, or give --{_flag(path)} on the command line"
            )
        holder[key] = str(folder / text)


def _flag(path: str) -> str:
    """Return what a flag can set of a path: a list as a whole."""
    return re.split(r"\.\d+(?:\.|$)", path)[0]

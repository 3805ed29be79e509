"""What jsonargparse and Lightning refuse, in one line that users read."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException

from transformertf.class_paths import refuse_package
from transformertf.cli.limits import limit_told
from transformertf.errors import InputError

# with what Lightning refuses a setting, and what wants a package that is not there
REFUSALS = (ValueError, MisconfigurationException, ImportError)
# how jsonargparse frames the reason it then tells
UNTOLD = ("Does not validate", "Subtypes:", "Errors:", "Expected a", "Given value")


@contextlib.contextmanager
def users_mistakes() -> Iterator[None]:
    """What is refused while the configuration becomes objects is the user's to mend.

    Raises:
        InputError: something was refused.
    """
    try:
        yield
    except InputError:
        raise
    except (TypeError, *REFUSALS) as error:
        raise cause(error) from error


def explain(message: str, config: dict[str, Any], where: Callable[[str], str]) -> str:
    """Return one line for a type error that jsonargparse tells in many.

    Args:
        message: its message.
        config: the configuration it read.
        where: names the source of a key.
    """
    keys = re.findall(r'[Kk]ey "([^"]+)"', message)
    if not keys:
        return " ".join(message.split())
    path, value = _follow(config, ".".join(keys).split("."))
    # the optimizer is the model's, and written at top level
    written = re.sub(r"^model\.init_args\.(lr_scheduler)_(interval|monitor)$", r"\1.\2", path)
    written = re.sub(r"^model\.init_args\.(optimizer|lr_scheduler)\b", r"\1", written)
    path = written if where(written) else path
    denied = re.search(r"Importing '([^']+)' is not allowed", message)
    if denied is not None:
        refuse_package(denied[1], path, where(path))
    lacking = re.search(r"the following arguments are required: (\w+)", message)
    if lacking is not None:
        return f"{path}{where(path)}: lacks {lacking[1]}, which has no default; give it"
    other = re.search(r"Import path (\S+) does not correspond to a subclass of (\w+)", message)
    other = other or re.search(r"Expected '(\S+)' to be a subclass of (\w+)", message)
    if other is not None:
        return f"{path}{where(path)}: expected a {other[2]}; found {other[1]}"
    tail = message[message.rindex(f'"{keys[-1]}"') :]
    expected = [
        _plain_type(line) for line in re.findall(r"(?:Expected|Not) (?:an? )?(.+)", tail)
        # where a function is taken, jsonargparse offers its file and its import path, too
        if "NoneType" not in line and not line.startswith(("path but", "dot import path"))
    ]  # fmt: skip
    wanted = " or ".join(dict.fromkeys(expected)) or " ".join(tail.split())
    # what YAML reads as something else may have been meant as text
    quoted = ", and quotes make text of it" if "str" in expected and value is not None else ""
    return f"{path}{where(path)}: expected {wanted}; found {value!r}{quoted}"


def _follow(node: Any, keys: Sequence[str]) -> tuple[str, Any]:
    """Return path and value of what keys lead to, by arguments of classes and items of lists."""
    path = ""
    for key in keys:
        if isinstance(node, list):
            items = [
                (place, item) for place, item in enumerate(node)
                if isinstance(item, dict) and key in (item.get("init_args") or item)
            ]  # fmt: skip
            if not items:
                continue
            path, node = f"{path}.{items[0][0]}", items[0][1]
        if isinstance(node, dict) and key not in node and key in (node.get("init_args") or {}):
            path, node = f"{path}.init_args", node["init_args"]
        path, node = f"{path}.{key}", node.get(key) if isinstance(node, dict) else ""
    path = path.lstrip(".")
    return path, node


def of_trainer(message: str, chosen: Mapping[str, Any]) -> str:
    """Return a refusal of the trainer with the key that it is about, as far as that is told."""
    if "trainer." in message:
        return message
    given = {key: value for key, value in chosen.items() if value is not None}
    places = [(found.start(), key) for key in given if (found := re.search(rf"\b{key}\b", message))]
    names = [key for _, key in sorted(places)]
    names += [key for key, value in given.items() if isinstance(value, str) and value in message]
    if not names:
        return message
    return f"trainer.{names[0]}: {message.rstrip('.')}; correct it, or leave it out"


def _plain_type(text: str) -> str:
    text = re.sub(r"of type PositiveInt: .*", "whole number above 0", text)
    text = text.partition(". Got value")[0]
    text = re.sub(r"typing\.Literal\[(.*)\]", r"one of \1", text)
    return re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text)


def cause(error: BaseException) -> InputError:
    """Return the user's mistake at the bottom of an error, or make one of its message."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, InputError):
            return link
        link = link.__cause__ or link.__context__
    limit = limit_told(error)
    if limit is not None:
        return InputError(limit)
    lines = [line.strip(" -") for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(UNTOLD)] or lines
    # what ends so only announces the reason
    return InputError(" ".join(told[:2]) if told[0].endswith(":") else told[0])

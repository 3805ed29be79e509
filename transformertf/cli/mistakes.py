"""All mistakes in what a command was given, not only the first.

What is refused tells one mistake. Here the key or value that a refusal names is found where it was
written, and put right or left out in a copy of what was given; then the copy is tried, for the next
one. So every refusal is told by who has it, and none is said twice.
"""

import contextlib
import glob
import io
import itertools
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from transformertf.cli.config import NAMING
from transformertf.cli.yaml_file import YamlFile
from transformertf.errors import InputError

# attempts, each with one mistake less than the one before
MOST = 20
# keys that may be left out of what users write
_FRAMES = ("class_path", "init_args")
# what a word stands for: a flag, a quotation, a dotted key or path, a word
_TOKEN = re.compile(r"--(?P<flag>[\w.]+)|'(?P<quoted>[^']+)'|(?P<word>[\w$~*/][\w$~*/.\-]*)")
_SUGGESTION = re.compile(r"'(?P<wrong>[^']+)'[^';]*; did you mean '(?P<right>[^']+)'\?")


@dataclass(frozen=True)
class Given:
    """What a command was given.

    Attributes:
        files: YAML, the last one wins.
        flags: what is left of the command line, which wins over files.
    """

    files: tuple[YamlFile, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where a key stands, or a value of its list.

    Attributes:
        keys: that lead there, as written.
        shown: file and line, or the flag.
        file: number of the file; None for a flag.
        value: the text of a single value.
        item: number of a value in a list; None of the key itself.
    """

    keys: tuple[str, ...]
    shown: str
    file: int | None
    value: str | None
    item: int | None = None

    @property
    def bare(self) -> tuple[str, ...]:
        """The keys that users may not leave out."""
        return tuple(key for key in self.keys if key not in _FRAMES)


@dataclass
class Findings:
    """Mistakes in the order in which they were found.

    Attributes:
        lines: one for each.
        whole: whether nothing was left that could not be looked at.
    """

    lines: list[str] = field(default_factory=list)
    whole: bool = True


def find_mistakes(
    given: Given,
    attempt: Callable[[Given], None],
    files_read: Callable[[], Mapping[str, Sequence[Path]]],
) -> Findings:
    """Return the mistakes in what was given.

    Args:
        given: as the user gave it.
        attempt: goes as far as a command can without writing anything.
        files_read: the data files of the last attempt by argument, as far as it came.

    Raises:
        InputError: by `attempt`, where it is no mistake in what was given but a limit.
    """
    places, findings = list(_places(given)), Findings()
    told: set[str] = set()
    changed: set[str] = set()
    for count in range(MOST):
        try:
            with contextlib.nullcontext() if count == 0 else _silent():
                attempt(given)
            return findings
        except InputError as error:
            message = " ".join(str(error).split())
        names = {token for token, _ in _tokens(message)}
        place = blamed(message, places)
        follows = bool(names & changed)
        argument, culprit = _file_in(message, files_read())
        if culprit is not None:
            place = _place_of(argument, places)
        same = message if culprit is None else _without(message, culprit)
        if not follows and same not in told:
            told.add(same)
            findings.lines.append(_line(message, place))
        if follows and culprit is None:
            break
        others = [one for one in files_read().get(argument, ()) if one != culprit]
        before = given
        if culprit is not None and others and place is not None:
            given = _with_files(given, place, others)
        elif (place := blamed(message, places)) is not None:
            given, word = corrected(given, place, message)
            changed.add(word)
        if given == before:
            break
    findings.whole = False
    return findings


def blamed(message: str, places: Sequence[Place]) -> Place | None:
    """Return where the key or value was written that a message is about; None where none is found.

    A dotted key comes before all else, then what the message names first. Of several sources the
    last one counts, which wins.
    """
    latest = sorted(places, key=lambda one: -1 if one.file is None else -one.file)
    latest.sort(key=lambda one: one.file is not None)
    found = list(_tokens(message))
    for text, kind in found:
        if kind == "flag" or ("." in text and "/" not in text):
            place = _by_path(text, latest, flags_only=kind == "flag")
            if place is not None:
                return place
    for number, (text, kind) in enumerate(found):
        for place in latest:
            deep = len(place.bare) > 1 or number == 0 or kind == "quoted"
            if place.item is None and place.keys[-1:] == (text,) and deep:
                return place
            if place.value == text and (kind == "quoted" or "/" in text):
                return place
    return None


def corrected(given: Given, place: Place, message: str) -> tuple[Given, str]:
    """Return a copy without what a message is about, or with what it suggests in its place.

    Also returns the word that messages about the consequences would name.
    """
    suggestion = _SUGGESTION.search(message)
    wrong, right = (suggestion["wrong"], suggestion["right"]) if suggestion else ("", "")
    wrong = wrong.rpartition(".")[2] if place.keys[-1:] == (wrong.rpartition(".")[2],) else wrong
    if place.file is None:
        return _corrected_flag(given, place, wrong, right)
    tree = given.files[place.file].tree(NAMING)
    *parents, leaf = place.keys
    holder: Any = tree
    with contextlib.suppress(KeyError, IndexError, TypeError, ValueError):
        for key in parents:
            holder = holder[int(key) if isinstance(holder, list) else key]
        if place.item is not None:
            holder, leaf = holder[leaf], place.value
        if right and wrong == place.keys[-1] and right not in holder:
            holder[right] = holder.pop(leaf)
        elif isinstance(holder, list):
            index = [str(one) for one in holder].index(str(leaf))
            holder[index : index + 1] = [right] if right and wrong == leaf else []
        elif right and wrong == place.value:
            holder[leaf] = right
        else:
            del holder[leaf]
            return _with_tree(given, place.file, tree), str(leaf)
    return _with_tree(given, place.file, tree), right or str(leaf)


def _corrected_flag(given: Given, place: Place, wrong: str, right: str) -> tuple[Given, str]:
    name = ".".join(place.keys)
    words: list[str] = []
    for flag, *values in _flags(given.flags):
        own = flag.removeprefix("--").partition("=")[0]
        if own != name:
            words += [flag, *values]
        elif right and wrong == place.keys[-1]:
            words += [flag.replace(wrong, right, 1), *values]
        elif right and wrong == place.value:
            words += [f"--{name}={right}"]
    return replace(given, flags=tuple(words)), right or place.keys[-1]


def _with_files(given: Given, place: Place, files: Sequence[Path]) -> Given:
    """Return a copy in which an argument names files one by one."""
    names = [glob.escape(str(path.absolute())) for path in files]
    if place.file is None:
        name = ".".join(place.keys)
        kept = [one for one in _flags(given.flags) if one[0].partition("=")[0] != f"--{name}"]
        return replace(given, flags=(*itertools.chain(*kept), f"--{name}", *names))
    tree = given.files[place.file].tree(NAMING)
    holder: Any = tree
    for key in place.keys[:-1]:
        holder = holder[key]
    holder[place.keys[-1]] = names
    return _with_tree(given, place.file, tree)


def _with_tree(given: Given, number: int, tree: dict[str, Any]) -> Given:
    files = list(given.files)
    text = yaml.safe_dump(tree, allow_unicode=True)
    files[number] = replace(files[number], content=text.encode())
    return replace(given, files=tuple(files))


def _places(given: Given) -> Iterator[Place]:
    """Yield where each key and value of the files and flags stands."""
    for number, file in enumerate(given.files):
        root = yaml.compose(file.text(), Loader=yaml.SafeLoader)
        yield from _nodes(root, (), number, str(file.path))
    for flag, *values in _flags(given.flags):
        key, equals, value = flag.removeprefix("--").partition("=")
        texts = [value] if equals else values
        keys = tuple(key.split("."))
        yield Place(keys, f"--{key}", None, texts[0] if len(texts) == 1 else None)
        if len(texts) > 1:
            yield from (Place(keys, f"--{key}", None, text, i) for i, text in enumerate(texts))


def _nodes(node: yaml.Node, keys: tuple[str, ...], number: int, file: str) -> Iterator[Place]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            shown = f"{file}:{key.start_mark.line + 1}"
            text = value.value if isinstance(value, yaml.ScalarNode) else None
            yield Place((*keys, str(key.value)), shown, number, text)
            yield from _nodes(value, (*keys, str(key.value)), number, file)
    if isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            if isinstance(value, yaml.ScalarNode):
                shown = f"{file}:{value.start_mark.line + 1}"
                yield Place(keys, shown, number, value.value, index)
            yield from _nodes(value, (*keys, str(index)), number, file)


def _flags(words: Sequence[str]) -> list[list[str]]:
    """Return flags with the words that follow them; words that follow none stand alone."""
    groups: list[list[str]] = []
    for word in words:
        if word.startswith("--") or not groups or not groups[-1][0].startswith("--"):
            groups.append([word])
        else:
            groups[-1].append(word)
    return groups


def _tokens(message: str) -> Iterator[tuple[str, str]]:
    """Yield what a message names, and as what, but for the words that it only offers."""
    text = re.split(r"; (?:known:|did you mean)", message)[0]
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        yield match[kind].rstrip(".:,"), kind


def _by_path(text: str, places: Sequence[Place], flags_only: bool) -> Place | None:
    """Return the place of a dotted key, or of the nearest one above it."""
    keys = tuple(text.split("."))
    exact = [one for one in places if one.keys == keys and one.item is None]
    bare = tuple(key for key in keys if key not in _FRAMES)
    # the optimizer is the model's, and stands at top level
    ways = [bare, bare[1:]] if bare[:1] == ("model",) and len(bare) > 1 else [bare]
    for way in ways:
        while way and not exact:
            exact = [one for one in places if one.bare == way and one.item is None]
            way = way[:-1] if len(way) > 2 else ()
    found = [one for one in exact if one.file is None] if flags_only else exact
    return found[0] if found else None


def _place_of(argument: str, places: Sequence[Place]) -> Place | None:
    found = [one for one in places if one.keys[-1] == argument and one.item is None]
    return found[-1] if found else None


def _file_in(message: str, read: Mapping[str, Sequence[Path]]) -> tuple[str, Path | None]:
    """Return the data file that a message is about, and the argument that names it."""
    for argument, files in read.items():
        for path in files:
            begins = message.startswith((f"{path}:", f"{path.name}:"))
            if begins or str(path) in message or f"series {path.stem!r}" in message:
                return argument, path
    return "", None


def _without(message: str, path: Path) -> str:
    for name in (str(path), path.name, repr(path.stem)):
        message = message.replace(name, "FILE")
    return message


def _line(message: str, place: Place | None) -> str:
    if place is None:
        return message
    source = place.shown.rpartition(":")[0] or place.shown
    return f"{place.shown}: {message.replace(f' in {source}', '', 1)}"


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Say nothing: it was said at the first attempt."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)

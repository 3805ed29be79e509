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
from collections import Counter
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
# data files that have a mistake, from which on it is the configuration's
SEVERAL = 3
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
        source: the path of the file, or the flag.
        file: number of the file; None for a flag.
        line: in the file, from 1; of a flag, its number.
        value: the text of a single value.
        item: number of a value in a list; None of the key itself.
    """

    keys: tuple[str, ...]
    source: str
    file: int | None
    line: int
    value: str | None
    item: int | None = None

    @property
    def shown(self) -> str:
        """File and line, or the flag."""
        return self.source if self.file is None else f"{self.source}:{self.line}"

    @property
    def order(self) -> tuple[int, int]:
        """Where it stands among others: files one after the other, then flags."""
        return MOST if self.file is None else self.file, self.line

    @property
    def bare(self) -> tuple[str, ...]:
        """The keys that users may not leave out."""
        return tuple(key for key in self.keys if key not in _FRAMES)


@dataclass
class Findings:
    """Mistakes that were found.

    Attributes:
        found: each with its place, where that is known.
        whole: whether nothing was left that could not be looked at.
    """

    found: list[tuple[str, Place | None]] = field(default_factory=list)
    whole: bool = True

    @property
    def lines(self) -> list[str]:
        """One line for each, in the order in which they were written."""
        last = (MOST + 1, 0)
        ordered = sorted(self.found, key=lambda one: last if one[1] is None else one[1].order)
        return [_line(message, place) for message, place in ordered]


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
    search = _Search(given, list(places_of(given)))
    for count in range(MOST):
        try:
            with contextlib.nullcontext() if count == 0 else _silent():
                attempt(search.given)
            return search.findings
        except InputError as error:
            message = " ".join(str(error).split())
        if not search.go_on(message, files_read()):
            break
    search.findings.whole = False
    return search.findings


class _Search:
    """What is found so far, and what is tried next.

    Args:
        given: as the user gave it.
        places: of its keys and values.

    Attributes:
        given: to be tried next.
        findings: so far.
    """

    def __init__(self, given: Given, places: Sequence[Place]) -> None:
        self.given, self.findings = given, Findings()
        # corrected, with all its data files
        self._whole = given
        self._places = places
        self._written = {place.value for place in places}
        # how many data files have a mistake, and where those stand that are of no file
        self._times: Counter[str] = Counter()
        self._told_of: list[Place] = []
        # words that were left out, and words that were taken as suggested
        self._dropped: set[str] = set()
        self._taken: set[str] = set()

    def go_on(self, message: str, read: Mapping[str, Sequence[Path]]) -> bool:
        """Take down a mistake and correct it; return whether that is done.

        A data file with a mistake is left out, so that the others are read. What several files
        have, or the last one, is corrected in the configuration.

        Args:
            message: of a refusal.
            read: the data files by argument.
        """
        argument, file = _file_in(message, read)
        follows = self._follows(message)
        times = self._take_down(message, argument, file, follows)
        others = [one for one in read.get(argument, ()) if one != file]
        named = _place_of(argument, self._places)
        if file is not None and others and named is not None and times < SEVERAL:
            self.given = _with_files(self.given, named, others)
            return True
        return not follows and self._correct(message)

    def _take_down(self, message: str, argument: str, file: Path | None, follows: bool) -> int:
        """Take down a mistake that is the user's and is new; return how many files have it."""
        place = _written_for(message, argument, self._places)
        same = message if file is None else _without(message, file)
        # of one key the first mistake is told: what comes next is of what stands in its place
        key = next(_tokens(message), ("", ""))[0]
        again = any(
            one.keys[-1] == key
            or one == place
            or (place is not None and place.item is None and one.keys == place.keys)
            for one in self._told_of
        )
        if not follows and not (again and file is None) and not self._times[same]:
            self.findings.found.append((message, place))
        self._times[same] += 1
        if file is None and place is not None:
            self._told_of.append(place)
        return self._times[same]

    def _correct(self, message: str) -> bool:
        place = blamed(message, self._places)
        if place is None:
            return False
        before = self._whole
        self._whole, suggested = corrected(before, place, message)
        (self._taken if suggested else self._dropped).add(suggested or place.keys[-1])
        self.given = self._whole
        return self._whole != before

    def _follows(self, message: str) -> bool:
        """Whether a mistake is of what was corrected, and not the user's."""
        suggestion = _SUGGESTION.search(message)
        wrong = suggestion["wrong"] if suggestion else ""
        again = wrong in self._taken and wrong not in self._written
        return again or any(text in self._dropped for text, _ in _tokens(message))


def blamed(message: str, places: Sequence[Place]) -> Place | None:
    """Return where the key or value was written that a message is about; None where none is found.

    A dotted key comes before all else, then the word that it suggests another one for, then what
    the message names first. Of several sources the last one counts, which wins.
    """
    latest = sorted(places, key=lambda one: -1 if one.file is None else -one.file)
    latest.sort(key=lambda one: one.file is not None)
    found = list(_tokens(message))
    for text, kind in found:
        if kind == "flag" or ("." in text and "/" not in text):
            place = _by_path(text, latest, flags_only=kind == "flag")
            if place is not None:
                return place
    suggestion = _SUGGESTION.search(message)
    if suggestion is not None:
        found.insert(0, (suggestion["wrong"], "quoted"))
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

    Also returns the suggestion that was taken, or nothing.
    """
    found = _SUGGESTION.search(message)
    wrong, right = (found["wrong"], found["right"]) if found else ("", "")
    key = place.keys[-1]
    if wrong.rpartition(".")[2] != key and wrong != place.value:
        right = ""
    if place.file is None:
        return _with_flag(given, place, right), right
    tree = given.files[place.file].tree(NAMING)
    holder: Any = tree
    try:
        for parent in place.keys if place.item is not None else place.keys[:-1]:
            holder = holder[int(parent) if isinstance(holder, list) else parent]
        if isinstance(holder, list):
            index = int(key) if place.item is None else [*map(str, holder)].index(str(place.value))
            holder[index : index + 1] = [right] if right else []
        elif right and wrong == place.value:
            holder[key] = right
        elif right and right not in holder:
            holder[right] = holder.pop(key)
        else:
            right = ""
            del holder[key]
    except (KeyError, IndexError, TypeError, ValueError):  # was left out before
        return given, ""
    return _with_tree(given, place.file, tree), right


def _with_flag(given: Given, place: Place, right: str) -> Given:
    """Return a copy with another key or value of a flag, or without it."""
    name, words = ".".join(place.keys), list[str]()
    for flag, *values in _flags(given.flags):
        key, _, value = flag.removeprefix("--").partition("=")
        if key != name:
            words += [flag, *values]
        elif right and place.value in (value, *values) and right != place.keys[-1]:
            words += [f"--{name}", right]
    return replace(given, flags=tuple(words))


def _with_files(given: Given, place: Place, files: Sequence[Path]) -> Given:
    """Return a copy in which an argument names files one by one."""
    names = [glob.escape(str(path)) for path in files]
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


def places_of(given: Given) -> Iterator[Place]:
    """Yield where each key and value of the files and flags stands."""
    for number, file in enumerate(given.files):
        yield from _nodes(file.root(), (), number, str(file.path))
    for line, (flag, *values) in enumerate(_flags(given.flags)):
        key, equals, value = flag.removeprefix("--").partition("=")
        texts = [value] if equals else values
        text = texts[0] if len(texts) == 1 else None
        yield Place(tuple(key.split(".")), f"--{key}", None, line, text)


def _nodes(
    node: yaml.Node | None, keys: tuple[str, ...], number: int, file: str
) -> Iterator[Place]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            line = key.start_mark.line + 1
            text = value.value if isinstance(value, yaml.ScalarNode) else None
            yield Place((*keys, str(key.value)), file, number, line, text)
            yield from _nodes(value, (*keys, str(key.value)), number, file)
    if isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            if isinstance(value, yaml.ScalarNode):
                line = value.start_mark.line + 1
                yield Place(keys, file, number, line, value.value, index)
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


def _written_for(message: str, argument: str, places: Sequence[Place]) -> Place | None:
    """Return where what a message is about was written: of a data file the argument it is in.

    What none of a file's columns is called was written where the column is named.
    """
    suggestion = _SUGGESTION.search(message)
    if argument and suggestion is None:
        return _place_of(argument, places)
    return blamed(message, places)


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
    told = message.replace(f" in {place.source}", "", 1)
    if place.file is None:
        told = told.removeprefix(f"{place.source.removeprefix('--')}: ")
    return f"{place.shown}: {told}"


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

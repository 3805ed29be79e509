"""The command that lists runs: how each went, how well, and in what they differ.

Everything is read from the run folders, without torch.
"""

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from transformertf.cli import runs as folders
from transformertf.cli.screen import say
from transformertf.cli.tables import show
from transformertf.errors import InputError, nearest
from transformertf.places import try_lock
from transformertf.wording import duration, number

# settings that change what is seen of a run alone
_ON_SCREEN = ("trainer.enable_progress_bar", "trainer.enable_model_summary")
_NUMBER = (int, float)
# of what is shown of a record: what is of another kind was not written by a fit
_KINDS: dict[str, type | tuple[type, ...]] = {
    "state": str,
    "epochs": _NUMBER,
    "seconds": _NUMBER,
    "best": dict,
}
# ten times as fast as the one in Python, where it is there
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Run:
    """What a run folder says of its run.

    Attributes:
        folder: of the run.
        state: `running`, `done`, `interrupted`, `failed`; `nothing kept` without a checkpoint,
            `unknown` without a record.
        record: as the fit kept it; empty without one.
        settings: each value of its configuration, by its path.
    """

    folder: Path
    state: str
    record: Mapping[str, Any]
    settings: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """Read a run folder; what is damaged in it counts as missing."""
        record = _record(folder)
        return cls(folder, _state(folder, record), record, _settings(folder))

    @property
    def name(self) -> str:
        """As `--ckpt_path` takes it: NAME/version_K."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def metrics(self) -> dict[str, float]:
        """What was measured with the best checkpoint, by short name."""
        best = self.record.get("best") or {}
        return {
            key.removeprefix("validation/"): value
            for key, value in best.items() if isinstance(value, _NUMBER)
        }  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Return everything, for programs."""
        told = {"run": self.name, "folder": str(self.folder), **self.record, "state": self.state}
        return {**told, "settings": dict(self.settings)}


def runs(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print a table of runs, or all that is known of them."""
    if flags:
        raise InputError(f"runs: unknown argument {flags[0]!r}; known: NAME, --sort, --json")
    known = folders.names()
    if options.name is not None and options.name not in known:
        raise InputError(
            f"no run of {options.name!r} in {folders.ROOT.absolute()}; "
            f"{nearest(options.name, known)}"
        )
    names = known if options.name is None else [options.name]
    found = [Run.read(folder) for name in names for folder in folders.versions(name)[::-1]]
    if options.sort is not None:
        found = _sorted(found, options.sort)
    if options.json:
        print(json.dumps([run.as_json() for run in found], indent=2, ensure_ascii=False))
    elif found:
        _show(found)
    else:
        say(f"no runs in {folders.ROOT.absolute()}")


def _record(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / folders.RECORD).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        key: value for key, value in found.items()
        if key not in _KINDS or isinstance(value, _KINDS[key])
    }  # fmt: skip


def _state(folder: Path, record: Mapping[str, Any]) -> str:
    if _goes_on(folder):
        return "running"
    if not any((folder / folders.CHECKPOINTS).glob("*.ckpt")):
        return "nothing kept"
    state = str(record.get("state", "unknown"))
    # what was killed could not say so
    return "interrupted" if state == "running" else state


def _goes_on(folder: Path) -> bool:
    """Whether a fit has the folder locked; where there are no locks, none is seen."""
    try:
        with (folder / f"{folders.RUNNING}.lock").open("r+b") as file:
            return try_lock(file, wait=False) == "taken"
    except OSError:
        return False


def _settings(folder: Path) -> dict[str, Any]:
    try:
        text = (folder / folders.CONFIG).read_text(encoding="utf-8")
        tree = yaml.load(text, Loader=_LOADER)
    except (OSError, UnicodeError, yaml.YAMLError, RecursionError):
        return {}
    return folders.flat(tree) if isinstance(tree, dict) else {}


def _sorted(found: Sequence[Run], metric: str) -> list[Run]:
    """Return runs by a metric, the smallest first, those without it last.

    Raises:
        InputError: no run has it.
    """
    key = metric.removeprefix("validation/")
    known = {name for run in found for name in run.metrics}
    if found and key not in known:
        raise InputError(f"--sort {metric}: no run has it; {nearest(key, known)}")
    return sorted(found, key=lambda run: run.metrics.get(key, math.inf))


def _show(found: Sequence[Run]) -> None:
    """Print a table of runs."""
    metrics = list(dict.fromkeys(name for run in found for name in run.metrics if name != "epoch"))
    differing = _differing(found)
    rows = []
    for run in found:
        epochs, seconds = run.record.get("epochs"), run.record.get("seconds")
        rows.append([
            run.name, run.state, _shown(epochs, "{:g}".format),
            _shown(run.metrics.get("epoch"), "{:g}".format),
            *(_shown(run.metrics.get(name), number) for name in metrics),
            _shown(seconds, duration), _told(run, differing), _parent(run),
        ])  # fmt: skip
    headings = ["run", "state", "epochs", "best", *metrics, "time", "settings", "from"]
    show(headings, rows, left=("run", "state", "settings", "from"))


def _differing(found: Sequence[Run]) -> dict[str, str]:
    """Return the settings that are not the same in all runs, with the shortest name of each."""
    every = list(dict.fromkeys(path for run in found for path in run.settings))
    paths = [
        path for path in every
        if path not in _ON_SCREEN
        and len({repr(run.settings.get(path)) for run in found if run.settings}) > 1
    ]  # fmt: skip
    plain = {path: path.replace(".init_args", "").removesuffix(".class_path") for path in paths}
    return {path: _shortest(name, list(plain.values())) for path, name in plain.items()}


def _shortest(name: str, names: Sequence[str]) -> str:
    """Return the end of a dotted name that is no end of another one."""
    parts = name.split(".")
    for count in range(1, len(parts)):
        end = ".".join(parts[-count:])
        if sum(f".{other}".endswith(f".{end}") for other in names) == 1:
            return end
    return name


def _told(run: Run, differing: Mapping[str, str]) -> str:
    own = ((name, run.settings[path]) for path, name in differing.items() if path in run.settings)
    return ", ".join(f"{name} {_value(value)}" for name, value in own)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else json.dumps(value, default=str)


def _shown(value: float | None, form: Callable[[float], str]) -> str:
    return "" if value is None else form(value)


def _parent(run: Run) -> str:
    path = run.record.get("parent")
    if not isinstance(path, str):
        return ""
    folder = folders.folder_of(Path(path))
    return path if folder is None else f"{folder.parent.name}/{folder.name}"

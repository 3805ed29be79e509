"""Commands as Python calls them: what a notebook fits and evaluates is what a command would."""

import argparse
import contextlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities.seed import isolate_rng

from transformertf.checkpoint import Checkpoint
from transformertf.class_paths import allowing
from transformertf.cli.evaluate import judge
from transformertf.cli.fit import fit
from transformertf.cli.keywords import FRAME, KEPT
from transformertf.cli.options import make_parser
from transformertf.cli.proposing import Call
from transformertf.cli.ranks import fast_process
from transformertf.cli.screen import quiet
from transformertf.cli.surroundings import check_surroundings
from transformertf.cli.yaml_file import YamlFile
from transformertf.errors import InputError
from transformertf.evaluation import Evaluation

# a flag of the command line
_FLAG = re.compile(r"(?<!\S)--([a-zA-Z][\w.-]*)")


def call_fit(
    call: Call,
    config: Path | None,
    name: str | None,
    ckpt_path: str | None,
    allow: Sequence[str] = (),
) -> Path:
    """Train as `transformertf fit` does, and return the run folder.

    Args:
        call: what is trained, over a configuration.
        config: file of a configuration; None for none.
        name: of the experiment.
        ckpt_path: checkpoint that the fit goes on from, or `last`.
        allow: further packages whose classes may be named.

    Raises:
        InputError: as the command.
    """
    options = _options("fit", name=name, ckpt_path=ckpt_path, allow=list(allow))
    with _as_command(allow):
        if config is not None:
            options.config = [YamlFile.read(config)]
        folder = fit(options, (), call)
    if folder is None:
        raise InputError(f"{call.name}: nothing to do; raise epochs to go on")
    if not folder.exists():
        raise InputError(f"{call.name}: nothing was kept to forecast with; train a whole step")
    return folder


def call_evaluate(
    checkpoint: Checkpoint,
    accelerator: str,
    allow: Sequence[str],
    folder: Path | None,
    **given: Any,
) -> Evaluation:
    """Score forecasts as `transformertf evaluate` does.

    Args:
        checkpoint: what was trained.
        accelerator: where to compute.
        allow: further packages whose classes may be named.
        folder: takes what the command leaves; None to leave nothing.
        **given: options of the command.

    Raises:
        InputError: as the command.
    """
    flags = ["--trainer.accelerator", accelerator]
    with contextlib.ExitStack() as stack:
        if folder is None:
            given |= {"plots": False}
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()), "evaluation")
        stack.enter_context(_as_command(allow))
        found = judge(_options("evaluate", output=folder, **given), flags, checkpoint)
    assert found is not None  # there is one process
    return found[0]


def _options(command: str, **given: Any) -> argparse.Namespace:
    """Return the options of a command, of which some are given."""
    options, _ = make_parser({command: ""}).parse_known_args([command])
    vars(options).update({key: value for key, value in given.items() if value is not None})
    return options


@contextlib.contextmanager
def _as_command(allow: Sequence[str]) -> Iterator[None]:
    """Compute as a command does; the caller's random numbers and threads stay as they were."""
    check_surroundings()
    threads = torch.get_num_threads()
    with quiet(verbose=False), fast_process(), allowing(allow), isolate_rng():
        try:
            yield
        except InputError as error:
            raise type(error)(_in_python(str(error))) from error
        finally:
            torch.set_num_threads(threads)


def _in_python(message: str) -> str:
    """Return a message with keywords for flags, and the frame for the file that it is kept in."""
    named = KEPT.sub(FRAME, message).replace("-n NAME", "name")
    return _FLAG.sub(lambda flag: flag[1].replace("-", "_"), named)

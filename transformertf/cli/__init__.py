"""The command line: `transformertf COMMAND`, which `main.COMMANDS` lists.

    words -> options -> checkpoint and composed configuration -> data and model -> trainer -> run

`main` and `options` read the words, without torch; `help_pages` and `completion` tell what the
`catalogue` knows. Each command has a file, which tells its steps: `experiment` finds the checkpoint
and composes, by `config`; `lightning_cli` builds data and model and makes the trainer; `agreement`
refuses, in between, what does not fit together.

`called` runs a command for Python, `keywords` are what it gives in the place of words, and
`proposing` looks at the data for what it leaves unsaid.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from transformertf.cli.main import main
from transformertf.cli.screen import quiet

if TYPE_CHECKING:
    from transformertf.cli.called import call_evaluate, call_fit
    from transformertf.cli.proposing import Call
    from transformertf.cli.runs import best_checkpoint

__all__ = ["Call", "best_checkpoint", "call_evaluate", "call_fit", "main", "quiet"]

# for the Python door; what they import takes seconds
_PLACES = {
    "Call": "proposing",
    "best_checkpoint": "runs",
    "call_evaluate": "called",
    "call_fit": "called",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"transformertf.cli.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The command line: `transformertf COMMAND`, which `main.COMMANDS` lists.

    words -> options -> checkpoint and composed configuration -> data and model -> trainer -> run

`main` and `options` read the words, without torch; `help_pages` and `completion` tell what the
`catalogue` knows. Each command has a file, which tells its steps: `experiment` finds the checkpoint
and composes, by `config`; `lightning_cli` builds data and model and makes the trainer; `agreement`
refuses, in between, what does not fit together.
"""

from transformertf.cli.main import main

__all__ = ["main"]

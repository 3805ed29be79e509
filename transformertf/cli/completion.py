"""What lets a shell complete commands, options, keys of configurations and their values.

Scripts of words alone: none asks Python anything while one types.
"""

import argparse
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from transformertf.cli import catalogue
from transformertf.cli.help_pages import groups_of, keys

SHELLS = ("bash", "zsh", "fish")
# keys whose value is the name of a class, by the section that it is of
NAMING = {
    "model": "model",
    "data": "data",
    "optimizer": "optimizer",
    "lr_scheduler": "lr_scheduler",
    "model.criterion": "criterion",
    "trainer.callbacks": "callbacks",
    "trainer.logger": "logger",
}
FILES = ("FILE", "DIR", "CHECKPOINT", "SOURCE")
ZSH = (
    "(( $+functions[compdef] )) || { autoload -U +X compinit && compinit; }",
    "autoload -U +X bashcompinit && bashcompinit",
)
LONGEST = 60  # of what fish says of a key


@dataclass
class Flag:
    """A flag, what it means, what may follow it, and the commands that take it.

    Attributes:
        text: what it means.
        takes_value: something follows it.
        is_file: that is a file or a folder.
        values: that is one of these, or one of these may be.
        commands: by name.
    """

    text: str = ""
    takes_value: bool = True
    is_file: bool = False
    values: tuple[str, ...] = ()
    commands: list[str] = field(default_factory=list)


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """Return the script of a shell.

    Args:
        shell: one of `SHELLS`.
        parser: of all commands.
    """
    commands = {
        name: command
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, command in action.choices.items()
    }
    flags = _flags(commands)
    if shell == "fish":
        return "\n".join(_fish(commands, flags))
    # zsh takes what bash does
    return "\n".join([*(ZSH if shell == "zsh" else ()), *_bash(commands, flags)])


def _flags(commands: dict[str, argparse.ArgumentParser]) -> dict[str, Flag]:
    """Return the flags of all commands."""
    found: dict[str, Flag] = {}
    for name, command in commands.items():
        for action in command._actions:
            for word in action.option_strings:
                found.setdefault(word, _option(action, name)).commands.append(name)
        if "--help-all" not in command._option_string_actions:  # it takes no keys
            continue
        for key, one in keys(name).items():
            is_file = key.endswith("_paths")
            values = (*one.choices, *(("true", "false") if "bool" in one.kind else ()))
            flag = Flag(one.text, is_file=is_file, values=values)
            found.setdefault(f"--{key}", flag).commands.append(name)
        for key, section in NAMING.items():
            if section in groups_of(name):
                flag = Flag(f"class of {section}", values=tuple(catalogue.classes(section)))
                found.setdefault(f"--{key}", flag).commands.append(name)
    return found


def _option(action: argparse.Action, command: str) -> Flag:
    """Return an option of a command."""
    is_file = action.type is Path or action.metavar in FILES
    values = tuple(map(str, action.choices or ()))
    if action.metavar == "GROUP":
        values = tuple(groups_of(command))
    if "--ckpt_path" in action.option_strings:
        values = ("last",)
    text = (action.help or "") % (vars(action) | {"prog": command})
    return Flag(text, action.nargs != 0, is_file, values)


def _bash(commands: Iterable[str], flags: dict[str, Flag]) -> Iterator[str]:
    """Yield the lines for bash."""
    yield from (
        "_transformertf() {",
        '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" words=""',
        "  COMPREPLY=()",
        '  if [ "$COMP_CWORD" -eq 1 ]; then',
        f'    words="{" ".join([*commands, "--help", "--version", "--completion"])}"',
        "  fi",
        '  case "$before" in',
        f'    --completion) words="{" ".join(SHELLS)}" ;;',
    )
    for word, flag in flags.items():
        if flag.is_file or flag.values:
            files = ' COMPREPLY=($(compgen -f -- "$word"))' if flag.is_file else ""
            yield f'    {word}) words="{" ".join(flag.values)}"{files} ;;'
    yield from ("  esac", '  if [ -z "$words" ] && [ ${#COMPREPLY[@]} -eq 0 ]; then')
    yield '    case "${COMP_WORDS[1]}" in'
    for name in commands:
        own = " ".join(word for word, flag in flags.items() if name in flag.commands)
        yield f'      {name}) words="{own}" ;;'
    yield from (
        "    esac",
        "  fi",
        '  COMPREPLY+=($(compgen -W "$words" -- "$word"))',
        "}",
        "complete -o default -F _transformertf transformertf",
    )


def _fish(commands: dict[str, argparse.ArgumentParser], flags: dict[str, Flag]) -> Iterator[str]:
    """Yield the lines for fish."""
    yield "complete -c transformertf -f"
    for name, command in commands.items():
        text = (command.description or "").partition("\n")[0]
        yield f"complete -c transformertf -n __fish_use_subcommand -a {name} -d {shlex.quote(text)}"
    for word, flag in flags.items():
        kind = "l" if word.startswith("--") else "s"
        parts = ["complete -c transformertf", f"-{kind} {word.lstrip('-')}"]
        parts.insert(1, f"-n '__fish_seen_subcommand_from {' '.join(flag.commands)}'")
        if flag.takes_value:
            parts.append("-r -F" if flag.is_file else "-x")
        if flag.values:
            parts.append(f"-a {shlex.quote(' '.join(flag.values))}")
        text = flag.text if len(flag.text) <= LONGEST else f"{flag.text[:LONGEST]}…"
        yield " ".join([*parts, "-d", shlex.quote(text)])
    yield f"complete -c transformertf -l completion -x -a '{' '.join(SHELLS)}'"

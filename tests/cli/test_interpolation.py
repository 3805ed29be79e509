"""What `${...}` may say, how much it may put in, and that nothing runs or is imported for it."""

import sys
from pathlib import Path
from typing import Any

import pytest

from transformertf.cli.interpolation import as_text, resolve
from transformertf.errors import InputError


def nowhere(_: str) -> str:
    return ""


def test_values_and_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "five")
    tree = {
        "a": {"b": 3, "c": "${.b}", "list": [1, "${..b}"]},
        "d": "${a.b} and ${a.list[0]} and ${oc.env:MINE}",
        "e": "${a}",
        "f": "${e.list.1}",
        "g": r"\${a.b}",
        "h": "${oc.env:TRANSFORMERTF_NONE, other}",
    }
    part = {"b": 3, "c": 3, "list": [1, 3]}
    text = "3 and 1 and five"
    assert resolve(tree, nowhere) == {
        "a": part, "d": text, "e": part, "f": 3, "g": "${a.b}", "h": "other",
    }  # fmt: skip


def doubling(n: int) -> Any:
    return {"a0": "x" * 10, **{f"a{i}": f"${{a{i - 1}}}${{a{i - 1}}}" for i in range(1, n)}}


TOO_MUCH = {
    "texts": doubling(40),
    "from the end": dict(reversed(doubling(40).items())),
    "mappings": {
        "a0": 1,
        **{f"a{i}": {"x": f"${{a{i - 1}}}", "y": f"${{a{i - 1}}}"} for i in range(1, 40)},
    },
    "lists": {"a0": 1, **{f"a{i}": [f"${{a{i - 1}}}"] * 9 for i in range(1, 30)}},
    "lists from their end": {
        "a0": [1],
        **{f"a{i}": [f"${{a{i - 1}[-1]}}" * 9] for i in range(1, 9)},
    },
    "signs of an index": {"a0": ["x"], **{f"a{i}": [f"${{a{i - 1}.+0}}" * 9] for i in range(1, 9)}},
    "a long text": {"a": "x" * 1000, "b": "${a}" * 200},
    "circle": {"a": "${b}", "b": {"c": "${a}${a}"}},
    "within itself": {"a": {"b": "${a}"}},
    "chain": {"a0": 1, **{f"a{i}": f"${{a{i - 1}}}" for i in range(1, 3000)}},
    "mappings in mappings": {"a0": 1, **{f"a{i}": {"x": f"${{a{i - 1}}}"} for i in range(1, 400)}},
}


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_too_much_is_refused_unresolved(kind: str) -> None:
    with pytest.raises(InputError, match=r"put in more|goes deeper"):
        resolve(TOO_MUCH[kind], nowhere)


@pytest.mark.parametrize(
    "text",
    [
        "${oc.coerce:stranger.x,1}",
        "${ oc.coerce : stranger.x, 1}",
        "${oc.${b}:stranger.x,1}",
        "${oc.env:NONE,${oc.coerce:stranger.x,1}}",
        "${oc.decode:'${oc.coerce:stranger.x,1}'}",
        r"${oc.decode:'\${oc.coerce:stranger.x,1}'}",
        r"\\${oc.coerce:stranger.x,1}",
        "${oc.create:{x:1}}",
        "${a.${b}}",
        "${a",
        "${}",
    ],
)
def test_no_other_resolver(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OmegaConf's oc.coerce imports the module that it is given."""
    (tmp_path / "stranger.py").write_text("x = int\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        InputError, match=r"a\.0: found \$\{.*expected the key of a value or oc\.env"
    ):
        resolve({"a": [text], "b": "coerce"}, nowhere)
    assert "stranger" not in sys.modules


@pytest.mark.parametrize("text", ["${b}", r"\${b}", r"x\\${b}${", "${oc.env:HOME}"])
def test_text_of_a_checkpoint_stays_as_it_is(text: str) -> None:
    assert resolve({"a": as_text([text]), "b": 1}, nowhere)["a"] == [text]

"""The doors that hand out names when they are asked for: as many as they say, and each."""

import ast
import importlib
from pathlib import Path

import pytest


@pytest.mark.parametrize("door", ["transformertf.data"])
def test_a_door_gives_what_it_names_to_readers_of_types(door):
    module = importlib.import_module(door)
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))
    named = {
        str(node.module).rpartition(".")[2]: {alias.name for alias in node.names}
        for node in typed.body
        if isinstance(node, ast.ImportFrom)
    }
    assert named == {name: set(names) for name, names in module._MODULES.items()}
    for name in set().union(*named.values()):
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match=f"module '{door}' has no attribute 'Nothing'"):
        _ = module.Nothing

"""The command that shows and clears what is kept of large tables."""

import numpy as np
import pytest

from transformertf.cli import main
from transformertf.data.reading import cache


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFORMERTF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_entries_are_shown_and_cleared(root, capsys):
    for name, rows in (("one", 1_000_000), ("two", 500_000)):
        cache.cached_array([name], (rows,), np.float64, lambda out: out.fill(0), name)
    assert main(["cache"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert {tuple(line.split()[::4]) for line in lines[:2]} == {("8", "one"), ("4", "two")}
    assert lines[2] == f"{root}: 2 entries, 12 MB"
    assert main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out == f"{root}: 12 MB freed\n"
    assert cache.cache_entries() == []
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"{root}: 0 entries, 0 B\n"


def test_it_has_only_its_own_option(fails, capsys):
    assert "cache: unknown argument '--config'; known: --clear" in fails(
        "cache", "--config", "a.yml"
    )
    with pytest.raises(SystemExit):
        main(["cache", "--help"])
    assert "--ckpt_path" not in capsys.readouterr().out

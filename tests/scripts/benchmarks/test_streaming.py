"""The streaming benchmark: its sessions are what they are named, its page says what was found."""

import re

import pytest

from scripts.benchmarks import streaming


@pytest.mark.parametrize("name", streaming.CANDIDATES)
def test_a_candidate_takes_a_row_at_each_call(name):
    candidate = streaming.CANDIDATES[name]
    session = streaming.Session(candidate, 5, streaming.make_rows(40))
    assert session.stream.rows == 5
    assert session() > 0
    assert session.stream.rows == 6
    assert session.stream.carries_state == name.endswith("carried")
    assert type(session.stream.model).__name__.startswith(name.split(",")[0].removeprefix("TFT"))


def test_every_session_is_in_the_table(monkeypatch):
    monkeypatch.setattr(streaming, "TURN", 2)
    found = streaming.measure((3, 4), rounds=1)
    assert [row[:2] for row in found] == [
        [name, context] for name in streaming.CANDIDATES for context in ("3", "4")
    ]
    assert all(float(row[2]) <= float(row[3]) for row in found)


def test_the_page_tells_what_was_found():
    page = streaming.write_page("A machine.", [["LSTM, carried", "168", "1", "2"]], 20)
    assert "A machine." in page
    assert "| LSTM, carried | 168 | 1 | 2 |" in page
    assert "turns of 50\nupdates, in random order, 20 turns each" in page
    assert not re.search(r"[{}]", page)

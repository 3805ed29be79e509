"""Where columns go, by what memory there is."""

import os

import pytest

from transformertf.data.reading import memory as places

MB = 2**20


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Return what writes a file of the system's."""
    monkeypatch.setattr(places, "PROC", tmp_path / "proc")
    monkeypatch.setattr(places, "CGROUPS", tmp_path / "groups")

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


@pytest.fixture
def memory(system):
    system("proc/meminfo", f"MemTotal: {2000 * 1024} kB\nMemAvailable:   {1000 * 1024} kB\n")


def test_what_is_more_than_a_share_is_mapped(memory):
    limit = int(places.SHARE * 1000 * MB) // 10
    assert places.chosen("auto", limit, 10) == "memory"
    assert places.chosen("auto", limit + 1, 10) == "mmap"


@pytest.mark.parametrize("asked", ["memory", "mmap"])
@pytest.mark.parametrize("rows", [1, 10**12])
def test_what_is_asked_for_is_done(memory, asked, rows):
    assert places.chosen(asked, rows, 8) == asked


LIMITS = [
    ("0::/\n", {"memory.max": 300}),
    ("0::/job/step\n", {"job/step/memory.max": 300, "job/memory.max": 400}),
    # the limit may be that of a group around it, or seen from inside a container only
    ("0::/job/step\n", {"job/step/memory.max": None, "job/memory.max": 300}),
    ("3:cpu:/x\n0::/else/where\n", {"memory.max": 300}),
    ("3:cpu,memory:/job\n0::/\n", {"memory/job/memory.limit_in_bytes": 300}),
    ("3:cpu:/\n4:memory:/job\n", {"memory/memory.limit_in_bytes": 300}),
]


@pytest.mark.parametrize(("groups", "limits"), LIMITS)
def test_control_groups_bound_what_is_available(system, memory, groups, limits):
    assert places.available_memory() == 1000 * MB
    system("proc/self/cgroup", groups)
    for name, limit in limits.items():
        system(f"groups/{name}", "max\n" if limit is None else f"{limit * MB}\n")
    assert places.available_memory() == 300 * MB


def test_a_limit_beyond_what_is_there_does_not_count(system, memory):
    system("proc/self/cgroup", "4:memory:/\n")
    system("groups/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert places.available_memory() == 1000 * MB


def test_where_nothing_is_told_all_memory_counts(system, monkeypatch):
    sizes = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    assert places.available_memory() == 4096000


def test_this_machine_has_memory():
    assert places.available_memory() > 2**26

"""Pages of mapped files leave memory, and nothing is lost."""

import sys
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from transformertf.data.reading import all_finite, memory
from transformertf.data.reading.memory import PIECE, keep_track, release, slices
from transformertf.data.scaling.training_rows import TrainingRows
from transformertf.data.series import FloatArray, Series

ROWS = 2**22  # 32 MB


def resident() -> int:
    """Return the bytes of mapped files that are in memory."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssFile"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("by", ["hand", "slices"])
def test_what_was_written_leaves_memory_and_can_be_read(tmp_path: Path, by: str) -> None:
    path = tmp_path / "x.npy"
    made = keep_track(np.lib.format.open_memmap(path, "w+", np.float64, (ROWS,)))
    release()
    before = resident()
    highest = 0
    if by == "hand":
        made[:] = np.arange(ROWS)
        highest = resident()
        release()
        assert highest - before > 30e6
    else:
        for rows in slices(0, ROWS, ROWS // 16):
            made[rows] = np.arange(rows.start, rows.stop)
            highest = max(highest, resident())
        assert highest - before < 8e6
    assert resident() - before < 4e6
    np.testing.assert_array_equal(made, np.arange(ROWS))
    read = keep_track(np.load(path, mmap_mode="r"))
    assert type(read) is np.ndarray
    np.testing.assert_array_equal(read, made)


def test_a_map_that_is_gone_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    part = keep_track(np.lib.format.open_memmap(path, "w+", np.float64, (8,)))[2:4]
    part[:] = 3.0
    release()
    assert part.tolist() == [3.0, 3.0]
    del part
    release()


def test_pages_are_let_go_by_rows_not_by_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    class Map:
        calls = 0

        def madvise(self, _: int) -> None:
            self.calls += 1

    mapped = Map()
    monkeypatch.setattr(memory, "_maps", {mapped})
    for _ in range(1000):
        assert list(slices(0, 60, PIECE)) == [slice(0, 60)]
    assert mapped.calls < 3
    list(slices(0, 8 * PIECE, PIECE))
    assert mapped.calls >= 8


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("by", ["finite", "training rows"])
def test_a_pass_over_a_column_does_not_fill_memory(tmp_path: Path, by: str) -> None:
    made = keep_track(np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float64, (1, ROWS)))
    column = cast(FloatArray, made)
    column[:] = 1.0
    release()
    before = resident()
    if by == "finite":
        assert all_finite(column[0])
    else:
        rows = TrainingRows([Series("s", column.T, None, ROWS)], [ROWS])
        assert sum(piece.column.sum() for piece in rows.pieces(0)()) == ROWS
    assert resident() - before < 8e6

"""Pages of mapped files leave memory, and nothing is lost."""

import os
import sys
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest

from transformertf.data import EncoderDecoderDataModule
from transformertf.data.reading import all_finite, memory
from transformertf.data.reading.memory import PIECE, keep_track, release, require_whole, slices
from transformertf.data.scaling.training_rows import TrainingRows
from transformertf.data.series import FloatArray, Series
from transformertf.errors import InputError

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
        rows = TrainingRows([Series("s", column.T, None, ROWS)], [[(0, ROWS)]])
        assert sum(piece.column.sum() for piece in rows.pieces(0)()) == ROWS
    assert resident() - before < 8e6


def test_a_file_that_is_cut_while_it_is_mapped_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    made = keep_track(np.lib.format.open_memmap(path, "w+", np.float64, (ROWS,)))
    rows = slices(0, ROWS, ROWS // 4)
    made[next(rows)] = 1.0
    os.truncate(path, ROWS)
    with pytest.raises(InputError, match=r"x\.npy: was cut while it was in use; clear the cache"):
        next(rows)
    del made
    require_whole()


def test_no_batch_is_made_of_a_cache_that_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSFORMERTF_CACHE", str(tmp_path / "cache"))
    rows = np.arange(9000.0)
    pd.DataFrame({"x": rows, "y": rows}).to_parquet(tmp_path / "run.parquet")
    data = EncoderDecoderDataModule(
        "y", "x", train_df_paths=str(tmp_path / "run.parquet"), storage="mmap",
        ctxt_seq_len=8, tgt_seq_len=4,
    )  # fmt: skip
    data.setup("fit")
    batches = iter(data.train_dataloader())
    next(batches)
    (entry,) = tmp_path.glob("cache/array-*/array.npy")
    os.truncate(entry, 200)
    with pytest.raises(InputError, match=r"array\.npy: was cut while it was in use"):
        next(batches)

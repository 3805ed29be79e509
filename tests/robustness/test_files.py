"""Files that are not what they should be: refused in one clear line, or the numbers are right."""

import gzip
import os
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.robustness.frames import (
    ROWS,
    Tried,
    assert_same,
    examples,
    make_frame,
    outcome,
)
from transformertf.batch import Batch
from transformertf.data import EncoderDecoderDataModule
from transformertf.errors import InputError

ENDINGS = ("parquet", "feather", "csv")


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same table in each format."""
    folder = tmp_path_factory.mktemp("contents")
    frame = make_frame().assign(note="é")
    frame.to_csv(folder / "run.csv", index=False)
    frame.to_feather(folder / "run.feather")
    frame.to_parquet(folder / "run.parquet", write_page_checksum=True)
    return {ending: (folder / f"run.{ending}").read_bytes() for ending in ENDINGS}


# damaged files


@pytest.mark.parametrize("ending", ["parquet", "feather"])
@pytest.mark.parametrize("kept", [0, 1, 4, 8, 100, 0.3, 0.6, 0.9, -8, -4, -1])
def test_a_truncated_file_is_refused(
    tried: Tried, tmp_path: Path, contents: dict[str, bytes], ending: str, kept: float
) -> None:
    whole, path = contents[ending], tmp_path / f"run.{ending}"
    path.write_bytes(whole[: int(kept * len(whole)) if 0 < kept < 1 else int(kept)])
    line = outcome(path, tried)
    assert f"{path}: not a readable {ending} file (" in line
    assert "see that it is whole" in line


@pytest.mark.parametrize("lost", [30, 60, 500])
def test_a_truncated_csv_file_lacks_values(
    tried: Tried, tmp_path: Path, contents: dict[str, bytes], lost: int
) -> None:
    path = tmp_path / "run.csv"
    path.write_bytes(contents["csv"][:-lost])
    assert f"{path}: column " in outcome(path, tried)


@pytest.mark.parametrize("ending", ["parquet", "feather"])
@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_is_refused_or_leaves_numbers(
    tried: Tried, tmp_path: Path, contents: dict[str, bytes], ending: str, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    content = bytearray(contents[ending])
    content[generator.integers(len(content))] ^= 1 << int(generator.integers(8))
    path = tmp_path / f"run.{ending}"
    path.write_bytes(content)
    outcome(path, tried)


@pytest.mark.parametrize("folder", [False, True])
def test_a_flipped_bit_of_values_with_a_checksum_is_refused(
    tried: Tried, tmp_path: Path, folder: bool
) -> None:
    (tmp_path / "runs").mkdir()
    path = tmp_path / "runs" / "run.parquet"
    make_frame().to_parquet(path, write_page_checksum=True, compression=None, use_dictionary=False)
    whole = path.read_bytes()
    for row in (3, 20):
        value = make_frame()["target"].to_numpy()[[row]].tobytes()
        assert whole.count(value) == 1
        content = bytearray(whole)
        content[whole.index(value) + 5] ^= 16
        path.write_bytes(content)
        line = outcome(path.parent if folder else path, tried)
        assert "not a readable" in line
        assert "CRC" in line


@examples(0.3)
@given(data=st.data(), ending=st.sampled_from(["csv", "csv", "parquet"]))
def test_any_bytes_are_refused_or_a_table(
    tried: Tried,
    tmp_path_factory: pytest.TempPathFactory,
    contents: dict[str, bytes],
    data: st.DataObject,
    ending: str,
) -> None:
    whole = contents[ending]
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, min(len(whole), begin + 40)))
    path = tmp_path_factory.getbasetemp() / f"any.{ending}"
    path.write_bytes(whole[:begin] + data.draw(st.binary(max_size=20)) + whole[end:])
    # lines of a csv file may fall together, and then their numbers are others
    outcome(path, tried)


# other files than the ending says

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
FOREIGN: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "nothing": lambda _: b"",
    "one line break": lambda _: b"\n",
    "text": lambda _: b"hello\nworld\n",
    "a web page": lambda _: b"<html>\n<body>404, not found</body></html>\n",
    "a picture": lambda _: PICTURE,
    "zeros": lambda _: bytes(1000),
    "gzip": lambda contents: gzip.compress(contents["csv"]),
    "zip": lambda _: b"PK\x03\x04" + bytes(60),
    **{ending: itemgetter(ending) for ending in ENDINGS},
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_a_wrong_ending_is_refused(
    tried: Tried,
    tmp_path: Path,
    clean: list[Batch],
    contents: dict[str, bytes],
    ending: str,
    content: Callable[[dict[str, bytes]], bytes],
) -> None:
    path = tmp_path / f"run.{ending}"
    path.write_bytes(content(contents))
    found = outcome(path, tried)
    if content(contents) == contents[ending]:
        assert_same(found, clean)
    else:
        assert str(path) in found
        assert len(found) < 400


@pytest.mark.parametrize("name", ["run.xlsx", "run.csv.bz2", "run", ".csv"])
def test_an_ending_that_is_not_known_is_refused(tried: Tried, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("t,known,past,target\n")
    line = outcome(tmp_path / name, tried)
    assert "expected one of .csv, .feather, .h5, .hdf5, .parquet, .tsv, .txt, " in line
    assert "; convert it" in line


# columns of parquet and feather files


@pytest.mark.parametrize("ending", ["parquet", "feather"])
@pytest.mark.parametrize("twice", ["known", "other"])
def test_a_column_twice_in_a_file(
    tried: Tried, tmp_path: Path, clean: list[Batch], ending: str, twice: str
) -> None:
    frame = make_frame()
    arrays = [pa.array(frame[name]) for name in frame.columns]
    table = pa.table([*arrays, *arrays[:2]], [*frame.columns, twice, twice])
    path = tmp_path / f"run.{ending}"
    if ending == "parquet":
        pyarrow.parquet.write_table(table, path)
    else:
        pa.feather.write_feather(table, path)
    found = outcome(path, tried)
    if twice == "known":
        assert f"{path}: 3 columns are named 'known'; rename all but one" in found
    else:
        assert_same(found, clean)


@pytest.mark.parametrize("ending", ["parquet", "feather"])
@pytest.mark.parametrize("value", [[1], {"a": 1}], ids=["list", "dictionary"])
def test_an_id_that_is_nested_is_refused(
    tried: Tried, tmp_path: Path, ending: str, value: Any
) -> None:
    frame = make_frame().assign(id=[value] * ROWS)
    path = tmp_path / f"run.{ending}"
    getattr(frame, f"to_{ending}")(path)
    assert "series_id column 'id' holds " in outcome(path, tried, series_id="id")


# paths


def test_paths_that_lead_nowhere(tried: Tried, tmp_path: Path) -> None:
    make_frame().to_csv(tmp_path / "run.csv", index=False)
    for ending in ENDINGS:
        (tmp_path / f"folder.{ending}").mkdir()
        (tmp_path / f"link.{ending}").symlink_to(tmp_path / "nothing")
        (tmp_path / f"loop.{ending}").symlink_to(tmp_path / f"loop.{ending}")
        assert "holds no parquet files; give" in outcome(tmp_path / f"folder.{ending}", tried)
        for name in ("link", "loop"):
            line = outcome(tmp_path / f"{name}.{ending}", tried)
            assert str(line).endswith("found a link to what is not there; correct the path")
    os.mkfifo(tmp_path / "pipe.csv")
    assert "expected a file, found no file" in outcome(tmp_path / "pipe.csv", tried)


@pytest.mark.parametrize(
    "name", ["none.csv", "*.none", "[", "run.csv/run.csv", "a\nb.csv", "a\0b.csv", "x" * 300]
)
def test_paths_without_a_file(tried: Tried, tmp_path: Path, name: str) -> None:
    make_frame().to_csv(tmp_path / "run.csv", index=False)
    assert "train_df_paths: no file " in outcome(tmp_path / name, tried)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_may_not_be_read(
    tried: Tried, tmp_path: Path, contents: dict[str, bytes], ending: str
) -> None:
    path = tmp_path / f"run.{ending}"
    path.write_bytes(contents[ending])
    path.chmod(0)
    assert "see that it is there and may be read" in outcome(path, tried)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("storage", ["memory", "mmap"])
def test_a_file_that_is_gone_after_setup_is_told_when_it_is_read_again(
    tried: Tried,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    contents: dict[str, bytes],
    ending: str,
    storage: Any,
) -> None:
    monkeypatch.setenv("TRANSFORMERTF_CACHE", str(tmp_path / "cache"))
    path = tmp_path / f"run.{ending}"
    path.write_bytes(contents[ending])
    data = EncoderDecoderDataModule(
        "target", "known", train_df_paths=str(path), ctxt_seq_len=4, tgt_seq_len=2, storage=storage
    )
    data.setup("fit")
    path.unlink()
    assert len(next(iter(data.train_dataloader()))["series"]) == ROWS - 5
    data.teardown("fit")
    with pytest.raises(InputError, match="train_df_paths: no file"):
        data.setup("fit")
    tried("refused")

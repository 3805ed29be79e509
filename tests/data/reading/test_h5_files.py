"""HDF5 files give the series of a frame of their datasets."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from transformertf.data import EncoderDecoderDataModule
from transformertf.data.reading import h5_files
from transformertf.data.reading.formats import open_tables
from transformertf.errors import InputError

ROWS = 30
TIME = np.arange(ROWS)
VALUES = np.random.default_rng(2).normal(size=ROWS)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "run.h5"
    with h5py.File(path, "w") as file:
        file["t"] = TIME.astype(">i4")
        file["magnet/I"] = VALUES.astype(">f8")[:, None]
        file["B"] = (2 * VALUES).astype(np.float32)[None]
        file["state"] = np.array(["on", "off", "é"] * (ROWS // 3), dtype=h5py.string_dtype())
        file["code"] = np.array([b"x", b"yz"] * (ROWS // 2))
        file["is_up"] = VALUES > 0
        file["image"], file["scalar"], file["short"] = np.zeros((ROWS, 2)), 3.0, TIME[:4]
        file["odd"] = np.zeros(ROWS, dtype=[("a", "f4")])
        file["link"] = h5py.SoftLink("/B")
    return path


@pytest.mark.parametrize("piece", [7, 2**16])
def test_columns_are_those_of_a_frame(record, monkeypatch, piece):
    monkeypatch.setattr(h5_files, "PIECE", piece)
    names = ["t", "magnet/I", "B", "state", "code", "is_up"]
    (table,) = open_tables(record, names)
    found = pd.concat(table.pieces(names), ignore_index=True)
    assert table.rows == ROWS
    assert (found["t"] == TIME).all()
    assert (found["magnet/I"] == VALUES).all()
    assert (found["B"] == (2 * VALUES).astype(np.float32)).all()
    assert found["state"].tolist() == ["on", "off", "é"] * (ROWS // 3)
    assert found["code"].tolist() == ["x", "yz"] * (ROWS // 2)
    assert (found["is_up"] == (VALUES > 0)).all()


def test_a_data_module_reads_it(record):
    data = EncoderDecoderDataModule(
        "B", "magnet/I", time_column="t", train_df_paths=str(record), ctxt_seq_len=4, tgt_seq_len=2
    )
    (series,) = data.stage_series("train")
    assert series.name == "run"
    np.testing.assert_array_equal(series.values[:, 0], VALUES)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["t", "short"], "'short' has 4 values and 't' 30; expected one for each row"),
        (["odd"], "column 'odd' is of the type .*; expected numbers or text"),
        (["image"], "no column 'image'; "),
        (["link"], "no column 'link'; "),
    ],
)
def test_what_is_no_column_is_told(record, names, told):
    with pytest.raises(InputError, match=rf"run\.h5: {told}"):
        open_tables(record, names)


def test_what_is_no_such_file_is_told(tmp_path):
    (tmp_path / "a.h5").write_text("t,y\n")
    with pytest.raises(InputError, match=r"a\.h5: not a readable h5 file"):
        open_tables(tmp_path / "a.h5", ["y"])


def test_without_the_package_its_extra_is_told(record, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"pip install 'transformertf\[hdf5\]'"):
        open_tables(record, ["t"])

"""Id columns come back as they were given."""

from typing import Any

import pandas as pd
import pytest

from transformertf.data import EncoderDecoderDataModule


def ids_of(train: Any, **given: Any) -> pd.DataFrame:
    """Return the ids of the training series."""
    data = EncoderDecoderDataModule("y", "x", train_df_paths=train, **given)
    return data.stages.ids("train_df_paths")


def frame(*ids: object, **more: Any) -> pd.DataFrame:
    return pd.DataFrame({"id": ids, "x": 0.0, "y": 1.0, **more})


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("values", "csv_values"),
    [
        ((7, 7, 2), [7, 2]),
        (("a", "b", "b"), ["a", "b"]),
        (("07", "7", "7"), ["07", "7"]),
        (("9" * 19, "9" * 19, "1"), ["9" * 19, "1"]),
        ((True, False, False), ["True", "False"]),
    ],
)
def test_each_series_has_its_id_with_its_type(tmp_path, ending, values, csv_values):
    path, given = tmp_path / f"a.{ending}", frame(*values)
    given.to_parquet(path) if ending == "parquet" else given.to_csv(path, index=False)
    found = ids_of(str(path), series_id="id")
    assert found.index.tolist() == list(dict.fromkeys(map(str, values)))
    expected = csv_values if ending == "csv" else list(dict.fromkeys(values))
    assert found["id"].tolist() == expected
    if ending == "parquet":
        assert found["id"].dtype == pd.read_parquet(path)["id"].dtype


def test_ids_of_several_columns_stand_apart(tmp_path):
    frame(7, 7, store=["n", "s"]).to_parquet(tmp_path / "a.parquet")
    frame("8", store="n").to_csv(tmp_path / "b.csv", index=False)
    files = [str(tmp_path / name) for name in ("a.parquet", "b.csv")]
    found = ids_of(files, series_id=["store", "id"])
    assert found.index.tolist() == ["n/7", "s/7", "n/8"]
    assert found["id"].tolist() == [7, 7, 8]
    assert found["store"].tolist() == ["n", "s", "n"]
    # of unlike types they are text
    frame("x", store="n").to_csv(tmp_path / "b.csv", index=False)
    assert ids_of(files, series_id=["store", "id"])["id"].tolist() == ["7", "7", "x"]

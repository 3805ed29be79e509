"""How files are written is told by a look at them, and the reader then reads them."""

import gzip

import numpy as np
import pytest
import yaml

from tests.proposal.tables import prices
from transformertf.proposal import AsProposed, Given, Wishes, look, propose
from transformertf.proposal.writing import written

FRAME = prices(400).drop(columns=["currency", "unit"])
USUAL = FRAME.to_csv(index=False)


def text_of(sep: str = ",", decimal: str = ".") -> str:
    return FRAME.to_csv(index=False, sep=sep, decimal=decimal)


def with_units(text: str, sep: str) -> str:
    header, rest = text.split("\n", 1)
    return f"{header}\nUTC{sep}MW{sep}m/s{sep}EUR\n{rest}"


@pytest.mark.parametrize(
    ("name", "content", "csv"),
    [
        ("a.csv", USUAL.encode(), {}),
        ("a.csv", text_of(";", ",").encode(), {"sep": ";", "decimal": ","}),
        ("a.csv", text_of("\t").encode(), {"sep": "tab"}),
        ("a.tsv", text_of("\t").encode(), {}),
        ("a.csv.gz", gzip.compress(text_of("|").encode()), {"sep": "|"}),
        ("a.csv", f"# measured by nobody; on Monday\n{USUAL}".encode(), {"comment": "#"}),
        ("a.csv", text_of(";").replace("Wind", "Größe").encode("cp1252"),
         {"sep": ";", "encoding": "cp1252"}),
        ("a.csv", text_of().encode("utf-16"), {"encoding": "utf-16"}),
        ("a.csv", with_units(USUAL, ",").encode(), {"skiprows": [1]}),
        ("a.csv", f"# x\n{with_units(text_of(';', ','), ';')}".encode(),
         {"comment": "#", "sep": ";", "decimal": ",", "skiprows": [2]}),
    ],
    ids=["usual", "semicolons", "tabs", "tsv", "packed", "comment", "cp1252", "utf-16",
         "units", "all"],
)  # fmt: skip
def test_what_is_written_is_told_and_read(tmp_path, name, content, csv):
    path = tmp_path / name
    path.write_bytes(content)
    assert written(path) == csv
    seen = look([str(path)])
    assert seen.csv == csv
    assert np.array_equal(seen.numbers("price"), FRAME["price"].to_numpy())
    wishes = Wishes([str(path)], Given("price"))
    data = yaml.safe_load(propose(seen, wishes, AsProposed()).text)["data"]["init_args"]
    assert data.get("csv", {}) == csv
    assert data["time_column"] == "date"


def test_text_in_a_column_is_no_row_of_units(tmp_path):
    (tmp_path / "a.csv").write_text("a,kind\n1,x\n2,y\n3,z\n")
    assert written(tmp_path / "a.csv") == {}


def test_other_files_have_no_say(tmp_path):
    FRAME.to_parquet(tmp_path / "a.parquet")
    assert written(tmp_path / "a.parquet") == {}
    assert written(tmp_path) == {}


def test_digits_that_commas_group_are_numbers(tmp_path):
    grouped = FRAME.assign(price=[f"{value:,}" for value in FRAME["price"] + 1e4])
    grouped.to_csv(tmp_path / "a.csv", index=False)
    seen = look([str(tmp_path / "a.csv")])
    assert seen.csv == {"thousands": ","}
    assert np.array_equal(seen.numbers("price"), FRAME["price"].to_numpy() + 1e4)

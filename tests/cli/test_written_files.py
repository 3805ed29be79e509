"""Data that is written in another way than the training's, from the command line."""

import gzip

import pandas as pd
import pytest

from tests.cli.conftest import make_frame
from transformertf.cli import main
from transformertf.cli.config import _parse_value
from transformertf.cli.yaml_file import YamlFile


def test_a_packed_file_of_another_locale_and_unit_gives_the_same_forecasts(
    experiment, workdir, capsys
):
    frame = make_frame(40, 5)
    frame.to_parquet(workdir / "a.parquet")
    other = frame.assign(known=frame["known"] / 1000).rename(columns={"known": "NO [k]"})
    text = "# measured by hand\n" + other.to_csv(index=False, sep=";", decimal=",")
    (workdir / "b.csv.gz").write_bytes(gzip.compress(text.encode("utf-16")))
    flags = ["--data.csv.sep", ";", "--data.csv.decimal", ",", "--data.csv.comment", "#",
             "--data.csv.encoding=utf-16", "--data.rename",
             '{"known": {"from": "NO [k]", "scale": 1000}}']  # fmt: skip
    tables = []
    for name, given in (("a.parquet", []), ("b.csv.gz", flags)):
        output = str(workdir / f"{name}.parquet")
        words = ["predict", "--ckpt_path", str(experiment.checkpoint), "--output", output]
        assert main([*words, "--data.predict_df_paths", name, *given]) == 0
        tables.append(pd.read_parquet(output).drop(columns="series"))
    assert "rename is" in capsys.readouterr().err  # as it is reported
    pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=False, rtol=1e-6)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("data.csv.sep", "|", "|"),
        ("data.init_args.csv.comment", "#", "#"),
        ("data.csv.skiprows", "[1]", [1]),
        ("data.rename.price", "NO", "NO"),
        ("data.rename", '{"price": NO}', {"price": "NO"}),
    ],
)
def test_characters_and_names_in_flags_are_text(key, text, value):
    assert _parse_value(key, text) == value


def test_headers_in_a_file_are_text(tmp_path):
    path = tmp_path / "a.yml"
    path.write_text("rename:\n  price: NO\n  load: {from: 007, scale: 7}\n")
    found = YamlFile.read(path).tree(("rename", "from"))["rename"]
    assert found == {"price": "NO", "load": {"from": "007", "scale": 7}}

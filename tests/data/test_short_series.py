"""Series that are too short: refused together, or left out and told."""

import logging
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from transformertf.data import EncoderDecoderDataModule
from transformertf.data.series import ShortSeries
from transformertf.errors import InputError, TooShortError


def items(*rows):
    return [SimpleNamespace(name=chr(97 + place), rows=count) for place, count in enumerate(rows)]


def rows_of(item):
    if item.rows < 0:
        raise InputError("another mistake")
    if item.rows < 5:
        raise TooShortError(f"series {item.name!r} is too short: {item.rows} rows, or leave it out")
    return item.rows


def test_all_long_enough(caplog):
    short = ShortSeries(leave_out=False)
    assert short.keep("train", items(5, 9), rows_of) == [5, 9]
    assert short.names == {"train": []}
    assert not caplog.records


@pytest.mark.parametrize(("rows", "more"), [((9, 3), ""), ((1, 9, 2, 3), r" \(and 2 more\)")])
def test_the_first_is_named_and_all_are_counted(rows, more):
    message = rf"series '[ab]' is too short: \d rows, or leave it out with drop_short_series{more}$"
    with pytest.raises(TooShortError, match=message):
        ShortSeries(leave_out=False).keep("train", items(*rows), rows_of)


def test_what_is_left_out_is_told_once(caplog):
    short = ShortSeries(leave_out=True)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert short.keep("train", items(1, 9, 2, 3, 4, 8), rows_of) == [9, 8]
    (told,) = caplog.messages
    assert told == "train: 4 series too short, left out: 'a', 'c', 'd', ..."
    assert short.names == {"train": ["a", "c", "d", "e"]}


def test_nothing_left_and_other_mistakes_are_refused():
    short = ShortSeries(leave_out=True)
    with pytest.raises(
        TooShortError, match=r"'a' is too short: 1 rows, or leave it out \(and 1 more"
    ):
        short.keep("train", items(1, 2), rows_of)
    with pytest.raises(InputError, match="another mistake"):
        short.keep("train", items(9, -1), rows_of)


def test_a_series_with_other_stretches_is_not_left_out(caplog):
    short = ShortSeries(leave_out=True)
    given = [("a", 9), ("a", 1), ("a", 2), ("b", 1), ("c", 8)]
    stretches = [SimpleNamespace(name=name, rows=rows) for name, rows in given]
    with caplog.at_level(logging.WARNING):
        assert short.keep("train", stretches, rows_of) == [9, 8]
    assert caplog.messages == [
        "train: 1 series too short, left out: 'b'",
        "train: 2 stretches of series too short, left out: 'a'",
    ]
    assert short.names == {"train": ["b"]}


def gapped(tmp_path, **options):
    """Fit on a series with odd rows between gaps and after all windows, and a short, odd one."""
    rows = np.arange(107)
    t = np.r_[rows[:50], rows[:3] + 500, rows[:54] + 1000]
    table = pd.DataFrame({"t": t, "x": np.cos(rows), "y": np.sin(rows), "mode": "usual"})
    table["id"], table["place"] = "long", "here"
    odd = [50, 51, 52, 103, 104, 105, 106]
    table.loc[odd, ["x", "y", "mode"]] = 1e4, 1e4, "odd"
    short = table[50:53].assign(id="a", mode="short", place="there")
    pd.concat([table, short]).to_csv(tmp_path / "a.csv", index=False)
    data = EncoderDecoderDataModule(
        "y", ["x", "mode"], static_covariates="place", categorical_covariates=["mode", "place"],
        series_id="id", time_column="t", max_gap=2, train_df_paths=str(tmp_path / "a.csv"),
        drop_short_series=True, ctxt_seq_len=6, tgt_seq_len=4, stride=5, **options,
    )  # fmt: skip
    data.setup("fit")
    return data


@pytest.mark.parametrize("normalize", ["global", "series", "window"])
def test_what_is_left_out_takes_no_part_in_what_is_fitted(tmp_path, normalize):
    rows = np.r_[0:50, 53:103]
    data = gapped(tmp_path, normalize=normalize, missing="mask")
    scaling = data.scaling
    state = {name: chain.scaler for name, chain in scaling.chains.items() if chain.scaler}
    for name, values in (("x", np.cos(rows)), ("y", np.sin(rows))):
        assert state[name].mean == pytest.approx(values.mean())
        assert state[name].std == pytest.approx(values.std())
    assert data.vocabularies.texts == {"mode": ["usual"], "place": ["here"]}
    assert scaling._writer.fill == pytest.approx([np.cos(rows).mean(), np.sin(rows).mean()])
    (long,) = (one for one in data.stage_series("train") if one.name == "long")
    own = scaling._tables[1][scaling.statistics_of(long), -1]
    assert own == pytest.approx(np.sin(rows).std())
    trained = data.fitted.trained
    assert trained.names == ["long"]
    assert trained.stamps[[0, -1]].tolist() == [0, 1049]
    assert not set(trained.stamps) & {500, 501, 502, 1050, 1051, 1052, 1053}

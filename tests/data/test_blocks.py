"""A validation share in several blocks: whose rows are whose, and that no row is two's."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.data.series import Series
from transformertf.data.windows import Origin, Split
from transformertf.errors import InputError
from transformertf.forecasts.told import scored_rows, trained_rows

ROWS, CONTEXT, HORIZON, LAG = 120, 4, 3, 5
# 108 rows before the test part, of whose three sections of 36 each the last 10 validate
BLOCKS = [(26, 36), (62, 72), (98, 108)]
SECTIONS = [(0, 26), (36, 62), (72, 98)]


@settings(max_examples=100, deadline=None)
@given(
    rows=st.integers(1, 500),
    validation=st.floats(1e-9, 0.5),
    test=st.floats(0, 0.49),
    blocks=st.integers(1, 9),
)
def test_blocks_and_sections_tile_the_rows(
    rows: int, validation: float, test: float, blocks: int
) -> None:
    series = Series("run", np.zeros((rows, 1)), None, rows)
    fractions = Split(validation, test, blocks=blocks)
    train, middle = (fractions.parts(3, series, stage) for stage in ("train", "validation"))
    (last,) = fractions.parts(3, series, "test")
    ordered = [part for pair in zip(train, middle, strict=True) for part in pair] + [last]
    assert len(train) == blocks
    assert [part.first_target for part in ordered] == [0, *(part.end for part in ordered[:-1])]
    assert ordered[-1].end == rows
    # blocks and sections are alike, and as many rows validate as in one block
    (one,) = Split(validation, test).parts(3, series, "validation")
    sizes = [part.end - part.first_target for part in middle]
    assert sum(sizes) == one.end - one.first_target
    assert max(sizes) - min(sizes) <= 1
    lengths = [late.end - early.first_target for early, late in zip(train, middle, strict=True)]
    assert max(lengths) - min(lengths) <= 1
    # nothing that trains looks back over a block
    assert [part.begin for part in train] == [part.first_target for part in train]


@pytest.fixture
def table(tmp_path: Any) -> Any:
    generator = np.random.default_rng(0)
    frames = [
        pd.DataFrame(
            {
                "id": name,
                "t": pd.date_range("2024-01-01", periods=ROWS, freq="h"),
                "x": generator.normal(size=ROWS),
                "kind": [f"k{row}" for row in range(ROWS)],
                "y": generator.normal(size=ROWS).cumsum(),
            }
        )
        for name in "ab"
    ]
    path = tmp_path / "all.parquet"
    pd.concat(frames).to_parquet(path)
    return path


def windows_module(table: Any, **options: Any) -> Any:
    options = {"ctxt_seq_len": CONTEXT, "tgt_seq_len": HORIZON, "target_lags": [LAG], **options}
    return fitted(EncoderDecoderDataModule, table, **options)


def fitted(kind: Any, table: Any, **options: Any) -> Any:
    data = kind(
        **{
            "target_covariate": "y",
            "known_covariates": ["x", "kind"],
            "categorical_covariates": "kind",
            "series_id": "id",
            "time_column": "t",
            "train_df_paths": str(table),
            "val_fraction": 0.25,
            "test_fraction": 0.1,
            "val_blocks": 3,
            "batch_size": 16,
            "num_workers": 0,
            **options,
        }
    )
    data.setup("fit")
    return data


def rows_of(windows: Any, context: bool, lag: int = 0) -> set[int]:
    """Return the rows that windows of the first series touch."""
    found: set[int] = set()
    for run in windows.runs:
        for origin in range(run.origin, run.origin + run.count * run.step, run.step):
            if run.series == 0:
                first = origin + 1 - (run.context + lag if context else 0)
                found |= set(range(first, origin + 1 + run.horizon))
    return found


def within(spans: Any) -> set[int]:
    return {row for first, end in spans for row in range(first, end)}


def test_no_training_window_has_a_row_of_a_block(table: Any) -> None:
    data = windows_module(table)
    trained = rows_of(data.stage_windows("train"), context=True, lag=LAG)
    assert trained == within(SECTIONS)
    assert rows_of(data.stage_windows("validation"), context=False) == within(BLOCKS)
    # contexts of validation reach back, over what trains
    assert min(rows_of(data.stage_windows("validation"), context=True)) == BLOCKS[0][0] - CONTEXT
    origins = data.origin_windows("validation", Origin.parse("all"))
    assert rows_of(origins, context=False) == within(BLOCKS)


def test_windows_are_cut_at_gaps_and_blocks(table: Any) -> None:
    frame = pd.read_parquet(table)
    # a gap within the second section
    row = frame.groupby("id").cumcount()
    frame["t"] += pd.to_timedelta(9 * (row >= 50), "h")
    frame.to_parquet(table)
    data = windows_module(table, max_gap="2h")
    trained = rows_of(data.stage_windows("train"), context=True, lag=LAG)
    assert trained == within(SECTIONS)
    for run in data.stage_windows("train").runs:
        whole = rows_of(type(data.stage_windows("train"))([run]), context=True, lag=LAG)
        assert any(whole <= within([span]) for span in ((0, 26), (36, 50), (50, 62), (72, 98)))


def test_the_fit_knows_nothing_of_the_blocks(table: Any) -> None:
    before = windows_module(table).state_dict()
    frame = pd.read_parquet(table)
    row = frame.groupby("id").cumcount()
    kept = row.isin(within([*BLOCKS, (108, 120)]))
    frame.loc[kept, ["x", "y"]] *= 1e3
    frame.loc[kept, "kind"] = "new"
    frame.to_parquet(table)
    assert windows_module(table).state_dict() == before
    frame.loc[row == 40, "x"] += 1.0  # between two blocks a row does matter
    frame.to_parquet(table)
    assert windows_module(table).state_dict() != before


@pytest.mark.parametrize("by_id", [True, False])
def test_training_rows_are_found_again_without_the_blocks(table: Any, by_id: bool) -> None:
    if not by_id:
        frame = pd.read_parquet(table)
        frame[frame["id"] == "a"].to_parquet(table)
    data = windows_module(table, series_id="id" if by_id else None)
    assert data.fitted.trained is not None
    for one in data.stage_series("train"):
        assert data.fitted.trained.within(one) == SECTIONS
    data.forecast_on("validation", "all")
    assert list(trained_rows(data)) == []
    # 10 rows of each block hold three forecasts of 3 rows
    data.forecast_on("validation", "auto")
    (told,) = scored_rows(data)
    series = len(data.stage_series("validation"))
    assert told.startswith(f"{3 * series} of {30 * series} validation rows are not scored")


def test_forecasts_go_no_further_than_their_block(table: Any) -> None:
    data = windows_module(table)
    data.forecast_on("validation", "every:1")
    series, origin = np.array([0, 0, 1, 1]), np.array([25, 32, 61, 104])
    assert data.forecast_ends(series, origin).tolist() == [36, 36, 72, 108]


def test_sequences_go_on_from_block_to_block(table: Any) -> None:
    data = fitted(TimeSeriesDataModule, table, seq_len=7, normalize=True)
    assert rows_of(data.stage_windows("train"), context=True) <= within(SECTIONS)
    runs = [run for run in data.stage_windows("validation").runs if run.series == 0]
    row = 0
    for run in runs:
        assert (run.origin + 1, run.since) == (row, 0)
        assert run.counts == (row in within(BLOCKS))
        row += run.horizon if run.step == 1 else run.count * run.step
    assert row == BLOCKS[-1][1]
    assert rows_of(
        type(data.stage_windows("validation"))([r for r in runs if r.counts]), False
    ) == (within(BLOCKS))
    data.forecast_on("validation", "auto")
    assert list(trained_rows(data)) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_blocks": 0}, "val_blocks must be at least 1, found 0"),
        ({"val_blocks": 10**9}, "val_blocks must be at most 1000"),
        ({"split_by": "series"}, "val_blocks 3 are of the rows of a series, but split_by is"),
        ({"val_fraction": None}, "val_blocks 3 are of the share that val_fraction keeps"),
        ({"val_blocks": 30}, "is too short: 0 rows"),
        ({"ctxt_seq_len": 20}, "series 'a', rows 5 to 25, is too short: 21 rows"),
    ],
    ids=str,
)
def test_blocks_that_cannot_be_are_refused(table: Any, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        windows_module(table, **options).setup("validate")

"""Forecasts to parquet files."""

import os
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from transformertf.checkpoint import new_token, part_of, sweep
from transformertf.errors import InputError
from transformertf.forecasts.sinks import ForecastFile, ForecastFrames
from transformertf.places import try_lock

DATES = pd.date_range("2024-01-01", periods=20, freq="h")


def make_table(series=0, rows=3, time=DATES):
    return pd.DataFrame(
        {
            "series": ["abc"[series]] * rows,
            "origin": time[[4] * rows],
            "step": np.arange(1, rows + 1),
            "time": time[5 : 5 + rows],
            "prediction": np.full(rows, float(series)),
            "actual": 5.0 + np.arange(rows),
        }
    )


def test_pieces_are_appended(tmp_path):
    path = tmp_path / "forecasts.parquet"
    pieces = [make_table(0), make_table(1, rows=2), make_table(2)]
    with ForecastFile(path) as file:
        for piece in pieces:
            file.write(piece)
    assert file.rows == 8
    whole = pd.concat(pieces, ignore_index=True)
    pd.testing.assert_frame_equal(pd.read_parquet(path), whole)


def test_the_file_is_there_only_once_it_is_whole(tmp_path):
    path = tmp_path / "forecasts.parquet"
    with ForecastFile(path) as file:
        file.write(make_table())
        assert not path.exists()
        file.write(make_table())
    assert os.listdir(tmp_path) == ["forecasts.parquet"]
    assert len(pd.read_parquet(path)) == 6


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_nothing_behind(tmp_path, error):
    def write_and_fail():
        with ForecastFile(tmp_path / "forecasts.parquet") as file:
            file.write(make_table())
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("fails", [True, False])
def test_an_older_file_is_replaced_by_a_whole_one_only(tmp_path, fails):
    path = tmp_path / "forecasts.parquet"
    old, new = make_table(1), make_table(2)
    old.to_parquet(path)
    try:
        with ForecastFile(path) as file:
            file.write(new)
            if fails:
                raise RuntimeError
    except RuntimeError:
        pass
    pd.testing.assert_frame_equal(pd.read_parquet(path), old if fails else new)
    assert os.listdir(tmp_path) == ["forecasts.parquet"]


@pytest.mark.parametrize("missing", ["first", "last"])
def test_missing_actuals_in_one_piece_only(tmp_path, missing):
    pieces = [make_table(0), make_table(1)]
    pieces[0 if missing == "first" else 1]["actual"] = np.nan
    with ForecastFile(tmp_path / "forecasts.parquet") as file:
        for piece in pieces:
            file.write(piece)
    read = pd.read_parquet(tmp_path / "forecasts.parquet")
    pd.testing.assert_frame_equal(read, pd.concat(pieces, ignore_index=True))


def test_a_csv_file_holds_the_same_digits(tmp_path):
    path = tmp_path / "forecasts.csv"
    path.write_text("series,origin,step,time,prediction\n")  # of forecasts before
    pieces = [make_table(), make_table(1).assign(prediction=[0.1, 1 / 3, 2e-17], actual=np.nan)]
    with ForecastFile(path) as file:
        for piece in pieces:
            file.write(piece)
    assert os.listdir(tmp_path) == [path.name]
    read = pd.read_csv(path, parse_dates=["origin", "time"], dtype={"prediction": "str"})
    assert [float(text) for text in read["prediction"]] == [0.0] * 3 + [0.1, 1 / 3, 2e-17]
    assert (read["time"] == pd.concat(pieces, ignore_index=True)["time"]).all()
    assert read["actual"].isna().tolist() == [False] * 3 + [True] * 3


def test_a_csv_file_that_holds_no_forecasts_stays(tmp_path):
    (tmp_path / "data.csv").write_text("t,y\n0,1\n")
    with pytest.raises(InputError, match="would overwrite what is no table of forecasts"):
        ForecastFile(tmp_path / "data.csv")


@pytest.mark.parametrize("name", ["forecasts.xlsx", "forecasts", "forecasts.parquet.gz"])
def test_another_ending_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"expected a name that ends in \.parquet"):
        ForecastFile(tmp_path / name)


def test_a_missing_folder_is_refused_before_anything_is_forecast(tmp_path):
    with pytest.raises(InputError, match=r"the folder .*missing must exist"):
        ForecastFile(tmp_path / "missing" / "forecasts.parquet")


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "forecasts.parquet").mkdir()
    with pytest.raises(InputError, match=r"--output .*forecasts\.parquet"):
        ForecastFile(tmp_path / "forecasts.parquet")


def test_a_name_in_the_working_directory_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ForecastFile(Path("forecasts.parquet")) as file:
        file.write(make_table())
    assert (tmp_path / "forecasts.parquet").exists()


# several processes


def write_parts(path, tables, fails=()):
    """Write as processes do that have a table each, None for one without rows."""
    token, files = new_token(), [ForecastFile(path) for _ in tables]
    with ExitStack() as others, files[0]:  # which end when the first one has joined
        for rank, file in enumerate(files):
            try:
                with ExitStack() as stack:
                    if rank:
                        stack.enter_context(file)
                    file.share(rank, len(tables), token)
                    if tables[rank] is not None:
                        file.write(tables[rank])
                    if rank in fails:
                        raise RuntimeError
                    file.close()
                    others.push(stack.pop_all())
            except RuntimeError:
                pass
    return files[0]


@pytest.mark.parametrize("empty", [(), (0,), (1,), (0, 2)])
def test_parts_of_processes_are_joined_in_their_order(tmp_path, empty):
    path = tmp_path / "forecasts.parquet"
    tables = [None if rank in empty else make_table(rank, rows=rank + 1) for rank in range(3)]
    file = write_parts(path, tables)
    whole = pd.concat([table for table in tables if table is not None], ignore_index=True)
    pd.testing.assert_frame_equal(pd.read_parquet(path), whole)
    assert os.listdir(tmp_path) == ["forecasts.parquet"]
    assert file.rows == len(whole)


def test_a_part_is_closed_before_the_first_process_reads_it(tmp_path):
    # on a shared folder others see what is closed, and Windows lets nobody read what is locked
    path, token = tmp_path / "forecasts.parquet", new_token()
    with ForecastFile(path) as file:
        file.share(1, 2, token)
        file.write(make_table(1))
        file.close()
        with part_of(path, token, 1).open("r+b") as part:
            assert try_lock(part, wait=False) == "alone"
            assert len(pd.read_parquet(part)) == 3


def test_missing_actuals_in_a_part_do_not_change_the_type(tmp_path):
    tables = [make_table(0), make_table(1)]
    tables[0]["actual"] = np.nan
    write_parts(tmp_path / "forecasts.parquet", tables)
    found = pd.read_parquet(tmp_path / "forecasts.parquet")
    pd.testing.assert_frame_equal(found, pd.concat(tables, ignore_index=True))


def test_a_process_that_fails_takes_its_part_away(tmp_path):
    write_parts(tmp_path / "forecasts.parquet", [make_table(0), make_table(1)], fails=(1,))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "forecasts.parquet"), make_table(0))
    assert os.listdir(tmp_path) == ["forecasts.parquet"]


def test_frames_keep_what_is_written():
    frames = ForecastFrames()
    frames.write(make_table(0))
    frames.write(make_table(1))
    frames.close()
    assert [len(piece) for piece in frames.pieces] == [3, 3]
    with pytest.raises(InputError, match=r"expected one process, found 2; set trainer\.devices"):
        frames.share(0, 2, "token")


# two that write at once, and what is left of one that was killed


def test_two_that_write_the_same_file_do_not_mix(tmp_path):
    path = tmp_path / "forecasts.parquet"
    with ForecastFile(path) as one, ForecastFile(path) as other:
        one.write(make_table(1))
        other.write(make_table(2))
        # as a fit does, and another one that starts meanwhile
        sweep(tmp_path)
        one.write(make_table(1))
    found = pd.read_parquet(path)
    pd.testing.assert_frame_equal(found, pd.concat([make_table(1)] * 2, ignore_index=True))
    assert os.listdir(tmp_path) == ["forecasts.parquet"]


def test_what_a_killed_process_left_goes_with_the_next_that_writes_the_file(tmp_path):
    path = tmp_path / "forecasts.parquet"
    token = new_token()
    killed = [part_of(path, token, rank) for rank in range(3)]
    mine = [tmp_path / ".forecasts.parquet.mine.part", part_of(tmp_path / "other", token)]
    for left in [*killed, *mine]:
        left.write_bytes(b"half")
    with ForecastFile(path) as file:
        file.write(make_table())
    assert sorted(tmp_path.iterdir()) == sorted([path, *mine])


def test_parts_that_wait_for_the_first_process_are_spared(tmp_path):
    path = tmp_path / "forecasts.parquet"
    files = [ForecastFile(path) for _ in range(2)]
    token = new_token()
    with files[0]:
        files[0].share(0, 2, token)
        with files[1]:
            files[1].share(1, 2, token)
            files[1].write(make_table(1))
        with ForecastFile(path) as late:
            late.write(make_table(2))
    pd.testing.assert_frame_equal(pd.read_parquet(path), make_table(1))
    assert os.listdir(tmp_path) == ["forecasts.parquet"]

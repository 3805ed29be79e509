"""Places that users name, and what stands in the way of writing there."""

import os
from pathlib import Path

import pytest

from transformertf.checkpoint.writing import check_folder_of
from transformertf.errors import InputError


def test_a_folder_that_is_there_and_open_takes_files_and_folders(tmp_path: Path) -> None:
    check_folder_of(tmp_path / "new", "--output")
    (tmp_path / "old").mkdir()
    check_folder_of(tmp_path / "old", "--output")


def test_a_relative_place_lies_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_folder_of(Path("new"), "--output")
    with pytest.raises(
        InputError, match=f"^--output none/new: the folder {tmp_path / 'none'} must"
    ):
        check_folder_of(Path("none/new"), "--output")


def test_a_file_is_no_folder_to_write_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"the folder .*file must exist$"):
        check_folder_of(tmp_path / "file" / "new", "--output")


def test_a_closed_folder_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what a user other than root is told of a folder without write permission
    asked: list[tuple[Path, int]] = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append((path, mode)))
    with pytest.raises(InputError, match=r"cannot be written to; give another$"):
        check_folder_of(tmp_path / "new", "--output", remedy="; give another")
    assert asked == [(tmp_path, os.W_OK)]

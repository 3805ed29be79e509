"""The loss curve is drawn now and then, and at the end."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from transformertf.callbacks import LossCurve, loss_curve
from transformertf.plots import loss_figure

# no curve looks at it
MODULE: Any = None


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of epochs in each figure that was drawn."""
    epochs: list[int] = []

    def draw(history: dict[str, dict[int, float]], before: Any) -> Any:
        epochs.append(len(history["train/loss"]))
        made = loss_figure(history, before)
        assert before in (None, made)  # figures made anew would pile up in memory
        assert (before is None) == (len(epochs) == 1)
        return made

    monkeypatch.setattr(loss_curve, "loss_figure", draw)
    return epochs


def trainer(epoch: int, rank: int = 0) -> Any:
    metrics = {"train/loss": torch.tensor(1.0 / (epoch + 1))}
    return SimpleNamespace(current_epoch=epoch, callback_metrics=metrics, is_global_zero=rank == 0)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, which only tests move."""
    seconds = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    return seconds


def test_it_is_drawn_every_few_seconds_and_at_the_end(
    tmp_path: Path, drawn: list[int], now: list[float]
) -> None:
    curve = LossCurve(tmp_path / "plots" / "loss.png")
    curve.on_train_start()
    for epoch in range(8):
        now[0] += 2.0
        curve.on_train_epoch_end(trainer(epoch), MODULE)
    # after 6 and 12 seconds
    assert drawn == [3, 6]
    curve.on_train_end(trainer(7), MODULE)
    assert drawn == [3, 6, 8]
    assert curve.path.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in curve.path.parent.iterdir()] == ["loss.png"]


def test_it_takes_little_of_the_time_of_a_fit(
    tmp_path: Path, drawn: list[int], now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*arguments: Any) -> Any:
        now[0] += 0.5
        return original(*arguments)

    original = vars(loss_curve)["loss_figure"]
    monkeypatch.setattr(loss_curve, "loss_figure", slow)
    curve = LossCurve(tmp_path / "loss.png")
    curve.on_train_start()
    while now[0] < 1100:
        now[0] += 1.0
        curve.on_train_epoch_end(trainer(0), MODULE)
    assert 18 <= len(drawn) <= 20  # half a second each, of a thousand


def test_it_is_drawn_where_a_fit_is_interrupted_and_by_one_process(
    tmp_path: Path, drawn: list[int]
) -> None:
    first, second = (LossCurve(tmp_path / name / "loss.png") for name in ("0", "1"))
    for rank, curve in enumerate((first, second)):
        curve.on_exception(trainer(0, rank), MODULE, KeyboardInterrupt())
        assert not drawn  # there is nothing to see yet
    for rank, curve in enumerate((first, second)):
        curve.on_train_epoch_end(trainer(0, rank), MODULE)
        curve.on_exception(trainer(0, rank), MODULE, KeyboardInterrupt())
    assert drawn == [1, 1]
    assert first.path.exists()
    assert not second.path.parent.exists()

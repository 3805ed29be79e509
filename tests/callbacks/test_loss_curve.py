"""The loss curve is drawn at first, now and then, and at the end."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from transformertf.callbacks import LossCurve, loss_curve


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of epochs in each figure that was drawn; time passes by `tick`."""
    epochs: list[int] = []
    figure = loss_curve.loss_figure

    def draw(history: dict[str, dict[int, float]]) -> Any:
        epochs.append(len(history["train/loss"]))
        return figure(history)

    monkeypatch.setattr(loss_curve, "loss_figure", draw)
    return epochs


def trainer(epoch: int, rank: int = 0) -> Any:
    metrics = {"train/loss": torch.tensor(1.0 / (epoch + 1))}
    return SimpleNamespace(current_epoch=epoch, callback_metrics=metrics, is_global_zero=rank == 0)


def test_it_is_drawn_every_few_seconds_and_at_the_end(
    tmp_path: Path, drawn: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    curve, now = LossCurve(tmp_path / "plots" / "loss.png"), [100.0]
    monkeypatch.setattr(loss_curve.time, "monotonic", lambda: now[0])
    for epoch in range(5):
        curve.on_train_epoch_end(trainer(epoch), None)  # type: ignore[arg-type]
        now[0] += 2.0
    # after 0, 6 seconds
    assert drawn == [1, 4]
    curve.on_train_end(trainer(4), None)  # type: ignore[arg-type]
    assert drawn == [1, 4, 5]
    assert curve.path.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in curve.path.parent.iterdir()] == ["loss.png"]


def test_it_is_drawn_where_a_fit_is_interrupted_and_by_one_process(
    tmp_path: Path, drawn: list[int]
) -> None:
    first, second = (LossCurve(tmp_path / name / "loss.png") for name in ("0", "1"))
    for rank, curve in enumerate((first, second)):
        curve.on_exception(trainer(0, rank), None, KeyboardInterrupt())
        assert not drawn  # there is nothing to see yet
    for rank, curve in enumerate((first, second)):
        curve.on_train_epoch_end(trainer(0, rank), None)  # type: ignore[arg-type]
        curve.on_exception(trainer(0, rank), None, KeyboardInterrupt())
    assert drawn == [1, 1]
    assert first.path.exists()
    assert not second.path.parent.exists()

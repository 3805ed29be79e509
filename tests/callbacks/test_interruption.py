"""A Ctrl-C that Python drops still stops the trainer."""

import os
import signal

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from transformertf.callbacks import Interruption


class Loser:
    """Raises Ctrl-C where Python drops exceptions."""

    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10_000):  # the handler runs between two instructions
            pass


class LoseInterrupt(Callback):
    """Loses a Ctrl-C in the third training batch, and counts the batches."""

    batches = 0

    def on_train_batch_end(self, *_):
        self.batches += 1
        if self.batches == 3:
            Loser()


class Line(lightning.LightningModule):
    """One weight."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch[0]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def fit(tmp_path):
    def run(*callbacks):
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=1,
            callbacks=[*callbacks, Interruption()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        trainer.fit(
            Line(), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(50, 1)))
        )

    before = signal.getsignal(signal.SIGINT)
    yield run
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def can_be_interrupted():
    """Python's own handler: a shell's background job begins with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_a_lost_interrupt_stops_before_the_next_batch(fit):
    loser = LoseInterrupt()
    with pytest.raises(SystemExit):  # how Lightning leaves after Ctrl-C
        fit(loser)
    assert loser.batches == 3


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_a_fit_that_ends_leaves_the_handler_as_it_was(fit):
    before = signal.getsignal(signal.SIGINT)
    fit()
    assert signal.getsignal(signal.SIGINT) is before

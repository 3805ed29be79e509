"""Two ranks leave the same batches out."""

from functools import partial

import lightning
import pytest
import torch

from tests.distributed.conftest import RANKS
from tests.distributed.test_loss import SHARES, make_batch, make_module, my_share
from tests.runs import loader
from transformertf.errors import NonFiniteLossError


def fit(spoilt, on_nonfinite="skip", accumulate=1):
    """Return what a fit ends with; `spoilt` maps batches to the window that is spoilt there."""
    batches = [make_batch(seed=seed) for seed in range(4) if seed not in spoilt or spoilt[seed]]
    kept = [seed for seed in range(4) if seed not in spoilt or spoilt[seed]]
    for seed, batch in zip(kept, batches, strict=True):
        if seed in spoilt:
            batch["target"][spoilt[seed], 0] = torch.inf
    adam = partial(torch.optim.AdamW, lr=0.01)
    module = make_module(optimizer=adam, on_nonfinite=on_nonfinite, logging_metrics=())
    trainer = lightning.Trainer(
        accelerator="cpu",
        strategy="ddp",
        devices=RANKS,
        max_epochs=1,
        accumulate_grad_batches=accumulate,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    try:
        trainer.fit(module, loader(*map(my_share, batches)))
    except NonFiniteLossError as error:
        return str(error)
    skipped = float(trainer.callback_metrics["train/skipped"])
    return skipped, torch.cat([p.detach().flatten() for p in module.parameters()]).tolist()


@pytest.mark.parametrize("rank", range(RANKS))
def test_a_batch_that_is_bad_on_one_rank_is_left_out_on_all(rank, on_ranks):
    first, second = on_ranks(fit, {1: SHARES[rank][0] or 2})
    assert first == second
    skipped, weights = first
    assert skipped == 1
    for without in on_ranks(fit, {1: None}):
        assert without == (0, weights)


def test_accumulated_batches_that_are_bad_are_no_step(on_ranks):
    # the two batches of one step, each bad on another rank
    found = on_ranks(fit, {0: SHARES[0][1], 1: SHARES[1][0]}, "skip", 2)
    expected = on_ranks(fit, {0: None, 1: None}, "skip", 2)
    for (skipped, weights), (_, without) in zip(found, expected, strict=True):
        assert skipped == 2
        assert weights == without


def test_all_ranks_stop_where_every_batch_is_bad(on_ranks):
    for message in on_ranks(fit, dict.fromkeys(range(4), SHARES[1][0])):
        assert "skipped 4 of 4 batches of epoch 0" in message

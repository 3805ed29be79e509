"""The steps that count in the loss, against a loop over them in float64."""

import numpy as np
import pytest
import torch

from tests.models.test_base import random_output, tiny
from transformertf.errors import InputError
from transformertf.models import LSTM


def loop(output, batch, steps, weight=None):
    """Return the weighted mean of squares over steps, counted from 1 on data."""
    total, weights = 0.0, 0.0
    output = output.detach()
    for row, mask in enumerate(batch["decoder_mask"].numpy()):
        data = np.flatnonzero(mask)
        taken = data[-1:] if steps == "last" else [data[n - 1] for n in steps if n <= len(data)]
        for step in taken:
            if batch["target_mask"][row, step]:
                share = 1.0 if weight is None else float(weight[row, step])
                error = float(output[row, step, 0]) - float(batch["target"][row, step, 0])
                total, weights = total + share * error**2, weights + share
    assert weights > 0
    return total / weights


@pytest.mark.parametrize("alignment", ["left", "right"])
@pytest.mark.parametrize("steps", ["last", [1], [2, 3], [3, 1]], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_some_steps_alone_count(ragged_batch, alignment, steps, weighted):
    batch = ragged_batch(decoder_alignment=alignment)
    # the last steps, too, which are not observed
    observed = batch["target_mask"] = batch["decoder_mask"]
    batch["target"] = torch.where(
        observed.unsqueeze(-1), batch["target"].nan_to_num(0.3), torch.nan
    )
    weight = None
    if weighted:
        weight = torch.rand(batch["decoder_mask"].shape) + 0.1
        weight[~batch["decoder_mask"]] = float("nan")
        batch["weight"] = weight
    module = tiny(loss_steps=steps)
    output = random_output(batch)
    loss = module.calc_loss(output, batch)
    assert loss.item() == pytest.approx(loop(output, batch, steps, weight), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, output)
    assert gradient.isfinite().all()
    assert int((gradient != 0).sum()) < int(batch["target_mask"].sum())


@pytest.mark.parametrize("alignment", ["left", "right"])
def test_weights_of_steps(ragged_batch, alignment):
    batch = ragged_batch(decoder_alignment=alignment)
    weight = torch.rand(batch["decoder_mask"].shape)
    batch["weight"] = torch.where(batch["decoder_mask"], weight, torch.nan)
    output = random_output(batch)
    every = range(1, batch["decoder_mask"].shape[1] + 1)
    expected = loop(output, batch, list(every), weight)
    assert tiny().calc_loss(output, batch).item() == pytest.approx(expected, rel=1e-5)
    # the same weight of all steps is that of the window
    batch["weight"] = weight[:, :1].expand_as(weight)
    alike = tiny().calc_loss(output, batch)
    batch["weight"] = weight[:, 0]
    assert tiny().calc_loss(output, batch).item() == pytest.approx(alike.item(), rel=1e-6)
    batch["weight"] = weight[:, :1]
    with pytest.raises(InputError, match="batch: weight must be"):
        tiny().calc_loss(output, batch)


@pytest.mark.parametrize("given", [[], [0], [1.5], "first", [True], ["1"]], ids=str)
def test_what_are_no_steps_is_refused(given):
    with pytest.raises(InputError, match="loss_steps must be 'last' or a list of steps from 1"):
        tiny(loss_steps=given)


def sequences(mask, target, ends=None):
    batch = {
        "input": torch.zeros(*mask.shape, 2),
        "mask": mask,
        "lengths": mask.sum(dim=1),
        "target": target.unsqueeze(-1),
        "target_mask": mask,
    }
    return batch if ends is None else {**batch, "ends": ends}


def test_pieces_that_do_not_end_a_sequence_have_no_last_step():
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]]).bool()
    target = torch.arange(12.0).view(3, 4)
    module = LSTM(2, d_model=4, num_layers=1, loss_steps="last")
    output = torch.zeros(3, 4, 1)
    whole = module.calc_loss(output, sequences(mask, target))
    assert whole.item() == pytest.approx((2.0**2 + 5.0**2 + 11.0**2) / 3)
    ends = torch.tensor([False, True, False])
    assert module.calc_loss(output, sequences(mask, target, ends)).item() == 25.0
    none = torch.zeros(3, dtype=torch.bool)
    assert module.calc_loss(output, sequences(mask, target, none)).item() == 0.0

"""Windows of series of unlike sizes, each in the units of its own series."""

import numpy as np
import pandas as pd
import pytest
import torch

from transformertf.data import EncoderDecoderDataModule
from transformertf.models import EncoderDecoderLSTM
from transformertf.nn import DistributionLoss, MAELoss

SIZES = {"large": 1e6, "middle": 1e3, "small": 1.0}
ROWS, CONTEXT, HORIZON = 80, 12, 4


def values_of(size, seed=0):
    return size * (1 + 0.1 * np.random.default_rng(seed).standard_normal(ROWS))


def table_of(series):
    return pd.concat([pd.DataFrame({"id": name, "y": y}) for name, y in series.items()])


PANEL = {name: values_of(size, seed) for seed, (name, size) in enumerate(SIZES.items())}


def fitted(train, validation=None, **options):
    """Return data fitted to series by name, all windows of a stage in one batch."""
    given = {"train_df_paths": table_of(train)}
    if validation is not None:
        given["val_df_paths"] = table_of(validation)
    data = EncoderDecoderDataModule(
        "y",
        series_id="id",
        normalize="window",
        ctxt_seq_len=CONTEXT,
        tgt_seq_len=HORIZON,
        shuffle=False,
        batch_size=1000,
        **{**given, **options},
    )
    data.setup("fit")
    return data


def only(loader):
    (batch,) = loader
    return batch


def make_module(criterion=None):
    torch.manual_seed(0)
    return EncoderDecoderLSTM(1, 1, d_encoder=4, d_decoder=4, criterion=criterion).eval()


def in_window_units(batch):
    loc, scale = (batch[f"window_{name}"].view(-1, 1, 1) for name in ("loc", "scale"))
    return (batch["target"] - loc) / scale


@pytest.mark.parametrize("unseen", [False, True])
def test_a_window_is_relative_to_its_own_context_whatever_the_size_of_its_series(unseen):
    names = {f"other {name}": y for name, y in PANEL.items()}
    # what is not seen in training is stored in units of the large ones
    dtype = "float64" if unseen else "float32"
    data = fitted(PANEL, names if unseen else None, dtype=dtype)
    batch = only(data.val_dataloader() if unseen else data.train_dataloader())
    found, back = in_window_units(batch), data.inverse_transform_target(batch["target"], batch)
    history = batch["encoder_input"][..., -1]
    for row, (place, origin) in enumerate(zip(batch["series"], batch["origin"], strict=True)):
        y = PANEL[sorted(PANEL)[int(place)]]
        past, future = y[origin - CONTEXT + 1 : origin + 1], y[origin + 1 : origin + 1 + HORIZON]
        for scaled, expected in ((history[row], past), (found[row, :, 0], future)):
            expected = (expected - past.mean()) / past.std()
            np.testing.assert_allclose(scaled, expected, rtol=0, atol=1e-4)
        np.testing.assert_allclose(back[row, :, 0], future, rtol=1e-6)


@pytest.mark.parametrize("unseen", [False, True])
def test_the_loss_counts_errors_in_the_larger_spread_of_context_and_series(unseen):
    others = {f"other {name}": y for name, y in PANEL.items()}
    data = fitted(PANEL, others if unseen else None, dtype="float64")
    batch = only(data.val_dataloader() if unseen else data.train_dataloader())
    # by one unit
    off = batch["target"] + 1.0
    found = data.inverse_transform_target(off, batch)
    found -= data.inverse_transform_target(batch["target"], batch)
    for row, (place, origin) in enumerate(zip(batch["series"], batch["origin"], strict=True)):
        y = PANEL[sorted(PANEL)[int(place)]]
        # for what is not known of an unseen series stands the smallest of three
        own = min(each.std() for each in PANEL.values()) if unseen else y.std()
        spread = y[origin - CONTEXT + 1 : origin + 1].std()
        np.testing.assert_allclose(found[row], max(spread, own), rtol=1e-5)
    assert make_module(MAELoss()).calc_loss(off, batch).item() == pytest.approx(1.0)


def test_intervals_are_as_narrow_as_the_series_is_small():
    data = fitted(PANEL, {"unseen": values_of(1.0, 8)})
    module = make_module(DistributionLoss(quantiles=(0.1, 0.5, 0.9)))
    # the small one comes last in the order of names
    for batch, place in ((only(data.train_dataloader()), 2), (only(data.val_dataloader()), 0)):
        with torch.no_grad():
            shown = module.decode(module(batch, need_weights=False)["output"])
        width = data.inverse_transform_target(shown, batch).diff(dim=-1)[batch["series"] == place]
        assert len(width)
        assert (width < 1).all()


@pytest.mark.parametrize("size", [0.0, 1.0, 1e6])
@pytest.mark.parametrize("unseen", [False, True])
def test_contexts_that_tell_no_spread_are_finite(size, unseen):
    still = np.full(ROWS, size)
    moved = np.where(np.arange(ROWS) < 60, size, size + 1.0)
    train = PANEL if unseen else {**PANEL, "still": still}
    data = fitted(train, {"still": moved})
    batch = only(data.val_dataloader())
    for key in ("encoder_input", "target", "window_loc", "window_scale"):
        assert torch.isfinite(batch[key]).all()
    assert (batch["window_scale"] > 0).all()
    module = make_module()
    loss = module.calc_loss(module(batch), batch)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)


def test_no_window_of_an_unseen_series_depends_on_what_comes_after_it():
    early = values_of(1.0, 5)
    late = np.where(np.arange(ROWS) < 40, early, 1e4 * early)
    first, second = (only(fitted(PANEL, {"new": y}).val_dataloader()) for y in (early, late))
    before = first["origin"] < 40 - HORIZON
    assert before.any()
    assert not before.all()
    for key in first:
        assert torch.equal(first[key][before], second[key][before]), key
        if key in ("target", "window_scale"):
            assert not torch.equal(first[key], second[key])


def test_one_series_that_hardly_moves_does_not_speak_for_all():
    alike = {f"s{i}": values_of(1.0, i) for i in range(19)}
    quiet = np.where(np.arange(ROWS) < 40, 1.0, values_of(1.0, 30))
    scale = only(
        fitted({**alike, "odd": 1 + 1e-9 * values_of(1.0)}, {"new": quiet}).val_dataloader()
    )
    assert scale["window_scale"].min() == pytest.approx(0.1)
    assert scale["window_unit"].min() > 0.5


def test_a_state_without_units_of_series_keeps_the_units_of_all():
    data = fitted(PANEL, {"new": values_of(1.0, 7)}, dtype="float64")
    state = data.state_dict()
    for name in ("targets", "least_spread"):
        del state["scaling"][name]
    again = fitted(PANEL, {"new": values_of(1.0, 7)}, dtype="float64")
    again.load_state_dict(state)
    again.setup("validate")
    batch = only(again.val_dataloader())
    everyone = np.concatenate(list(PANEL.values()))
    y = (values_of(1.0, 7) - everyone.mean()) / everyone.std()
    for row, origin in enumerate(batch["origin"].tolist()):
        past = y[origin - CONTEXT + 1 : origin + 1]
        np.testing.assert_allclose(batch["target"][row, :, 0], y[origin + 1 : origin + 1 + HORIZON])
        assert float(batch["window_loc"][row]) == pytest.approx(past.mean())
        assert past.std() < 0.1 == pytest.approx(float(batch["window_scale"][row]))
        assert float(batch["window_unit"][row]) == 1

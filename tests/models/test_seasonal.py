"""Forecasts of the change since the target's value one season ago."""

import copy

import lightning
import numpy as np
import pytest
import torch

from tests.runs import quiet_trainer
from transformertf.errors import InputError
from transformertf.models import LSTM, EncoderDecoderLSTM
from transformertf.nn import DistributionLoss, QuantileLoss

LEVELS = [0.1, 0.4, 0.5, 0.7]


def tiny(**kwargs):
    torch.manual_seed(0)
    sizes = {"d_encoder": 4, "d_decoder": 5, "num_encoder_layers": 1, "num_decoder_layers": 1}
    return EncoderDecoderLSTM(3, 2, **{**sizes, "dropout": 0.0, **kwargs}).eval()


def seasonal_naive(batch, season):
    """Return the value a whole number of seasons before each step, in a loop over the steps."""
    found = np.zeros(batch["decoder_mask"].shape)
    short = 0
    for row, mask in enumerate(batch["decoder_mask"].numpy()):
        past = batch["encoder_input"][row][batch["encoder_mask"][row]][:, -1].numpy()
        short += len(past) < season
        for step, place in enumerate(np.flatnonzero(mask)):
            back = next(k for k in range(season, 1000, season) if step - k < 0)
            found[row, place] = past[-1] if len(past) < season else past[len(past) + step - back]
    return torch.from_numpy(found).float().unsqueeze(-1), short


@pytest.mark.parametrize("encoder_alignment", ["left", "right"])
@pytest.mark.parametrize("decoder_alignment", ["left", "right"])
@pytest.mark.parametrize("season", [1, 2, 3, 4])
def test_a_silent_network_repeats_the_season(
    season, encoder_alignment, decoder_alignment, ragged_batch
):
    batch = ragged_batch(encoder_alignment=encoder_alignment, decoder_alignment=decoder_alignment)
    module = tiny(prediction_type="seasonal", season=season, criterion=QuantileLoss(LEVELS))
    for parameter in module.model.head.parameters():
        torch.nn.init.zeros_(parameter)
    expected, short = seasonal_naive(batch, season)
    assert (short > 0) == bool((batch["encoder_lengths"] < season).any())
    assert not batch["decoder_mask"].all()
    assert torch.equal(module(batch)["output"], expected.expand(-1, -1, len(LEVELS)))


def test_some_contexts_are_shorter_than_a_season(ragged_batch):
    lengths = ragged_batch()["encoder_lengths"]
    assert (lengths < 4).any()
    assert (lengths >= 4).any()


def test_a_season_of_one_step_is_delta(ragged_batch):
    batch = ragged_batch()
    delta, seasonal = tiny(prediction_type="delta"), tiny(prediction_type="seasonal", season=1)
    assert torch.equal(delta(batch)["output"], seasonal(batch)["output"])


def test_the_quantiles_of_a_distribution_move_with_the_season(ragged_batch):
    batch, normal = ragged_batch(), DistributionLoss("normal")
    plain = tiny(criterion=normal)
    moved = tiny(criterion=copy.deepcopy(normal), prediction_type="seasonal", season=2)
    mask = batch["decoder_mask"]
    by = seasonal_naive(batch, 2)[0]
    shown = [module.decode(module(batch)["output"]) for module in (plain, moved)]
    torch.testing.assert_close(shown[1][mask], (shown[0] + by)[mask])


def test_padding_never_changes_a_seasonal_forecast(ragged_batch):
    batch = ragged_batch()
    dirty = dict(batch)
    for side in ("encoder", "decoder"):
        mask = batch[f"{side}_mask"].unsqueeze(-1)
        assert not mask.all()
        dirty[f"{side}_input"] = batch[f"{side}_input"].masked_fill(~mask, float("nan"))
    module = tiny(prediction_type="seasonal", season=3)
    assert torch.equal(module(batch)["output"], module(dirty)["output"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prediction_type": "seasonal"}, "'seasonal' wants season"),
        ({"prediction_type": "seasonal", "season": 0}, "season must be at least 1"),
        ({"season": 24}, "season is 24, .* prediction_type 'point'"),
        ({"season": 24, "prediction_type": "delta"}, "season is 24, .* prediction_type 'delta'"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(InputError, match=message) as error:
        tiny(**options)
    assert "\n" not in str(error.value)


def test_a_sequence_model_has_no_season_behind_it():
    with pytest.raises(InputError, match=r"'seasonal' .* does not read; leave it at 'point'"):
        LSTM(2, prediction_type="seasonal", season=2)


class Source(lightning.LightningDataModule):
    """A data module that tells how long its contexts are."""

    def __init__(self, **arguments):
        super().__init__()
        self.hparams.update(arguments)

    def val_dataloader(self):
        return []

    def inverse_transform_target(self, values, batch):
        return values

    def describe_training_window(self, series, origin):
        return ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"add_target_to_past": False}, "'seasonal' counts from .* set data.add_target_to_past"),
        ({"ctxt_seq_len": 12}, "season is 24, but contexts have 12 steps"),
    ],
)
def test_data_without_the_season_is_refused(arguments, message):
    module = tiny(prediction_type="seasonal", season=24)
    with pytest.raises(InputError, match=message):
        quiet_trainer().validate(module, datamodule=Source(**arguments))


def test_a_checkpoint_of_another_season_is_refused():
    stored = dict(tiny(prediction_type="seasonal", season=2).hparams)
    with pytest.raises(InputError, match="season is 3, but the checkpoint was trained with 2"):
        tiny(prediction_type="seasonal", season=3).on_load_checkpoint({"hyper_parameters": stored})

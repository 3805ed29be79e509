"""The lean temporal fusion transformer: nothing static; the rest is tested with its family."""

import pytest
import torch

from transformertf.errors import InputError
from transformertf.models.temporal_fusion_transformer import TemporalFusionTransformerModel
from transformertf.models.xtft import xTFT, xTFTModel

SIZES = {"d_model": 6, "d_hidden_continuous": 4, "num_heads": 2}


def test_is_the_temporal_fusion_transformer_less_what_is_static():
    lean = dict(xTFTModel(3, 2, 8, 6, **SIZES).named_parameters())
    whole = dict(TemporalFusionTransformerModel(3, 2, 8, 6, **SIZES).named_parameters())
    assert lean.keys() < whole.keys()
    assert all(lean[name].shape == whole[name].shape for name in lean)
    for name in whole.keys() - lean.keys():
        static = ("static_selection.", "fusion.enrichment.")
        assert name.startswith(static) or "context." in name, name


def test_the_lstm_starts_from_zeros():
    torch.manual_seed(0)
    model = xTFTModel(3, 2, 8, 6, **SIZES, dropout=0.0)
    given = []
    model.fusion.encoder.register_forward_hook(
        lambda module, inputs, output: given.append((inputs, output))
    )
    model(torch.randn(2, 5, 3), torch.randn(2, 4, 2))
    (past, lengths, state), (outputs, final) = given[0]
    assert lengths is None
    assert state is None
    theirs = torch.nn.LSTM(6, 6, 2, batch_first=True)
    theirs.load_state_dict(model.fusion.encoder.state_dict())
    expected, expected_final = theirs(past, (torch.zeros(2, 2, 6), torch.zeros(2, 2, 6)))
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(final, expected_final)


@pytest.mark.parametrize("make", [xTFT, xTFTModel])
def test_static_features_are_refused(make):
    assert make(3, 2, 8, 6, num_static_features=0, **SIZES) is not None
    with pytest.raises(InputError, match=r"no place for static features, found .* 2; take TFT"):
        make(3, 2, 8, 6, num_static_features=2, **SIZES)

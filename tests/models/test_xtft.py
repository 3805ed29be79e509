"""The lean temporal fusion transformer: no static path; the rest is tested with its family."""

from typing import Any

import pytest
import torch

from transformertf.models.temporal_fusion_transformer import TemporalFusionTransformerModel
from transformertf.models.xtft import xTFTModel

SIZES: dict[str, Any] = {"d_model": 6, "d_hidden_continuous": 4, "num_heads": 2}


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


@pytest.mark.parametrize("static", [[], [3]], ids=["real", "and a category"])
def test_what_is_static_is_a_further_variable_of_every_step(static):
    torch.manual_seed(0)
    lean = xTFTModel(3, 2, 8, 6, 2, **SIZES, dropout=0.0, static_category_sizes=static)
    names = [name for name, _ in lean.named_parameters()]
    assert not any("static" in name or "context." in name for name in names)
    # the same network, to which they were always features of the steps
    plain = xTFTModel(
        5, 4, 8, 6, **SIZES, dropout=0.0, past_category_sizes=static, future_category_sizes=static
    )
    plain.load_state_dict(lean.state_dict())
    past, future, values = torch.randn(2, 5, 3), torch.randn(2, 4, 2), torch.randn(2, 2)
    repeated = [values.unsqueeze(1).expand(-1, n, -1) for n in (5, 4)]
    codes, given = {}, {}
    if static:
        own = torch.tensor([[1], [2]])
        codes["static_categories"] = own
        for side, n in (("past", 5), ("future", 4)):
            given[f"{side}_categories"] = own.unsqueeze(1).expand(-1, n, -1)
    found = lean(past, future, static=values, **codes, need_weights=True)
    wide = [torch.cat(pair, dim=-1) for pair in zip((past, future), repeated, strict=True)]
    expected = plain(*wide, **given, need_weights=True)
    torch.testing.assert_close(dict(found), dict(expected))
    assert found["encoder_weights"].size(-1) == 5 + len(static)

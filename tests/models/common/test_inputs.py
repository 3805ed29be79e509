"""Arguments that say what is static and what is a category: sizes, widths, what is kept of them."""

from typing import Any

import pytest
import torch

from transformertf.errors import InputError
from transformertf.models import LSTM, TFT, EncoderDecoderLSTM, xTFT
from transformertf.models.pf_tft import PFTemporalFusionTransformerModel
from transformertf.models.pf_weights import load_pytorch_forecasting

WINDOWS = {
    "num_static_features": 2,
    "static_category_sizes": (3,),
    "past_category_sizes": (4, 2),
    "future_category_sizes": (4,),
}


def make_lstm(**kwargs):
    return EncoderDecoderLSTM(3, 2, d_encoder=4, d_decoder=4, **kwargs)


def make_tft(**kwargs):
    return TFT(3, 2, 7, 5, d_model=4, d_hidden_continuous=3, num_heads=2, **kwargs)


@pytest.mark.parametrize("make", [make_lstm, make_tft])
def test_sizes_are_kept_as_lists(make):
    module = make(**WINDOWS)
    expected = {key: list(v) if isinstance(v, tuple) else v for key, v in WINDOWS.items()}
    assert {key: module.hparams[key] for key in expected} == expected
    assert module.hparams["category_sizes"] == []
    assert type(make().hparams["past_category_sizes"]) is list


def test_real_features_and_categories_widen_both_sides():
    module = make_lstm(**WINDOWS, d_category=5)
    assert module.model.encoder.input_size == 3 + 2 + 5 * 3
    assert module.model.decoder.input_size == 2 + 2 + 5 * 2
    assert make_lstm().model.encoder.input_size == 3


def test_nothing_static_and_no_category_adds_no_weights():
    for module in (make_lstm(), make_tft()):
        assert all(name.startswith("model.") for name, _ in module.named_parameters())


MISTAKES = {
    "negative": ({"num_static_features": -1}, "num_static_features must be at least 0, found -1"),
    "empty": ({"past_category_sizes": [3, 0]}, "past_category_sizes must be at least 1, found 0"),
    "width": ({"d_category": 0, **WINDOWS}, "d_category must be at least 1, found 0"),
    "other side": (
        {"category_sizes": [3]},
        r"category_sizes is \[3\], but a model that takes windows wants past_category_siz",
    ),
}


@pytest.mark.parametrize(("kwargs", "message"), MISTAKES.values(), ids=MISTAKES)
def test_impossible_sizes_are_refused_by_name(kwargs, message):
    with pytest.raises(InputError, match=f"^{message}"):
        make_lstm(**kwargs)


def test_a_sequence_has_neither_past_nor_future():
    with pytest.raises(InputError, match=r"^past_category_sizes is \[3\], .* category_sizes; give"):
        LSTM(3, past_category_sizes=[3])


def test_a_model_that_selects_has_no_other_width_for_categories():
    with pytest.raises(InputError, match=r"d_category is 5, .* set that, and leave d_category out"):
        make_tft(d_category=5)
    with pytest.raises(InputError, match="d_category is 5"):
        xTFT(3, 2, 7, 5, d_model=4, num_heads=2, d_category=5)


def test_weights_of_real_variables_do_not_fit_a_model_with_categories():
    sizes: dict[str, Any] = {"d_model": 4, "d_hidden_continuous": 3, "num_heads": 2}
    model = PFTemporalFusionTransformerModel(1, 1, 8, 6, past_category_sizes=[3], **sizes)
    with pytest.raises(InputError, match=r"^the past_selection of the model has categories"):
        load_pytorch_forecasting(model, {"x": torch.zeros(1)}, ["a"], ["a"])

"""Every model, small, and ragged batches for it: what the tests of this folder share."""

from functools import partial
from itertools import product
from typing import Any

import torch

from tests.models.by_equation import shaken
from transformertf.batch import Batch, check_batch, forecast_mask
from transformertf.models import (
    GRU,
    LSTM,
    AttentionLSTM,
    EncoderDecoderLSTM,
    PFTemporalFusionTransformer,
    TemporalFusionTransformer,
    TransformerLSTM,
    xTFT,
)
from transformertf.models.common.inputs import Covariates
from transformertf.utils.sequence import create_padding_mask

PAST, FUTURE, MAX_CONTEXT, MAX_HORIZON = 3, 2, 7, 5
# static features, and how many codes each category has: static ones, those of a step that is not of
# the horizon, those of a step that is
STATIC, STATIC_SIZES, SIZES, HORIZON_SIZES = 2, [3], [3, 2], [3]

# of the temporal fusion family
FUSION: dict[str, Any] = {
    "ctxt_seq_len": MAX_CONTEXT,
    "tgt_seq_len": MAX_HORIZON,
    "d_model": 4,
    "d_hidden_continuous": 3,
    "num_heads": 2,
    "num_lstm_layers": 1,
    "dropout": 0.0,
}
# every model, small and without dropout; a further one joins by one line
MODELS: dict[str, Any] = {
    "EncoderDecoderLSTM": partial(EncoderDecoderLSTM, d_encoder=4, d_decoder=5, dropout=0.0),
    "AttentionLSTM": partial(
        AttentionLSTM, d_model=4, d_encoder=3, d_decoder=5, num_heads=2, dropout=0.0
    ),
    "TransformerLSTM": partial(TransformerLSTM, d_model=4, num_heads=2, dropout=0.0),
    "TemporalFusionTransformer": partial(TemporalFusionTransformer, **FUSION),
    "PFTemporalFusionTransformer": partial(PFTemporalFusionTransformer, **FUSION),
    "xTFT": partial(xTFT, **FUSION),
    "LSTM": partial(LSTM, num_layers=2, d_model=4, dropout=0.0),
    "GRU": partial(GRU, num_layers=2, d_model=4, dropout=0.0),
}
# sides of a batch by what a model takes, the one whose steps are forecast last: the prefix of
# its keys, and its features
SIDES = {
    "windows": (("encoder_", PAST), ("decoder_", FUTURE)),
    "sequences": (("", PAST),),
}


# networks that an argument changes in more than size
VARIANTS: dict[str, Any] = {
    "EncoderDecoderLSTM, equal widths": partial(MODELS["EncoderDecoderLSTM"], d_decoder=4),
    "EncoderDecoderLSTM, deeper decoder": partial(
        MODELS["EncoderDecoderLSTM"], num_decoder_layers=3
    ),
    "EncoderDecoderLSTM, deeper encoder": partial(
        MODELS["EncoderDecoderLSTM"], num_encoder_layers=3, num_decoder_layers=1
    ),
    "EncoderDecoderLSTM, MLP": partial(
        MODELS["EncoderDecoderLSTM"], d_mlp_hidden=[6, 5], mlp_activation="tanh", mlp_dropout=0.0
    ),
    "AttentionLSTM, equal widths": partial(MODELS["AttentionLSTM"], d_encoder=4, d_decoder=4),
    "AttentionLSTM, no gate": partial(MODELS["AttentionLSTM"], use_gating=False),
    "AttentionLSTM, trainable add": partial(MODELS["AttentionLSTM"], trainable_add=True),
    "TransformerLSTM, shared LSTM": partial(MODELS["TransformerLSTM"], share_lstm_weights=True),
    "TransformerLSTM, one block": partial(MODELS["TransformerLSTM"], num_transformer_blocks=1),
}
# every model with all that a batch may hold
COVARIATES: dict[str, Any] = {
    f"{name}, covariates": partial(
        made,
        num_static_features=STATIC,
        static_category_sizes=STATIC_SIZES,
        **(
            {"category_sizes": SIZES}
            if made.func.takes == "sequences"
            else {"past_category_sizes": SIZES, "future_category_sizes": HORIZON_SIZES}
        ),
    )
    for name, made in MODELS.items()
}
ALL = {**MODELS, **VARIANTS, **COVARIATES}
STATIC_KEYS = ("static_input", "static_categories")
# number of codes of each category of a step, by the prefix of a side
STEP_CATEGORIES = {"": SIZES, "encoder_": SIZES, "decoder_": HORIZON_SIZES}


def sides_of(name):
    return SIDES[ALL[name].func.takes]


def alignments_of(name):
    return list(product(("left", "right"), repeat=len(sides_of(name))))


def make_sample(name, lengths, seed, dtype):
    """Return one unpadded window as a batch of one row; its first target may be unobserved."""
    generator = torch.Generator().manual_seed(seed)
    sides = sides_of(name)
    steps = lengths[len(sides) - 1]
    observed = torch.ones(1, steps, dtype=torch.bool)
    observed[0, 0] = steps == 1 or seed % 2 == 0
    target = torch.randn(1, steps, 1, generator=generator, dtype=dtype)
    batch: Any = Batch(
        target=torch.where(observed.unsqueeze(-1), target, 0.0), target_mask=observed
    )
    for (side, width), steps in zip(sides, lengths, strict=False):
        batch[f"{side}input"] = torch.randn(1, steps, width, generator=generator, dtype=dtype)
        batch[f"{side}lengths"] = torch.tensor([steps])
        batch[f"{side}mask"] = torch.ones(1, steps, dtype=torch.bool)
        if name in COVARIATES:
            sizes = STEP_CATEGORIES[side]
            batch[f"{side}categories"] = draw_codes(sizes, (1, steps), generator)
    if name in COVARIATES:
        batch["static_input"] = torch.randn(1, STATIC, generator=generator, dtype=dtype)
        batch["static_categories"] = draw_codes(STATIC_SIZES, (1,), generator)
    return batch


def draw_codes(sizes, shape, generator):
    columns = [torch.randint(size, shape, generator=generator) for size in sizes]
    return torch.stack(columns, dim=-1)


def spread(rows, mask, filling):
    """Write each row's steps to the places of its mask (B, T) and the filling to all others."""
    result = torch.full((*mask.shape, *rows[0].shape[1:]), filling, dtype=rows[0].dtype)
    for row, values in enumerate(rows):
        result[row, mask[row]] = values
    return result


def collate(name, samples, alignments, extra, filling):
    """Pad samples to one batch, with `extra` steps more than the longest of each side.

    Categories have a code other than 0 on padding, which no step of data need have.
    """

    def spread_all(key, mask, filling):
        return spread([sample[key][0] for sample in samples], mask, filling)

    batch: Any = Batch()
    for key in STATIC_KEYS:
        if key in samples[0]:
            batch[key] = torch.cat([sample[key] for sample in samples])
    for (side, _), alignment, more in zip(sides_of(name), alignments, extra, strict=False):
        lengths = torch.cat([sample[f"{side}lengths"] for sample in samples])
        mask = create_padding_mask(lengths, int(lengths.max()) + more, alignment)
        assert mask.any(dim=1).all()
        assert not mask.all(), "nothing is padded"
        batch[f"{side}input"] = spread_all(f"{side}input", mask, filling)
        batch[f"{side}lengths"], batch[f"{side}mask"] = lengths, mask
        if f"{side}categories" in samples[0]:
            batch[f"{side}categories"] = spread_all(f"{side}categories", mask, 1)
    batch["target_mask"] = spread_all("target_mask", mask, False)
    target = spread_all("target", mask, filling)
    batch["target"] = torch.where(batch["target_mask"].unsqueeze(-1), target, filling)
    check_batch(batch)
    return batch


def make_module(name, **options):
    """Return a model in float64, every weight random, also those that start at 0 or 1."""
    widths = [width for _, width in sides_of(name)]
    return shaken(ALL[name](*widths, **options), 0.6)


def make_batch(name, alignments=("left", "left"), lengths=((3, 5), (6, 2), (1, 4)), extra=(1, 1)):
    """Return a ragged batch in float64 with NaN in its padding; a first target is unobserved."""
    sides = sides_of(name)
    lengths = [pair[-len(sides) :] for pair in lengths]
    samples = [make_sample(name, row, seed, torch.float64) for seed, row in enumerate(lengths)]
    batch = collate(name, samples, alignments, extra, float("nan"))
    assert not batch["target_mask"][forecast_mask(batch)].all()
    return batch


def network_arguments(module, batch):
    """Return what a module gives its network of a batch, where it lies, and by what names."""
    sides = SIDES[module.takes]
    inputs = [batch[f"{side}input"] for side, _ in sides]
    covariates = Covariates(
        batch.get("static_input"),
        batch.get("static_categories"),
        [batch.get(f"{side}categories") for side, _ in sides],
    )
    options = {}
    if module.widening is None:
        options = covariates.by_name()
    else:
        inputs = module.widening(inputs, covariates)
    return [*inputs, *(batch[f"{side}lengths"] for side, _ in sides)], options

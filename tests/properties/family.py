"""Every model, small, and ragged batches for it: what the tests of this folder share."""

from functools import partial
from itertools import product

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
from transformertf.utils.sequence import create_padding_mask

PAST, FUTURE, MAX_CONTEXT, MAX_HORIZON = 3, 2, 7, 5

# of the temporal fusion family
FUSION = {
    "ctxt_seq_len": MAX_CONTEXT,
    "tgt_seq_len": MAX_HORIZON,
    "d_model": 4,
    "d_hidden_continuous": 3,
    "num_heads": 2,
    "num_lstm_layers": 1,
    "dropout": 0.0,
}
# every model, small and without dropout; a further one joins by one line
MODELS = {
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
VARIANTS = {
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
ALL = {**MODELS, **VARIANTS}


def sides_of(name):
    return SIDES[ALL[name].func.takes]


def alignments_of(name):
    return list(product(("left", "right"), repeat=len(sides_of(name))))


def make_sample(sides, lengths, seed, dtype):
    """Return one unpadded window as a batch of one row; its first target may be unobserved."""
    generator = torch.Generator().manual_seed(seed)
    steps = lengths[len(sides) - 1]
    observed = torch.ones(1, steps, dtype=torch.bool)
    observed[0, 0] = steps == 1 or seed % 2 == 0
    target = torch.randn(1, steps, 1, generator=generator, dtype=dtype)
    batch = Batch(target=torch.where(observed.unsqueeze(-1), target, 0.0), target_mask=observed)
    for (side, width), steps in zip(sides, lengths, strict=False):
        batch[f"{side}input"] = torch.randn(1, steps, width, generator=generator, dtype=dtype)
        batch[f"{side}lengths"] = torch.tensor([steps])
        batch[f"{side}mask"] = torch.ones(1, steps, dtype=torch.bool)
    return batch


def spread(rows, mask, filling):
    """Write each row's steps to the places of its mask (B, T) and the filling to all others."""
    result = torch.full((*mask.shape, *rows[0].shape[1:]), filling, dtype=rows[0].dtype)
    for row, values in enumerate(rows):
        result[row, mask[row]] = values
    return result


def collate(sides, samples, alignments, extra, filling):
    """Pad samples to one batch, with `extra` steps more than the longest of each side."""

    def spread_all(key, mask, filling):
        return spread([sample[key][0] for sample in samples], mask, filling)

    batch = Batch()
    for (side, _), alignment, more in zip(sides, alignments, extra, strict=False):
        lengths = torch.cat([sample[f"{side}lengths"] for sample in samples])
        mask = create_padding_mask(lengths, int(lengths.max()) + more, alignment)
        assert mask.any(dim=1).all()
        assert not mask.all(), "nothing is padded"
        batch[f"{side}input"] = spread_all(f"{side}input", mask, filling)
        batch[f"{side}lengths"], batch[f"{side}mask"] = lengths, mask
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
    samples = [make_sample(sides, row, seed, torch.float64) for seed, row in enumerate(lengths)]
    batch = collate(sides, samples, alignments, extra, float("nan"))
    assert not batch["target_mask"][forecast_mask(batch)].all()
    return batch

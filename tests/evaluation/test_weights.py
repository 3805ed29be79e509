"""Weights get the names of the inputs they are of, and padding takes no part in their means."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.properties.family import (
    MAX_CONTEXT,
    MAX_HORIZON,
    alignments_of,
    collate,
    make_batch,
    make_module,
    make_sample,
)
from transformertf.data import EncoderDecoderDataModule
from transformertf.data.columns import Columns
from transformertf.errors import InputError
from transformertf.evaluation.importance import STAND_IN, WeightMeans, variables_of

# of the batches of tests.properties.family, without and with all that a batch may hold
PLAIN = Columns(known=("u", "v"), past=(), target="y", time=None)
RICH = Columns(
    known=("u", "v"),
    past=(),
    target="y",
    time=None,
    static=("s", "t"),
    known_categories=("k",),
    past_categories=("p",),
    static_categories=("c",),
)
PAST, FUTURE = ["u", "v", "y", "k", "p"], ["u", "v", "k"]
SELECTED = {
    "TemporalFusionTransformer": (["u", "v", "y"], ["u", "v"], [STAND_IN]),
    "PFTemporalFusionTransformer": (["u", "v", "y"], ["u", "v"], []),
    "xTFT": (["u", "v", "y"], ["u", "v"], []),
    "TemporalFusionTransformer, covariates": (PAST, FUTURE, ["s", "t", "c"]),
    "PFTemporalFusionTransformer, covariates": (PAST, FUTURE, ["s", "t", "c"]),
    "xTFT, covariates": (
        ["u", "v", "y", "s", "t", "k", "p", "c"],
        ["u", "v", "s", "t", "k", "c"],
        [],
    ),
}


def columns_of(name):
    return RICH if "covariates" in name else PLAIN


def seen_by(module, *batches):
    means = WeightMeans()
    for batch in batches:
        with torch.no_grad():
            means.update(module(batch, need_weights=True), batch)
    return means


def fix_weights(selection, seed):
    """Make a selection weigh its variables alike on every input, and return the weights."""
    if selection is None or selection.weighing is None:
        return [1.0]
    norm = selection.weighing.output.norm
    weights = np.random.default_rng(seed).dirichlet(np.ones(norm.bias.numel()))
    norm.weight.data.zero_()
    norm.bias.data.copy_(torch.from_numpy(np.log(weights)))
    return list(weights)


@pytest.mark.parametrize("name", SELECTED)
@pytest.mark.parametrize("alignments", alignments_of("xTFT"))
def test_known_selection_weights_come_out_under_their_names(name, alignments):
    module = make_module(name)
    network, sides = module.model, ("past", "future", "static")
    selections = [getattr(network, f"{side}_selection", None) for side in sides]
    weights = [fix_weights(one, seed) for seed, one in enumerate(selections)]
    expected = [
        (side, variable, weight)
        for side, variables, own in zip(sides, SELECTED[name], weights, strict=True)
        for variable, weight in zip(variables, own if variables else [], strict=True)
    ]
    found = seen_by(module, make_batch(name, alignments)).importance(columns_of(name))
    pd.testing.assert_frame_equal(
        found, pd.DataFrame(expected, columns=["side", "variable", "importance"]), rtol=1e-9
    )


@st.composite
def cases(draw):
    """Draw windows and the padding around them."""
    rows = draw(st.integers(1, 4))
    lengths = [
        draw(st.lists(st.integers(1, most), min_size=rows, max_size=rows))
        for most in (MAX_CONTEXT, MAX_HORIZON)
    ]
    return {
        "lengths": list(zip(*lengths, strict=True)),
        "extra": [draw(st.integers(1, 3)) for _ in lengths],
        "filling": draw(st.sampled_from([0.0, 1e30, float("nan")])),
        "split": draw(st.integers(0, rows)),
    }


def attention_by_hand(module, samples):
    """Return the mean by step and position of single windows, which nothing pads."""
    found: dict[int, dict[int, list[float]]] = {}
    for sample in samples:
        with torch.no_grad():
            weights = module(sample, need_weights=True)["attention_weights"][0]
        context = int(sample["encoder_lengths"])
        for step, row in enumerate(weights.tolist(), start=1):
            for place, weight in enumerate(row):
                found.setdefault(step, {}).setdefault(place - context + 1, []).append(weight)
    means = {
        step: {place: np.mean(each) for place, each in row.items()} for step, row in found.items()
    }
    table = pd.DataFrame.from_dict(means, orient="index")
    return table.sort_index(axis=0).sort_index(axis=1)


@pytest.mark.parametrize("alignments", alignments_of("xTFT"))
@pytest.mark.parametrize(
    "name", ["TemporalFusionTransformer, covariates", "xTFT, covariates", "AttentionLSTM"]
)
@settings(max_examples=8, deadline=None)
@given(case=cases())
def test_padding_alignment_and_batches_change_nothing(name, alignments, case):
    module = make_module(name)
    samples = [
        make_sample(name, lengths, seed, torch.float64)
        for seed, lengths in enumerate(case["lengths"])
    ]
    groups = [samples[: case["split"]], samples[case["split"] :]]
    padded = seen_by(
        module,
        *(
            collate(name, group, alignments, case["extra"], case["filling"])
            for group in groups
            if group
        ),
    )
    found = padded.attention()
    assert (found.index.name, found.columns.name) == ("step", "position")
    pd.testing.assert_frame_equal(
        found, attention_by_hand(module, samples), check_names=False, check_index_type=False
    )
    if name == "AttentionLSTM":
        assert padded.importance(PLAIN) is None
        return
    importance = padded.importance(RICH)
    alone = [seen_by(module, sample).importance(RICH) for sample in samples]
    for side, count in (("past", 0), ("future", 1), ("static", None)):
        rows = importance["side"] == side
        if side == "static" and "xTFT" in name:
            assert not rows.any()
            continue
        steps = [1 if count is None else lengths[count] for lengths in case["lengths"]]
        means = [one["importance"][rows] for one in alone]
        expected = np.average(means, axis=0, weights=steps)
        np.testing.assert_allclose(importance["importance"][rows], expected, rtol=1e-9)
        assert importance["importance"][rows].sum() == pytest.approx(1)


def test_names_are_those_of_the_columns_that_a_data_module_feeds(tmp_path):
    rows, context, horizon = 40, 6, 3
    generator = np.random.default_rng(0)
    real = {name: generator.normal(size=rows) for name in ("u", "v", "w", "y")}
    kinds = {
        name: generator.permutation(np.resize(list(letters), rows))
        for name, letters in (("k", "abc"), ("p", "efghi"))
    }
    frame = pd.DataFrame(real | kinds)
    frame["when"] = pd.date_range("2024-01-01", periods=rows, freq="D")
    frame.to_parquet(tmp_path / "train.parquet")
    data = EncoderDecoderDataModule(
        target_covariate="y",
        known_covariates=["u", "k", "v"],
        known_past_covariates=["p", "w"],
        categorical_covariates=["p", "k", "dayofweek"],
        calendar_features=["dayofweek"],
        time_column="when",
        train_df_paths=str(tmp_path / "train.parquet"),
        ctxt_seq_len=context,
        tgt_seq_len=horizon,
        shuffle=False,
        batch_size=100,
    )
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    frame["dayofweek"] = frame["when"].dt.day_of_week.astype(str)
    names = variables_of(data.columns, add_target=True)
    assert names["past"] == (["when", "u", "v", "w", "y"], ["k", "dayofweek", "p"])
    assert names["future"] == (["when", "u", "v"], ["k", "dayofweek"])
    for side, key, first in (("past", "encoder", 0), ("future", "decoder", context)):
        values, codes = batch[f"{key}_input"][:, 0], batch[f"{key}_categories"][:, 0]
        own = frame.iloc[first : first + len(values)]
        for column, name in enumerate(names[side][0][1:], start=1):
            assert np.corrcoef(own[name], values[:, column])[0, 1] == pytest.approx(1, abs=1e-6)
        for column, name in enumerate(names[side][1]):
            pairs = set(zip(own[name], codes[:, column].tolist(), strict=True))
            assert len(pairs) == frame[name].nunique() == len({code for _, code in pairs})


def test_a_model_without_weights_has_none():
    means = seen_by(make_module("LSTM"), make_batch("LSTM"))
    assert means.importance(PLAIN) is None
    assert means.attention() is None


def test_columns_of_other_data_are_an_error():
    means = seen_by(make_module("xTFT"), make_batch("xTFT"))
    with pytest.raises(InputError, match=r"3 variables on the side 'past', the columns give 2: u"):
        means.importance(PLAIN, add_target=False)

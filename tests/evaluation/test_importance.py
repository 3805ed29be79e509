"""All importance is that of the one variable that a forecast uses; nothing but data moves."""

import itertools
import random
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.test_weights import PLAIN, RICH
from tests.properties.family import alignments_of, collate, make_batch, make_module, make_sample
from transformertf.batch import forecast_mask
from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.errors import InputError
from transformertf.evaluation import look_inside
from transformertf.evaluation.importance import permutation_importance
from transformertf.models import GRU, EncoderDecoderLSTM
from transformertf.utils.sequence import first_data_step

WINDOWS, SEQUENCES = "EncoderDecoderLSTM, covariates", "GRU, covariates"
LENGTHS = ((3, 5), (6, 2), (1, 4), (6, 5))
# where each variable of RICH stands: side, and its places in a batch
PLACES = {
    "u": ("future", [("encoder_input", 0), ("decoder_input", 0)]),
    "v": ("future", [("encoder_input", 1), ("decoder_input", 1)]),
    "y": ("past", [("encoder_input", 2)]),
    "k": ("future", [("encoder_categories", 0), ("decoder_categories", 0)]),
    "p": ("past", [("encoder_categories", 1)]),
    "s": ("static", [("static_input", 0)]),
    "t": ("static", [("static_input", 1)]),
    "c": ("static", [("static_categories", 0)]),
}


class OneVariable(torch.nn.Module):
    """Forecasts from one column of a batch alone, and keeps the batches that it was given."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, key="decoder_input", column=0):
        super().__init__()
        self.key, self.column = key, column
        self.seen, self.modes = [], []

    def forward(self, batch, need_weights):
        self.seen.append(batch)
        self.modes.append(self.training)
        values = batch[self.key][..., self.column].double()
        if self.key.startswith("encoder"):
            # the first data step of each context is in each horizon step
            first = first_data_step(batch["encoder_mask"])
            values = values.gather(1, first.unsqueeze(1))
        elif self.key.startswith("static"):
            values = values.unsqueeze(1)
        return {"output": values.expand(forecast_mask(batch).shape).unsqueeze(-1)}

    def decode(self, output):
        return output

    def point_forecast(self, output):
        return output


def numpy_state():
    return np.random.get_state(legacy=False)["state"]["key"].tolist()  # noqa: NPY002


def full_batch(rows=4, seed=0):
    """Return windows of one length, with categories that all differ, padded by one step."""
    samples = [make_sample(WINDOWS, (6, 5), seed + row, torch.float64) for row in range(rows)]
    for row, sample in enumerate(samples):
        for key in ("encoder_categories", "decoder_categories", "static_categories"):
            sample[key] = sample[key] * 0 + row
    return collate(WINDOWS, samples, ("left", "right"), (1, 1), float("nan"))


def with_target_of(model, batch):
    """Return the batch with a target that the model misses by 0.1 everywhere."""
    target = model(batch, need_weights=False)["output"] + 0.1
    return batch | {"target": target}


@pytest.mark.parametrize(
    ("name", "place"), [(name, place) for name, (_, own) in PLACES.items() for place in own]
)
def test_the_one_variable_that_is_used_has_all_importance(name, place):
    model: Any = OneVariable(*place)
    batches = [with_target_of(model, full_batch(seed=seed)) for seed in (0, 10)]
    found = permutation_importance(model, batches, RICH).set_index("variable")
    assert found["side"].to_dict() == {key: side for key, (side, _) in PLACES.items()}
    assert found.loc[name, "importance"] > 1
    assert (found["importance"].drop(name) == 0).all()


def test_two_windows_swap_and_the_growth_is_that_of_the_definition():
    model: Any = OneVariable()
    batch = full_batch(rows=2)
    batch["target"] = torch.randn(batch["target"].shape, generator=torch.Generator().manual_seed(0))
    mask, values = batch["target_mask"], batch["decoder_input"][..., 0]
    error = (values - batch["target"][..., 0]).abs()[mask].mean()
    swapped = (values.flip(0) - batch["target"][..., 0]).abs()[mask].mean()
    found = permutation_importance(model, [batch], RICH).set_index("variable")["importance"]
    assert found["u"] == pytest.approx(float(swapped / error - 1))
    squared = permutation_importance(
        model, [batch], RICH, lambda point, b: (point - b["target"]).square()[..., 0]
    ).set_index("variable")["importance"]
    growth = (values.flip(0) - batch["target"][..., 0]).square()[mask].mean() / (
        values - batch["target"][..., 0]
    ).square()[mask].mean()
    assert squared["u"] == pytest.approx(float(growth - 1))


def test_context_and_horizon_come_from_one_other_window():
    batch = full_batch(rows=5)
    for side in ("encoder", "decoder"):
        rows = torch.arange(5.0, dtype=torch.float64).view(-1, 1, 1)
        batch[f"{side}_input"] = rows.expand_as(batch[f"{side}_input"]).clone()
    model: Any = OneVariable("encoder_input", 2)
    batch["target"] = batch["target"] + 1.0
    permutation_importance(model, [batch], RICH)
    changed = model.seen[1]  # after the batch as it is: u
    past, future = (changed[f"{side}_input"][..., 0] for side in ("encoder", "decoder"))
    mask = batch["encoder_mask"], batch["decoder_mask"]
    donors = [int(row[own][0]) for row, own in zip(past, mask[0], strict=True)]
    assert sorted(donors) == [0, 1, 2, 3, 4]
    assert all(donor != row for row, donor in enumerate(donors))
    for values, own in zip((past, future), mask, strict=True):
        for row, donor in enumerate(donors):
            assert (values[row, own[row]] == donor).all()


def by_distance(batch, key, column):
    """Return the data values of a column by their distance from the origin, and the padding."""
    side = key.split("_")[0]
    mask = batch[f"{side}_mask"]
    found: dict[int, list[float]] = {}
    for row, own in zip(batch[key][..., column], mask, strict=True):
        values = row[own].tolist()
        start = -len(values) if side == "encoder" else 0
        for distance, value in enumerate(values, start=start):
            found.setdefault(distance, []).append(value)
    return {key: sorted(values) for key, values in found.items()}, batch[key][..., column][~mask]


@pytest.mark.parametrize("alignments", alignments_of(WINDOWS))
def test_data_steps_move_among_those_as_far_from_the_origin(alignments):
    batch = make_batch(WINDOWS, alignments, LENGTHS)
    model: Any = OneVariable()
    permutation_importance(model, [batch], RICH)
    first, *others = model.seen
    moved = 0
    for changed, (_, places) in zip(others, PLACES.values(), strict=True):
        for key in batch:
            if key not in dict(places):
                assert changed[key] is first[key]
        for key, column in places:
            rest = [c for c in range(batch[key].size(-1)) if c != column]
            torch.testing.assert_close(
                changed[key][..., rest], batch[key][..., rest], rtol=0, atol=0, equal_nan=True
            )
            if key.startswith("static"):
                assert sorted(changed[key][:, column]) == sorted(batch[key][:, column])
                continue
            expected, padding = by_distance(batch, key, column)
            found, same = by_distance(changed, key, column)
            assert found == expected
            torch.testing.assert_close(same, padding, rtol=0, atol=0, equal_nan=True)
            moved += int((changed[key] != batch[key])[batch[f"{key[:7]}_mask"]].sum())
    assert moved > 20


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 7), st.integers(1, 5)), min_size=2, max_size=5),
    alignments=st.sampled_from(list(itertools.product(("left", "right"), repeat=2))),
    extra=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    filling=st.sampled_from([0.0, float("nan")]),
)
def test_padding_and_alignment_change_nothing(lengths, alignments, extra, filling):
    samples = [make_sample(WINDOWS, pair, row, torch.float64) for row, pair in enumerate(lengths)]
    module = make_module(WINDOWS)
    tables = []
    for ends, more, value in (((("left", "left")), (1, 1), 0.0), (alignments, extra, filling)):
        batch = collate(WINDOWS, samples, ends, more, value)
        tables.append(permutation_importance(module, [batch], RICH, seed=3))
    plain, padded = tables
    pd.testing.assert_frame_equal(plain, padded, atol=1e-9)
    assert plain["importance"].ne(0).any()


def test_seed_decides_and_mode_and_generators_stay():
    batch = make_batch(WINDOWS, lengths=LENGTHS)
    module = make_module(WINDOWS)
    module.train()
    module.model.encoder.eval()
    modes = [part.training for part in module.modules()]
    states = torch.get_rng_state(), random.getstate(), numpy_state()
    one, same, other = (
        permutation_importance(module, [batch], RICH, seed=seed) for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(one, same)
    assert not one.equals(other)
    assert [part.training for part in module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert numpy_state() == states[2]
    model: Any = OneVariable().train()
    permutation_importance(model, [batch], RICH)
    assert not any(model.modes)
    assert model.training


def test_sequences_have_variables_of_the_steps_that_are_forecast():
    columns = RICH.__class__(**{**vars(RICH), "past": ("w",)})
    module = make_module(SEQUENCES)
    found = permutation_importance(module, [make_batch(SEQUENCES, ("right",), LENGTHS)], columns)
    assert found["variable"].tolist() == ["u", "v", "w", "k", "p", "s", "t", "c"]
    assert found["side"].tolist() == ["future"] * 5 + ["static"] * 3
    assert found["importance"].ne(0).all()


@pytest.mark.parametrize("name", ["u", "y", "k", "s", "c"])
def test_what_is_the_same_in_all_windows_has_no_importance_rather_than_none(name):
    model: Any = OneVariable()
    batches = [with_target_of(model, full_batch(seed=seed)) for seed in (0, 10)]
    kept = [batches[1][key][..., column].clone() for key, column in PLACES[name][1]]
    for batch in batches:
        for key, column in PLACES[name][1]:
            batch[key][..., column] = 3
    found = permutation_importance(model, batches, RICH).set_index("variable")["importance"]
    assert found.index[found.isna()].tolist() == [name]
    # the same in one batch, not in the other
    for (key, column), values in zip(PLACES[name][1], kept, strict=True):
        batches[1][key][..., column] = values
    found = permutation_importance(model, batches, RICH)["importance"]
    assert not found.isna().any()


@pytest.mark.parametrize("sequences", [False, True])
def test_the_hour_is_varied_though_a_horizon_is_a_day(sequences):
    hours = pd.date_range("2024-01-01", periods=24 * 14, freq="h")
    values = np.random.default_rng(0).normal(size=len(hours))
    frame = pd.DataFrame({"t": hours, "x": values, "kind": 1.0, "y": values + hours.hour})
    common: dict[str, Any] = {
        "target_covariate": "y",
        "known_covariates": ["x"],
        "static_covariates": ["kind"],
        "calendar_features": ["hour"],
        "time_column": "t",
        "train_df_paths": "given",
        "test_fraction": 0.5,
    }
    if sequences:
        data: Any = TimeSeriesDataModule(**common, seq_len=24)
    else:
        data = EncoderDecoderDataModule(**common, ctxt_seq_len=24, tgt_seq_len=24)
    data.stages.give("train_df_paths", frame)
    data.setup("fit")
    widths = {"num_static_features": 1}
    torch.manual_seed(0)
    if sequences:
        model: Any = GRU(num_features=data.num_features, d_model=4, **widths)
    else:
        model = EncoderDecoderLSTM(
            num_past_features=data.num_past_known_covariates,
            num_future_features=data.num_future_known_covariates,
            d_encoder=4,
            d_decoder=4,
            **widths,
        )
    for origin in ("auto",) if sequences else ("auto", "every:48", "last"):
        data.forecast_on("test", origin)
        table = look_inside(model, data, "test").importance
        assert table is not None
        found = table.set_index("variable")["importance"]
        # the static of one series; of windows the time since their start, and of sequences, one
        # after the other and a day long, the hour
        same = ["hour_sin", "hour_cos", "kind"] if sequences else ["t", "kind"]
        assert found.index[found.isna()].tolist() == same
        assert found.drop(index=same).abs().min() > 0


def test_without_another_window_or_an_error_there_is_nothing_to_tell():
    model: Any = OneVariable()
    one = full_batch(rows=1)
    exact = full_batch()
    exact["target"] = model(exact, need_weights=False)["output"]
    blind = {key: values for key, values in full_batch().items() if key != "target"}
    batches: Any
    for batches in ([], [one], [exact], [blind]):
        with pytest.raises(InputError, match="batches of several windows"):
            permutation_importance(model, batches, PLAIN)

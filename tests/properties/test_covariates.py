"""What is static and what is a category, in every model: all of it is used, and its padding never.

That rows, padding and alignment change nothing, the other files here show for these models too.
"""

import pytest
import torch

from tests.properties.family import (
    COVARIATES,
    MODELS,
    STATIC_KEYS,
    STATIC_SIZES,
    STEP_CATEGORIES,
    alignments_of,
    make_batch,
    make_module,
    sides_of,
)
from transformertf.batch import forecast_mask
from transformertf.errors import InputError

every_layout = pytest.mark.parametrize(
    ("name", "alignments"), [(name, ends) for name in COVARIATES for ends in alignments_of(name)]
)


def category_sides(name):
    return [side for side, _ in sides_of(name)]


def changed(batch, key, place, column):
    """Return the batch with another number, or another code, at one place."""
    values = batch[key].clone()
    if values.is_floating_point():
        values[(*place, column)] += 1.0
    else:
        prefix = key.removesuffix("categories")
        size = (STATIC_SIZES if key in STATIC_KEYS else STEP_CATEGORIES[prefix])[column]
        values[(*place, column)] = (values[(*place, column)] + 1) % size
    return {**batch, key: values}


@every_layout
def test_every_column_moves_the_forecast_of_its_row_and_no_other(name, alignments):
    module, batch = make_module(name), make_batch(name, alignments)
    output = module(batch)["output"]
    row, horizon = 1, forecast_mask(batch)[1]
    places: dict[str, tuple[int, ...]] = dict.fromkeys(STATIC_KEYS, (row,))
    for side in category_sides(name):
        first = int(batch[f"{side}mask"][row].nonzero().min())
        places[f"{side}categories"] = row, first
    for key, place in places.items():
        for column in range(batch[key].size(-1)):
            found = module(changed(batch, key, place, column))["output"]
            moved = (found - output).abs() > 1e-9
            assert moved[row, horizon].all(), (key, column)
            moved[row] = False
            assert not moved.any(), (key, column)


@every_layout
def test_a_category_on_padding_changes_nothing(name, alignments):
    module, batch = make_module(name), make_batch(name, alignments)
    other = dict(batch)
    for side in category_sides(name):
        padding = ~batch[f"{side}mask"].unsqueeze(-1)
        assert padding.any()
        # no code at all would be as good
        other[f"{side}categories"] = batch[f"{side}categories"].masked_fill(padding, -5)
        assert not torch.equal(other[f"{side}categories"], batch[f"{side}categories"])
    assert torch.equal(module(other)["output"], module(batch)["output"])


def tables(module, batch):
    """Return each table of embeddings, and the codes of data that are looked up in it."""
    static = batch["static_categories"], STATIC_SIZES
    steps = [
        (batch[f"{side}categories"][batch[f"{side}mask"]], STEP_CATEGORIES[side])
        for side in [key.removesuffix("mask") for key in batch if key.endswith("mask")]
        if f"{side}categories" in batch
    ]
    if module.widening is not None:
        found = [wide.embedding for wide in module.widening.sides]
        return list(zip(found, [[step, static] for step in steps], strict=True))
    found = [getattr(module.model, f"{side}_selection").categories for side in ("past", "future")]
    own = getattr(module.model, "static_selection", None)
    if own is None:  # static ones are further variables of each step
        return list(zip(found, [[step, static] for step in steps], strict=True))
    return [(own.categories, [static]), *zip(found, [[step] for step in steps], strict=True)]


@pytest.mark.parametrize("packing", ["auto", "always"])
@pytest.mark.parametrize("name", COVARIATES)
def test_gradient_reaches_the_codes_that_data_has_and_no_others(name, packing):
    module, batch = make_module(name, packing=packing).train(), make_batch(name)
    batch["static_input"].requires_grad_()
    # code 0, which padding gets, is on no step of data; other codes are
    for key in batch:
        if key.endswith("categories"):
            batch[key] = batch[key].clamp(min=1)
    module.calc_loss(module(batch), batch).backward()
    assert (batch["static_input"].grad.abs() > 1e-14).all()
    seen = tables(module, batch)
    assert len(seen) == len(list(module.named_parameters())) - len(
        [n for n, _ in module.named_parameters() if not n.endswith("table.weight")]
    )
    for embedding, parts in seen:
        expected, first = torch.zeros(embedding.table.num_embeddings, dtype=torch.bool), 0
        for codes, sizes in parts:
            for column, size in enumerate(sizes):
                expected[first + codes[..., column].flatten()] = True
                first += size
        assert first == len(expected)
        assert expected.any()
        assert not expected.all()
        gradient = embedding.table.weight.grad
        assert torch.equal(gradient != 0, expected.unsqueeze(-1).expand_as(gradient))


def without(batch, key):
    return {name: values for name, values in batch.items() if name != key}


def keys_of(name):
    return [*STATIC_KEYS, *(f"{side}categories" for side in category_sides(name))]


CASES = [(name, key) for name in COVARIATES for key in keys_of(name)]


@pytest.mark.parametrize(("name", "key"), CASES)
def test_a_batch_that_lacks_a_column_is_refused_by_name(name, key):
    module, batch = make_module(name), make_batch(name)
    columns = batch[key].size(-1)
    with pytest.raises(InputError, match=f"^batch: {key} must have {columns} .* found 0; give"):
        module(without(batch, key))
    fewer = {**batch, key: batch[key][..., 1:]}
    with pytest.raises(InputError, match=f"{key} must have {columns} .* found {columns - 1}; give"):
        module(fewer)


@pytest.mark.parametrize(("name", "key"), CASES)
def test_a_batch_that_has_a_further_column_is_refused_by_name(name, key):
    plain = name.partition(",")[0]
    assert plain in MODELS
    batch = {**make_batch(plain), key: make_batch(name)[key]}
    columns = batch[key].size(-1)
    message = f"^batch: {key} must have 0 columns, as .*_s.* says, found {columns}; give"
    with pytest.raises(InputError, match=message):
        make_module(plain)(batch)


@pytest.mark.parametrize("name", [name for name in COVARIATES if len(sides_of(name)) == 2])
def test_changes_count_from_the_last_target_whatever_stands_beside_it(name):
    batch = make_batch(name)
    found = make_module(name, prediction_type="delta")(batch)["output"]
    last = [int(mask.nonzero().max()) for mask in batch["encoder_mask"]]
    history = batch["encoder_input"][range(len(last)), last, -1].view(-1, 1, 1)
    expected = make_module(name)(batch)["output"] + history
    mask = batch["decoder_mask"]
    torch.testing.assert_close(found[mask], expected[mask])

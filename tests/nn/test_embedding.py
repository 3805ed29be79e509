"""Categories as vectors of one table, and steps widened by what is static."""

import pytest
import torch

from transformertf.nn.embedding import CategoryEmbedding, WideInput, join_static

SIZES = [3, 2, 4]


def test_each_variable_has_vectors_of_its_own():
    embedding = CategoryEmbedding(SIZES, 5)
    own = [torch.nn.Embedding.from_pretrained(w) for w in embedding.table.weight.split(SIZES)]
    generator = torch.Generator().manual_seed(0)
    codes = torch.stack([torch.randint(s, (6, 7), generator=generator) for s in SIZES], dim=-1)
    expected = torch.stack([one(codes[..., j]) for j, one in enumerate(own)], dim=-2)
    assert torch.equal(embedding(codes), expected)


def test_an_unknown_value_says_nothing_at_first():
    embedding = CategoryEmbedding(SIZES, 5)
    assert not embedding(torch.tensor([0, 0, 0])).any()
    assert embedding(torch.tensor([1, 1, 3])).all()
    assert embedding.table.weight.requires_grad
    assert [*embedding.state_dict()] == ["table.weight"]


def test_own_features_stay_last():
    wide = WideInput(2, [3, 2, 4], 5)
    generator = torch.Generator().manual_seed(0)
    inputs, static = torch.randn(2, 6, 3, generator=generator), torch.tensor([[1.0, 2], [3, 4]])
    categories = torch.randint(2, (2, 6, 2), generator=generator)
    static_categories = torch.tensor([[3], [1]])
    found = wide(inputs, categories, static, static_categories)
    assert found.shape == (2, 6, 3 + wide.added)
    assert wide.added == 2 + 3 * 5
    assert wide.embedding is not None
    for row in range(2):
        for step in range(6):
            codes = torch.cat([categories[row, step], static_categories[row]])
            expected = [static[row], wide.embedding(codes).flatten(), inputs[row, step]]
            assert torch.equal(found[row, step], torch.cat(expected))


def test_nothing_to_widen_by_leaves_the_inputs_as_they_are():
    wide, inputs = WideInput(0, [], 5), torch.randn(2, 6, 3)
    assert wide.added == 0
    assert wide(inputs) is inputs
    assert not wide.state_dict()


@pytest.mark.parametrize("each", [None, torch.zeros(2, 4, 3)])
@pytest.mark.parametrize("static", [None, torch.ones(2, 2)])
def test_static_columns_follow_those_of_a_step(each, static):
    joined = join_static(each, static, 4)
    if each is None and static is None:
        assert joined is None
        return
    assert joined is not None
    columns = [0.0] * (0 if each is None else 3) + [1.0] * (0 if static is None else 2)
    assert joined.shape == (2, 4, len(columns))
    assert torch.equal(joined, torch.tensor(columns).expand_as(joined))

"""Variable selection against eq. 6 to 8 of Lim et al. 2021, written out, categories included."""

import pytest
import torch

from tests.models.by_equation import shaken
from transformertf.nn.selection import VariableSelection

ROWS, STEPS, WIDTH, CONTEXT = 2, 5, 6, 4


def norm(x, weight, bias):
    mean = x.mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(((x - mean) ** 2).mean(-1, keepdim=True) + 1e-5) * weight + bias


class Written:
    """One step at a time, one variable after the other, with the weights of a selection."""

    def __init__(self, selection):
        self.weights = selection.state_dict()

    def linear(self, name, x, variable):
        bias = self.weights.get(f"{name}.bias")
        bias = 0.0 if bias is None else bias[variable]
        return self.weights[f"{name}.weight"][variable] @ x + bias

    def grn(self, name, x, context=None, variable=...):
        """Eq. 2 to 5; the skip is linear where widths differ."""
        hidden = self.linear(f"{name}.input", x, variable)
        if context is not None:
            hidden = hidden + self.linear(f"{name}.context", context, ...)
        hidden = torch.where(hidden > 0, hidden, torch.exp(hidden) - 1)
        hidden = self.linear(f"{name}.hidden", hidden, variable)
        value, gate = self.linear(f"{name}.output.gate.linear", hidden, variable).chunk(2)
        wide = f"{name}.skip.weight" in self.weights
        skip = self.linear(f"{name}.skip", x, variable) if wide else x
        weight, bias = (
            self.weights[f"{name}.output.norm.{part}"][variable] for part in ("weight", "bias")
        )
        return norm(skip + value / (1 + torch.exp(-gate)), weight, bias)

    def select(self, values, codes, sizes, context):
        """Eq. 6 to 8 of one step's values (R,) and codes (C,)."""
        embedded = [self.linear("embedding", value[None], j) for j, value in enumerate(values)]
        for j, code in enumerate(codes):
            own = self.weights["categories.table.weight"].split(sizes)[j]
            embedded.append(own[code])
        weights = torch.ones(1, dtype=torch.float64)
        if len(embedded) > 1:
            scores = torch.exp(self.grn("weighing", torch.cat(embedded), context))
            weights = scores / scores.sum()
        encoded = [self.grn("encoding", one, variable=j) for j, one in enumerate(embedded)]
        return sum(w * one for w, one in zip(weights, encoded, strict=True)), weights


VARIABLES = {
    "both": (3, [4, 2]),
    "one of each": (1, [3]),
    "categories only": (0, [4, 2, 3]),
    "one category": (0, [3]),
    "real only": (3, []),
}


@pytest.mark.parametrize("with_context", [True, False], ids=["context", "no context"])
@pytest.mark.parametrize("d_embedding", [1, 4, WIDTH])
@pytest.mark.parametrize(("num_real", "sizes"), VARIABLES.values(), ids=VARIABLES)
def test_agrees_with_the_equations(num_real, sizes, d_embedding, with_context):
    d_context = CONTEXT if with_context else None
    selection = VariableSelection(
        num_real, d_embedding, WIDTH, d_context=d_context, category_sizes=sizes
    )
    selection = shaken(selection, 0.7)
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(ROWS, STEPS, num_real, generator=generator, dtype=torch.float64)
    columns = [torch.randint(size, (ROWS, STEPS), generator=generator) for size in sizes]
    codes = torch.stack(columns, dim=-1) if sizes else None
    context = None
    if with_context:
        context = torch.randn(ROWS, 1, CONTEXT, generator=generator, dtype=torch.float64)
    selected, weights = selection(values, context, codes)
    assert selected.shape == (ROWS, STEPS, WIDTH)
    assert weights.shape == (ROWS, STEPS, num_real + len(sizes))
    written = Written(selection)
    for row in range(ROWS):
        for step in range(STEPS):
            own = () if codes is None else codes[row, step]
            given = None if context is None else context[row, 0]
            expected = written.select(values[row, step], own, sizes, given)
            torch.testing.assert_close(selected[row, step], expected[0], rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(weights[row, step], expected[1], rtol=1e-10, atol=1e-10)


def test_without_categories_a_selection_has_no_table():
    real = VariableSelection(3, 4, WIDTH)
    assert not [name for name, _ in real.named_parameters() if name.startswith("categories")]


def test_interpolating_skips_take_categories_too():
    both = shaken(VariableSelection(2, 4, WIDTH, skip="resample", category_sizes=[3]), 0.7)
    real = shaken(VariableSelection(3, 4, WIDTH, skip="resample"), 0.7)
    state = both.state_dict()
    # a code is a real variable of value 0 whose offset is the code's vector
    vector = state.pop("categories.table.weight")[2]
    zero = torch.zeros(1, 4, 1, dtype=torch.float64)
    state["embedding.weight"] = torch.cat([state["embedding.weight"], zero])
    state["embedding.bias"] = torch.cat([state["embedding.bias"], vector[None]])
    real.load_state_dict(state)
    values = torch.randn(ROWS, STEPS, 2, generator=torch.Generator().manual_seed(1)).double()
    found = both(values, categories=torch.full((ROWS, STEPS, 1), 2))
    expected = real(torch.cat([values, torch.zeros(ROWS, STEPS, 1).double()], dim=-1))
    torch.testing.assert_close(found, expected)

"""Our PFTemporalFusionTransformer gives the numbers that pytorch-forecasting's gave.

Weights, inputs, outputs and gradients of two tiny models of theirs are recorded:
`make_golden.py`. `test_pytorch_forecasting.py` compares with the library itself, and more.
"""

import pytest
import torch

from tests.reference.golden import FOLDER, load
from tests.reference.temporal_fusion import (
    LENGTHS,
    RECORDED,
    assert_gives_what_is_recorded,
    make_ours,
    recorded_names,
    recorded_weights,
    run_ours,
)
from transformertf.models.pf_weights import load_pytorch_forecasting

# what moves every key alike, of which softmax takes no notice; and what multiplies the static
# embedding where that is 0
CONTEXTS = ("selection", "hidden", "cell", "enrichment")
UNSEEN = {
    "static": {"fusion.attention.key.bias"},
    "not static, not causal": {
        "fusion.attention.key.bias",
        *(f"{context}_context.input.weight" for context in CONTEXTS),
    },
}


def make_recorded(case):
    """Return our model with the recorded weights."""
    ours = make_ours(**RECORDED[case])
    load_pytorch_forecasting(ours, recorded_weights(case), *recorded_names(case))
    return ours


@pytest.mark.parametrize("which", LENGTHS)
@pytest.mark.parametrize("case", RECORDED)
def test_same_numbers(case, which):
    assert_gives_what_is_recorded(run_ours, make_recorded(case), case, which)


@pytest.mark.parametrize("case", RECORDED)
def test_a_change_of_any_weight_is_seen(case):
    ours = make_recorded(case)
    generator = torch.Generator().manual_seed(0)
    unseen = set()
    for name, weight in ours.named_parameters():
        before = weight.detach().clone()
        with torch.no_grad():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
        try:
            assert_gives_what_is_recorded(run_ours, ours, case, "ragged")
        except AssertionError:
            pass
        else:
            unseen.add(name)
        with torch.no_grad():
            weight.copy_(before)
    assert unseen == UNSEEN[case]


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_what_is_recorded_is_small_and_names_its_versions(path):
    assert path.stat().st_size < 100_000
    libraries = {line.split()[0] for line in load(path.stem)["versions"].tolist()}
    peers = {"pytorch-forecasting"} if "pytorch" in path.stem else {"utilsforecast", "darts"}
    assert libraries == {*peers, "numpy", "torch", "Python"}

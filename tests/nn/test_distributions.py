"""Distributions against scipy, in the parameters that the module's docstring gives."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from transformertf.errors import InputError
from transformertf.nn import DistributionLoss

NAMES = ["normal", "student_t", "negative_binomial", "log_normal"]
OWN_UNITS = NAMES[2:]
every_family = pytest.mark.parametrize("name", NAMES)
# c and s of y = s z + c
UNITS = {"normal": [(0, 1)], "student_t": [(0, 1)]}
COUNTS = [(0.0, 1.0), (12.5, 7.0), (0.3, 2.0), (2e5, 3e3)]
LEVELS = [1e-4, 0.02, 0.1, 0.5, 0.75, 0.98, 0.9999]
every_unit = pytest.mark.parametrize(
    ("name", "units"), [(name, units) for name in NAMES for units in UNITS.get(name, COUNTS)]
)


def positive(raw):
    return np.log1p(np.exp(raw)) + 1e-4


def by_scipy(name, raw, units):
    """Return scipy's distribution of y for numbers (..., P), with the shape (..., 1)."""
    r, (c, s) = np.split(raw.astype(float), raw.shape[-1], axis=-1), units
    level = max(c, s)
    if name == "normal":
        return stats.norm(r[0], positive(r[1]))
    if name == "student_t":
        return stats.t(2 + positive(r[2]), r[0], positive(r[1]))
    if name == "log_normal":
        return stats.lognorm(
            s / level * positive(r[1]), scale=np.exp(np.log(level) + s / level * r[0])
        )
    mean, excess = s * positive(r[0] + c / s), (s / level) ** 2 * positive(r[1])
    return stats.nbinom(1 / excess, 1 / (1 + excess * mean))


def log_likelihood(name, distribution, value):
    return distribution.logpmf(value) if name == "negative_binomial" else distribution.logpdf(value)


def make(name, units=(0, 1)):
    criterion = DistributionLoss(name)
    criterion.loc, criterion.scale = units
    return criterion


def sample(name, units, shape=(4, 9), seed=0):
    """Return numbers (B, T, P) and scaled targets (B, T, 1) of their distributions, in float64."""
    generator = np.random.default_rng(seed)
    raw = generator.normal(size=(*shape, make(name).num_parameters))
    value = by_scipy(name, raw, units).rvs(random_state=generator)
    return torch.from_numpy(raw), torch.from_numpy((value - units[0]) / units[1])


@every_unit
def test_loss_is_scipys_negative_log_likelihood(name, units):
    output, target = sample(name, units)
    loss = make(name, units)(output, target)
    value = target.numpy() * units[1] + units[0]
    if name == "negative_binomial":
        value = value.round()
    expected = -log_likelihood(name, by_scipy(name, output.numpy(), units), value)
    assert loss.shape == target.shape
    np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-7, atol=1e-6)


@every_unit
def test_loss_of_single_precision_keeps_its_digits(name, units):
    output, target = sample(name, units)
    output = output.float()
    loss = make(name, units)(output, target.float())
    assert loss.dtype == torch.float32
    expected = make(name, units)(output.double(), target)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-3)


def test_few_counts_beside_a_large_mean_are_whole():
    units, counts = (2e5, 3e5), np.arange(6.0).reshape(1, 6, 1)
    target = torch.from_numpy((counts - units[0]) / units[1]).float()
    scaled_back = target.numpy().astype(float) * units[1] + units[0]
    assert np.abs(scaled_back - counts).max() > 1e-3, "single precision must have cost digits"
    output = torch.tensor([-8.0, 0.5], dtype=torch.float64).expand(1, 6, 2)
    expected = -by_scipy("negative_binomial", output.numpy(), units).logpmf(counts)
    found = make("negative_binomial", units)(output, target)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9)


@every_family
def test_copies_of_the_target_are_the_target(name):
    output, target = sample(name, (3.0, 2.0))
    criterion = make(name, (3.0, 2.0))
    assert torch.equal(criterion(output, target.expand_as(output)), criterion(output, target))


@every_unit
def test_gradient_agrees_with_finite_differences(name, units):
    output, target = sample(name, units, (2, 3))
    criterion = make(name, units)
    output.requires_grad_()
    # of counts of 200 000 the ninth digit of the loss is lost
    assert torch.autograd.gradcheck(
        lambda raw: criterion(raw, target), output, eps=1e-4, rtol=1e-5, atol=1e-4
    )
    (found,) = torch.autograd.grad(criterion(output, target).sum(), output)
    assert (found != 0).all()


@every_unit
def test_quantiles_are_scipys(name, units):
    output, _ = sample(name, units)
    found = make(name, units).icdf(output, torch.tensor(LEVELS, dtype=torch.float64))
    expected = by_scipy(name, output.numpy(), units).ppf(LEVELS)
    assert found.shape == (4, 9, len(LEVELS))
    assert (found.diff(dim=-1) >= 0).all()
    np.testing.assert_allclose(found.numpy() * units[1] + units[0], expected, rtol=1e-7)


@every_family
def test_quantiles_at_levels_of_each_step(name):
    output, _ = sample(name, (12.5, 7.0), (3, 5))
    levels = torch.rand(3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    criterion = make(name, (12.5, 7.0))
    found = criterion.icdf(output, levels)
    for row in range(3):
        for step in range(5):
            alone = criterion.icdf(output[row, step].view(1, 1, -1), levels[row, step])
            assert torch.equal(found[row, step], alone[0, 0])


@every_family
def test_quantiles_at_uniform_levels_are_a_sample(name):
    units = (12.5, 7.0) if name in OWN_UNITS else (0, 1)
    raw = np.array([[[0.3, -0.5, 1.0]]])[..., : make(name).num_parameters]
    levels = torch.from_numpy(np.random.default_rng(5).uniform(size=(1, 1, 5000)))
    drawn = make(name, units).icdf(torch.from_numpy(raw), levels).numpy().ravel()
    value, reference = drawn * units[1] + units[0], by_scipy(name, raw, units)
    if name != "negative_binomial":
        assert stats.kstest(value, lambda x: reference.cdf(x).ravel()).pvalue > 0.01
        return
    # cells of at least 2 % of a discrete distribution
    edges = np.unique(reference.ppf(np.linspace(0.02, 0.98, 20)))
    expected = np.diff(np.concatenate([[0.0], reference.cdf(edges).ravel(), [1.0]]))
    found = np.histogram(value, [-np.inf, *(edges + 0.5), np.inf])[0]
    assert stats.chisquare(found, expected * len(value)).pvalue > 0.01


# mean and variance of y for raw numbers of 0, in units of the data: there training starts
@pytest.mark.parametrize("name", OWN_UNITS)
@pytest.mark.parametrize("units", [(1e6, 1e3), (40.0, 30.0), (3e5, 2e5)], ids=str)
def test_numbers_of_zero_stand_for_the_data_whatever_its_size(name, units):
    raw = torch.zeros(1, 1, 2, dtype=torch.float64)
    levels = torch.tensor([0.16, 0.5, 0.84], dtype=torch.float64)
    low, middle, high = make(name, units).icdf(raw, levels).flatten().tolist()
    assert abs(middle) < 0.7
    assert 0.5 < high - low < 3


def fitted(criterion, target, steps=60):
    """Return the numbers (1, 1, P) of the least mean loss."""
    raw = torch.zeros(1, 1, criterion.num_parameters, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([raw], max_iter=steps, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = criterion(raw.expand(*target.shape[:2], -1), target).mean()
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    return raw.detach()


# true parameters, as scipy has them: location, scale and what else there is
TRUTHS = {
    "normal": (stats.norm, (1.5, 0.4)),
    "student_t": (lambda loc, scale, df: stats.t(df, loc, scale), (-0.5, 0.7, 5.0)),
    "negative_binomial": (
        lambda mean, excess: stats.nbinom(1 / excess, 1 / (1 + excess * mean)),
        (30.0, 0.2),
    ),
    "log_normal": (lambda mean, sd: stats.lognorm(sd, scale=np.exp(mean)), (2.0, 0.6)),
}


def natural(name, raw, units):
    """Return the parameters that `TRUTHS` gives, of numbers (P,)."""
    (c, s), level = units, max(units)
    if name == "normal":
        return np.array([raw[0], positive(raw[1])])
    if name == "student_t":
        return np.array([raw[0], positive(raw[1]), 2 + positive(raw[2])])
    if name == "log_normal":
        return np.array([np.log(level) + s / level * raw[0], s / level * positive(raw[1])])
    return np.array([s * positive(raw[0] + c / s), (s / level) ** 2 * positive(raw[1])])


def standard_errors(function, at):
    """Return standard errors: the inverse of the likelihood's curvature (Fisher information)."""
    steps = 1e-3 * np.abs(at)
    unit = np.diag(steps)
    corners = [[function(at + sign * (a + b)) for b in unit] for a in unit for sign in (1, -1)]
    crossed = [[function(at + sign * (a - b)) for b in unit] for a in unit for sign in (1, -1)]
    count = len(at)
    total = (np.array(corners) - np.array(crossed)).reshape(count, 2, count).sum(axis=1)
    curvature = total / (4 * np.outer(steps, steps))
    return np.sqrt(np.diag(np.linalg.inv(-curvature)))


@every_family
def test_fit_recovers_the_parameters_of_simulated_data(name):
    make_scipy, truth = TRUTHS[name]
    value = make_scipy(*truth).rvs(4000, random_state=np.random.default_rng(2))
    units = (value.mean(), value.std()) if name in OWN_UNITS else (0.0, 1.0)
    target = torch.from_numpy((value - units[0]) / units[1]).view(40, 100, 1)
    raw = fitted(make(name, units), target).flatten().numpy()
    found = natural(name, raw, units)

    def likelihood(parameters):
        return log_likelihood(name, make_scipy(*parameters), value).sum()

    errors = standard_errors(likelihood, found)
    assert (errors < 0.25 * np.abs(truth)).all(), "the data must tell"
    assert (np.abs(found - truth) < 3.5 * errors).all(), (found, truth, errors)
    # nor does another place near it do better
    best = likelihood(found)
    for direction in np.concatenate([np.diag(errors), -np.diag(errors)]):
        assert likelihood(found + 0.3 * direction) < best


@every_family
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_number_gives_a_finite_loss_and_gradient(name, data):
    numbers = st.floats(-1e3, 1e3, width=32)
    units = (5.0, 2.0) if name in OWN_UNITS else (0, 1)
    criterion = make(name, units)
    raw = data.draw(st.lists(numbers, min_size=2, max_size=3).filter(
        lambda r: len(r) == criterion.num_parameters
    ))  # fmt: skip
    output = torch.tensor(raw, dtype=torch.float64).view(1, 1, -1).requires_grad_()
    loss = criterion(output, torch.ones(1, 1, 1))
    loss.backward()
    assert loss.isfinite()
    assert output.grad is not None
    assert output.grad.isfinite().all()


# -- location and scale


@pytest.mark.parametrize("name", NAMES[:2])
def test_rescaling_moves_location_and_scale(name):
    output, _ = sample(name, (0, 1))
    loc, scale = torch.randn(4, 1, 1).double(), torch.rand(4, 1, 1).double() + 0.2
    found = make(name).rescale(output, loc, scale)
    moved = output.numpy().copy()
    moved[..., 0] = moved[..., 0] * scale[..., 0].numpy() + loc[..., 0].numpy()
    # of the scale, all but the floor is multiplied
    spread = scale.numpy() * (positive(output.numpy()[..., 1:2]) - 1e-4) + 1e-4
    reference = {
        "normal": lambda: stats.norm(moved[..., :1], spread),
        "student_t": lambda: stats.t(2 + positive(moved[..., 2:]), moved[..., :1], spread),
    }[name]()
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    np.testing.assert_allclose(
        make(name).icdf(found, levels).numpy(), reference.ppf(LEVELS), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("raw", [-1e3, -40.0, -5.0, 0.0, 30.0, 1e3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rescaling_any_scale_has_a_finite_gradient(raw, dtype):
    output = torch.tensor([[[0.0, raw]]], dtype=dtype, requires_grad=True)
    one = torch.ones(1, 1, 1, dtype=dtype)
    found = make("normal").rescale(output, 0 * one, 0.1 * one)
    found.sum().backward()
    assert found.isfinite().all()
    assert output.grad is not None
    assert output.grad.isfinite().all()
    if raw > -30:
        assert output.grad[0, 0, 1] > 0
        wanted = 0.1 * np.log1p(np.exp(raw)) if raw < 100 else 0.1 * raw
        spread = torch.nn.functional.softplus(found[0, 0, 1]).item()
        assert spread == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", NAMES[:2])
def test_shift_moves_all_quantiles_alike(name):
    output, _ = sample(name, (0, 1))
    by, levels = torch.randn(4, 1, 1).double(), torch.tensor(LEVELS).double()
    criterion = make(name)
    found = criterion.icdf(criterion.shift(output, by), levels)
    torch.testing.assert_close(found, criterion.icdf(output, levels) + by)


@pytest.mark.parametrize("name", OWN_UNITS)
def test_other_distributions_cannot_be_rescaled(name):
    output, _ = sample(name, (5.0, 2.0))
    with pytest.raises(InputError, match=f"'{name}' is of .* set data.normalize to true or false"):
        make(name).rescale(output, torch.zeros(4, 1, 1), torch.ones(4, 1, 1))


# -- targets that it cannot have

OUTSIDE = [
    ("negative_binomial", 2.5, (0, 1)),
    ("negative_binomial", -1.0, (0, 1)),
    ("negative_binomial", 17.3, (12.5, 7.0)),
    ("negative_binomial", 200_000.25, (2e5, 3e3)),
    ("log_normal", 0.0, (0, 1)),
    ("log_normal", -3.0, (12.5, 7.0)),
    ("log_normal", 0.0, (2e5, 3e5)),
]


@pytest.mark.parametrize(("name", "value", "units"), OUTSIDE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_first_value_outside_is_found(name, value, units, dtype):
    inside = [3.0, 1.0, 4.0, 250.0, 200_001.0, 7.0]
    values = torch.tensor([inside[:3], inside[3:]], dtype=torch.float64).unsqueeze(-1)
    mask = torch.ones(2, 3, dtype=torch.bool)
    criterion = make(name, units)

    def scaled():
        return ((values - units[0]) / units[1]).to(dtype)

    assert criterion.first_outside(scaled(), mask) is None
    values[1, 1] = value
    values[1, 2] = torch.nan
    row, found = criterion.first_outside(scaled(), mask)
    assert row == 1
    assert found == (value if value == round(value) else pytest.approx(value, rel=1e-6))
    mask[1, 1] = False
    assert criterion.first_outside(scaled(), mask) is None


@pytest.mark.parametrize("name", NAMES[:2])
def test_any_number_is_inside_of_those_with_location_and_scale(name):
    values = torch.tensor([[[-1e9], [0.0], [0.3]]])
    assert make(name).first_outside(values, torch.ones(1, 3, dtype=torch.bool)) is None


# -- the module itself


def test_units_are_in_the_state_and_keep_their_digits():
    criterion = make("negative_binomial", (123_456.789, 0.123456789))
    state = criterion.half().state_dict()
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    other = DistributionLoss("negative_binomial")
    other.load_state_dict(state)
    assert (other.loc, other.scale) == (123_456.789, 0.123456789)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"distribution": "log_norml"}, "unknown distribution 'log_norml'; did you mean 'log_nor"),
        ({"distribution": "zzz"}, "known: log_normal, negative_binomial, normal, student_t"),
        ({"quantiles": [0.5, 0.1]}, "DistributionLoss: quantiles must rise and lie between 0 an"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError) as error:
        DistributionLoss(**arguments)
    assert message in str(error.value)

"""Two ranks train as one process with all their rows: loss, gradients, weights and logs."""

from collections.abc import Callable
from functools import partial
from typing import Any

import lightning
import pytest
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from tests.distributed.conftest import RANKS
from tests.runs import loader
from transformertf.batch import Batch, check_batch
from transformertf.errors import NonFiniteLossError
from transformertf.models import EncoderDecoderLSTM
from transformertf.nn import QuantileLoss
from transformertf.utils.sequence import create_padding_mask

# of two ranks against one process: only the order of the sums differs
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}
CRITERIA: dict[str, Callable[[], torch.nn.Module]] = {
    "MSE": torch.nn.MSELoss,
    "quantiles": partial(QuantileLoss, [0.1, 0.5, 0.7]),
}
# the windows of each rank: unlike in number, in length and in observed targets
SHARES = [[0, 2, 4], [3, 1]]
# seed and windows of the validation batches of each rank: not even their number is alike
VALIDATION = [[(3, [0, 2, 4])], [(3, [3, 1]), (4, [4])]]


def make_module(criterion="MSE", dtype=torch.float64, **options):
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "d_encoder": 4,
        "d_decoder": 3,
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
    }
    module = EncoderDecoderLSTM(
        3, 2, criterion=CRITERIA[criterion](), dropout=0.0, **sizes, **options
    )
    return module.to(dtype)


def make_batch(dtype=torch.float64, weighted=False, seed=0):
    """Return five ragged windows with NaN outside the data and where no target is observed."""
    generator = torch.Generator().manual_seed(seed)
    batch: Any = Batch(series=torch.arange(5) + 10, origin=torch.arange(5) * 7 + 100)
    for side, lengths, width in (("encoder", [3, 6, 1, 4, 5], 3), ("decoder", [5, 2, 7, 1, 4], 2)):
        mask = create_padding_mask(torch.tensor(lengths), max(lengths))
        values = torch.randn(*mask.shape, width, generator=generator, dtype=dtype)
        batch[f"{side}_lengths"], batch[f"{side}_mask"] = torch.tensor(lengths), mask
        batch[f"{side}_input"] = torch.where(mask.unsqueeze(-1), values, torch.nan)
    observed = batch["decoder_mask"].clone()
    observed[[0, 2], [1, 3]] = False
    target = torch.randn(*observed.shape, 1, generator=generator, dtype=dtype)
    # one rank's windows lie far from the other's: a wrong share of either shows
    target[SHARES[0]] += 3
    batch["target"] = torch.where(observed.unsqueeze(-1), target, torch.nan)
    batch["target_mask"] = observed
    if weighted:
        batch["weight"] = torch.tensor([0.5, 2.0, 0.0, 1.0, 0.25], dtype=dtype)
    check_batch(batch)
    return batch


def take(batch, rows):
    """Return some windows of a batch, no longer than the longest of them."""
    steps = {side: int(batch[f"{side}_lengths"][rows].max()) for side in ("encoder", "decoder")}
    steps["target"] = steps["decoder"]
    part = {key: value[rows] for key, value in batch.items()}
    for key, value in part.items():
        if value.ndim > 1:
            part[key] = value[:, : steps[key.partition("_")[0]]]
    return part


def my_share(batch):
    """Return this rank's windows of a batch, or all where there are no ranks."""
    return take(batch, SHARES[distributed.get_rank()]) if distributed.is_initialized() else batch


def blank(batch, rows):
    """Take all observed targets from some windows."""
    batch["target_mask"][rows] = False
    return batch


def loss_and_gradients(criterion, dtype, weighted, unobserved=()):
    """Return the training loss of this process's windows, and all gradients in one list."""
    module = make_module(criterion, dtype)
    batch = my_share(blank(make_batch(dtype, weighted), list(unobserved)))
    model = DistributedDataParallel(module) if distributed.is_initialized() else module
    loss = module.calc_loss(model(batch), batch)
    loss.backward()
    gradients = [parameter.grad.flatten() for parameter in module.parameters()]
    return loss.item(), torch.cat(gradients).tolist()


def close(expected, dtype=torch.float64):
    tolerance = TOLERANCES[dtype]
    return pytest.approx(expected, rel=tolerance, abs=tolerance * 1e-1)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("weighted", [False, True], ids=["equal", "weighted"])
def test_ranks_have_loss_and_gradients_of_one_process(criterion, dtype, weighted, on_ranks):
    batch, module = make_batch(dtype, weighted), make_module(criterion, dtype)
    loss, gradients = loss_and_gradients(criterion, dtype, weighted)
    parts = [take(batch, rows) for rows in SHARES]
    means = [module.calc_loss(module(part), part).item() for part in parts]
    assert abs(sum(means) / RANKS - loss) > 0.1 * loss, "a mean of means would do"

    found = on_ranks(loss_and_gradients, criterion, dtype, weighted)
    assert found[0] == found[1], "the ranks must not drift apart"
    assert found[0][0] == close(loss, dtype)
    assert found[0][1] == close(gradients, dtype)


@pytest.mark.parametrize("rank", range(RANKS))
def test_rank_without_observed_targets_adds_nothing(rank, on_ranks):
    case = ("quantiles", torch.float64, False, SHARES[rank])
    loss, gradients = loss_and_gradients(*case)
    assert loss > 0
    for found in on_ranks(loss_and_gradients, *case):
        assert found[0] == close(loss)
        assert found[1] == close(gradients)


def test_no_observed_target_on_any_rank_is_zero_with_zero_gradient(on_ranks):
    for loss, gradients in on_ranks(loss_and_gradients, "MSE", torch.float64, False, range(5)):
        assert loss == 0.0
        assert not any(gradients)


def loss_of_one_rank_in_evaluation(rank):
    """Return the loss of a rank's windows; the other rank has no batch left."""
    if distributed.get_rank() != rank:
        return None
    module, batch = make_module().eval(), my_share(make_batch())
    return module.calc_loss(module(batch), batch).item()


@pytest.mark.parametrize("rank", range(RANKS))
def test_evaluation_waits_for_no_other_rank(rank, on_ranks):
    module, batch = make_module(), take(make_batch(), SHARES[rank])
    expected = module.calc_loss(module(batch), batch).item()
    found = on_ranks(loss_of_one_rank_in_evaluation, rank)
    assert found[rank] == close(expected)


def message_of_training(targets):
    """Return what a training step raises; `targets` maps windows to targets that spoil it."""
    batch = make_batch(torch.float32)
    for row, value in targets.items():
        batch["target"][row, 0] = value
    try:
        make_module(dtype=torch.float32).training_step(my_share(batch), 0)
    except NonFiniteLossError as error:
        return str(error)
    return "nothing was raised"


@pytest.mark.parametrize(
    ("targets", "named"),
    [
        ({3: float("nan")}, [3]),
        ({4: float("inf")}, [4]),
        # finite, and the square is not
        ({0: 1e30, 1: 1e30}, [0, 1]),
        # each rank's sum is finite, and the sum of both is not: the larger one is named
        ({2: 1.4e19, 3: 1.5e19}, [3]),
    ],
    ids=["NaN", "infinite", "both ranks", "sum of ranks"],
)
def test_every_rank_names_the_windows_of_a_non_finite_loss(targets, named, on_ranks):
    for message in on_ranks(message_of_training, targets):
        for row in named:
            assert f"series {10 + row}, origin row {100 + 7 * row}" in message
        assert message.count("series") == len(named), message
        assert f"({len(named)} of 5 windows" in message


class Shares(lightning.LightningDataModule):
    """Each rank's windows of three training batches, and its own batches for validation."""

    def train_dataloader(self):
        batches = [my_share(make_batch(weighted=seed == 1, seed=seed)) for seed in range(3)]
        return loader(*batches)

    def val_dataloader(self):
        ranks = [distributed.get_rank()] if distributed.is_initialized() else range(RANKS)
        batches = [
            take(make_batch(weighted=True, seed=seed), rows)
            for rank in ranks
            for seed, rows in VALIDATION[rank]
        ]
        return loader(*batches)


def fit(mode, accumulate=1):
    """Return what a fit logs, and the weights it ends with."""
    sgd = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
    module = make_module("quantiles", optimizer=sgd, logging_metrics=["MAE", "RMSE"])
    ranks: dict[str, Any] = (
        {"strategy": "ddp", "devices": RANKS} if distributed.is_initialized() else {}
    )
    trainer = lightning.Trainer(
        accelerator="cpu",
        use_distributed_sampler=False,
        max_epochs=2,
        accumulate_grad_batches=accumulate,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **ranks,
    )
    trainer.fit(module.train(mode == "train"), datamodule=Shares())
    logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
    return logged, torch.cat([p.detach().flatten() for p in module.parameters()]).tolist()


# where the module is in evaluation mode from the start, Lightning leaves it so and warns
@pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training")
# three batches: two of them, or fewer than asked for, are one step
@pytest.mark.parametrize(
    ("mode", "accumulate"), [("train", 1), ("eval", 1), ("train", 2), ("train", 4)]
)
def test_fit_on_ranks_is_the_fit_of_one_process(mode, accumulate, on_ranks):
    logged, weights = fit(mode, accumulate)
    assert {"train/loss", "validation/loss", "validation/MAE", "validation/RMSE"} <= set(logged)
    del logged["loss"]  # of the last step alone
    for found, end in on_ranks(fit, mode, accumulate):
        assert {name: found[name] for name in logged} == pytest.approx(logged, rel=1e-6)
        assert end == close(weights)

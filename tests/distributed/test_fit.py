"""Two processes fit, validate and test as one with twice the batch: data, losses and weights."""

import os
from collections import Counter
from functools import partial
from itertools import chain
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import lightning
import numpy as np
import pandas as pd
import pytest
import torch
from torch import distributed

from tests.distributed.conftest import RANKS
from tests.properties.family import MODELS, VARIANTS
from transformertf.batch import Batch
from transformertf.callbacks import AveragedWeights, ValidationClock
from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.errors import InputError

CONTEXT, HORIZON, BATCH, STEPS = 6, 4, 5, 20
# of two processes against one: only the order of the sums differs
TOLERANCE = 1e-6
SEQUENCES = ("LSTM", "GRU")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Return a table of three series with a static and a category, and missing targets."""
    generator = np.random.default_rng(0)
    parts = []
    for number, rows in enumerate((46, 41, 37)):
        known = generator.normal(size=rows)
        frame = pd.DataFrame(
            {
                "id": f"s{number}",
                "known": known,
                "past": generator.normal(size=rows),
                "size": float(number),
                "kind": "ab"[number % 2],
                "target": np.convolve(known, [0.2, 0.7, 0.4])[:rows],
            }
        )
        frame.loc[[5, 6, 17], "target"] = np.nan
        parts.append(frame)
    path = tmp_path_factory.mktemp("table") / "all.parquet"
    pd.concat(parts).to_parquet(path)
    return path


class Watching:
    """Notes which windows a data module gives, and weighs them where asked."""

    trainer: Any
    seen: list[Any]
    evaluated: list[Any]
    weighted = False

    def on_after_batch_transfer(self, batch, dataloader_idx):
        if self.weighted:
            batch["weight"] = 0.5 + (batch["origin"] % 3).to(batch["target"].dtype)
        if self.trainer.training:
            self.seen.append(places(batch))
        elif not self.trainer.sanity_checking:
            self.evaluated += places(batch)
        return batch


class Windows(Watching, EncoderDecoderDataModule):
    pass


class Sequences(Watching, TimeSeriesDataModule):
    pass


def places(batch: Batch) -> list[tuple[int, int]]:
    """Return series and origin of the windows that count."""
    found = zip(batch["series"].tolist(), batch["origin"].tolist(), strict=True)
    # what only leads in, or keeps a rank in step, has no weight
    counts = batch["weight"] > 0 if "weight" in batch else [True] * len(batch["series"])
    return [place for place, taken in zip(found, counts, strict=True) if taken]


def make_data(name, table, weighted=False, series=None, batch_size=BATCH, **options):
    if series is not None:
        frame = pd.read_parquet(table)
        table = table.with_name(f"{'-'.join(series)}-{os.getpid()}.parquet")
        frame[frame["id"].isin(series)].to_parquet(table)
    alone = not distributed.is_initialized() and options.get("distributed") is not False
    options = {
        "target_covariate": "target",
        "known_covariates": ["known"],
        "known_past_covariates": ["past"],
        "series_id": "id",
        "train_df_paths": str(table),
        "val_fraction": 0.3,
        "test_fraction": 0.2,
        "missing": "mask",
        "dtype": "float64",
        "batch_size": RANKS * batch_size if alone else batch_size,
        **options,
    }
    data: Windows | Sequences
    if name in SEQUENCES:
        data = Sequences(seq_len=CONTEXT, **options)
    else:
        data = Windows(ctxt_seq_len=CONTEXT, tgt_seq_len=HORIZON, **options)
    data.seen, data.evaluated, data.weighted = [], [], weighted
    return data


def make_model(name, data, **options):
    torch.manual_seed(0)
    if name in SEQUENCES:
        sizes = {"category_sizes": data.category_sizes}
        features = [data.num_features]
    else:
        sizes = {
            "past_category_sizes": data.past_category_sizes,
            "future_category_sizes": data.future_category_sizes,
        }
        features = [data.num_past_known_covariates, data.num_future_known_covariates]
    return {**MODELS, **VARIANTS}[name](
        *features,
        num_static_features=data.num_static_features,
        static_category_sizes=data.static_category_sizes,
        **sizes,
        optimizer=partial(torch.optim.Adam, lr=1e-2, eps=1e-4),
        **options,
    )


def make_trainer(dtype="float64", **options):
    ranks: dict[str, Any] = (
        {"strategy": "ddp", "devices": RANKS} if distributed.is_initialized() else {}
    )
    return lightning.Trainer(
        accelerator="cpu",
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        precision="64-true" if dtype == "float64" else "32-true",
        **ranks,
        **options,
    )


def run(name, table, model=None, trainer=None, **options):
    """Fit, validate and test; return what was logged, the weights and the windows trained on."""
    torch.manual_seed(7)  # of the data module
    data = make_data(name, table, **options)
    data.setup("fit")
    module = make_model(name, data, **(model or {}))
    runner = make_trainer(
        options.get("dtype", "float64"), **{"max_steps": STEPS, **(trainer or {})}
    )
    runner.fit(module, datamodule=data)
    logged = dict(runner.callback_metrics)
    epochs, batches = runner.current_epoch, runner.num_training_batches
    for stage in (runner.validate, runner.test):
        stage(module, datamodule=data, verbose=False)
        logged |= runner.callback_metrics
    logged.pop("loss", None)  # of the last step alone
    weights = torch.cat([p.detach().flatten() for p in module.parameters()])
    return {
        "logged": {key: value.item() for key, value in logged.items()},
        "weights": weights.tolist(),
        "seen": data.seen,
        "evaluated": data.evaluated,
        "epochs": epochs,
        "batches": batches,
        "windows": len(data.stage_windows("train")),
    }


CASES: dict[str, dict[str, Any]] = {
    "float32": {"dtype": "float32"},
    "random lengths": {
        "randomize_seq_len": True,
        "min_ctxt_seq_len": 2,
        "min_tgt_seq_len": 1,
    },
    "random lengths of a batch": {
        "randomize_seq_len": "batch",
        "min_ctxt_seq_len": 2,
        "min_tgt_seq_len": 1,
        "bucket_by_length": False,
    },
    "weighted": {"weighted": True, "stride": 2},
    "in order": {"shuffle": False, "normalize": "window"},
    "accumulated": {"trainer": {"accumulate_grad_batches": 2}},
    "averaged": {"trainer": {"callbacks": [AveragedWeights(0.9)]}},
    "clipped": {"trainer": {"gradient_clip_val": 0.1}},
    "statics": {"static_covariates": ["size", "kind"], "categorical_covariates": ["kind"]},
    "frozen": {"model": {"trainable_parameters": ["model.head.*"]}},
    # the last batch has one window, which only one of the processes gets
    "one left over": {"batch_size": 18},
    # and here all of them
    "one window each": {"stride": 100, "series": ["s0"]},
    "everything to each": {"distributed": False},
}


def assert_equal(name, table, on_ranks, **options):
    one = run(name, table, **options)
    found = on_ranks(partial(run, name, table, **options))
    for other in found:
        assert other["logged"] == pytest.approx(one["logged"], rel=TOLERANCE)
        assert other["weights"] == pytest.approx(one["weights"], rel=TOLERANCE, abs=TOLERANCE)
    ranks = [other["seen"] for other in found]
    if options.get("distributed") is False:
        assert ranks == [one["seen"]] * RANKS
        return one
    for step, batch in enumerate(one["seen"]):
        assert Counter(chain.from_iterable(rank[step] for rank in ranks)) == Counter(batch), step
    evaluated = chain.from_iterable(other["evaluated"] for other in found)
    assert Counter(evaluated) == Counter(one["evaluated"])
    epoch = list(chain.from_iterable(one["seen"][: one["batches"]]))
    assert len(set(epoch)) == len(epoch) == one["windows"]
    return one


@pytest.mark.parametrize("name", MODELS)
def test_every_model(name, table, on_ranks):
    one = assert_equal(name, table, on_ranks)
    assert one["epochs"] > 1
    assert {"train/loss", "validation/RMSE", "test/loss", "test/MAE"} <= set(one["logged"])


@pytest.mark.parametrize("case", CASES)
def test_every_way_of_training(case, table, on_ranks):
    options: dict[str, Any] = {"trainer": {}, **CASES[case]}
    options["trainer"] = {"max_steps": 6, **options["trainer"]}
    one = assert_equal("EncoderDecoderLSTM", table, on_ranks, **options)
    if case == "one left over":
        assert one["windows"] % (RANKS * CASES[case]["batch_size"]) == 1
    if case == "one window each":
        assert one["windows"] == 1


class Looks(lightning.Callback):
    """Notes after which steps a fit validates."""

    def __init__(self):
        self.steps = []

    def on_validation_end(self, trainer, *_):
        self.steps.append(trainer.global_step)


def validated_by_time(table):
    """Return after which steps each process validates, whose clocks go apart."""
    data, looks = make_data("EncoderDecoderLSTM", table), Looks()
    data.setup("fit")
    trainer = make_trainer(
        max_steps=9,
        max_epochs=-1,
        num_sanity_val_steps=0,
        val_check_interval={"seconds": 8},
        callbacks=[looks, ValidationClock()],
    )
    seconds = 1 + 3 * distributed.get_rank()
    clock = SimpleNamespace(monotonic=lambda: float(trainer.global_step * seconds))
    with patch("transformertf.callbacks.validation_clock.time", clock):
        trainer.fit(make_model("EncoderDecoderLSTM", data), datamodule=data)
    return looks.steps


def test_processes_whose_clocks_differ_validate_together(table, on_ranks):
    # the faster clock counts four seconds a step, and the last step is validated, too
    assert on_ranks(validated_by_time, table) == [[2, 4, 6, 8, 9]] * RANKS


def seed_apart(table):
    """Return what is said to processes that draw from seeds of their own."""
    data = make_data("EncoderDecoderLSTM", table)
    torch.manual_seed(distributed.get_rank())
    data.setup("fit")
    try:
        make_trainer(max_steps=1).fit(make_model("EncoderDecoderLSTM", data), datamodule=data)
    except InputError as error:
        return str(error)
    return "nothing was refused"


def test_processes_that_differ_are_refused_on_each_of_them(table, on_ranks):
    for message in on_ranks(seed_apart, table):
        assert "differ in their seed: process 0 has 0, process 1 has 1" in message


@pytest.mark.parametrize("name", [*MODELS, *VARIANTS])
@pytest.mark.parametrize("statics", [False, True], ids=["plain", "statics"])
def test_every_parameter_that_trains_gets_a_gradient(name, statics, table):
    # DistributedDataParallel refuses to go on where one does not
    covariates = CASES["statics"] if statics else {"known_past_covariates": None}
    data = make_data(name, table, **covariates)
    data.setup("fit")
    module = make_model(name, data)
    module.setup("fit")
    module.configure_optimizers()
    batch = next(iter(data.train_dataloader()))
    module.to(torch.float64).calc_loss(module(batch), batch).backward()
    without = [n for n, p in module.named_parameters() if p.requires_grad and p.grad is None]
    assert not without

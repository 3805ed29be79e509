"""A fit that is stopped anywhere and goes on ends with the very bits of one that was not.

Of the settings that data order, numbers and state depend on, every pair of values is covered.
"""

import itertools
import os
import signal
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from tests.cli.conftest import CONTEXT, HORIZON, Experiment
from tests.depth import long
from tests.runs import content_of, last, metrics, same
from transformertf.callbacks import LossCurve, validation_clock
from transformertf.checkpoint import Checkpoint
from transformertf.cli import fit as fitting
from transformertf.cli import main
from transformertf.models import ForecastModule

SEQUENCE_MODELS = ("LSTM", "GRU")
SIZES: dict[str, dict[str, Any]] = {
    "EncoderDecoderLSTM": {"d_encoder": 4, "d_decoder": 4},
    "AttentionLSTM": {"d_model": 4, "num_layers": 1, "num_heads": 2},
    "TransformerLSTM": {"d_model": 4, "num_layers": 1, "num_heads": 2},
    **{
        name: {"d_model": 4, "num_heads": 2, "num_lstm_layers": 1, "d_hidden_continuous": 2}
        for name in ("TFT", "PFTemporalFusionTransformer", "xTFT")
    },
    **{name: {"d_model": 4, "num_layers": 2} for name in SEQUENCE_MODELS},
}
# whether the rate of learning, and what it looks at, are part of the state
SCHEDULERS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "steps": {"class_path": "CosineAnnealingLR", "init_args": {"T_max": 30}, "interval": "step"},
    # a rate that falls with each look, for nothing is better than it was by 1e6
    "plateau": {
        "class_path": "ReduceLROnPlateau",
        "init_args": {"patience": 0, "threshold": 1e6, "threshold_mode": "abs"},
        "monitor": "validation/loss",
    },
}
VALUES: dict[str, list[Any]] = {
    "model": list(SIZES),
    "lengths": [False, True, "batch"],
    "bucketing": [True, False],
    "workers": [0, 2],
    "accumulate": [1, 3],
    "precision": ["32-true", "bf16-mixed", "64-true"],
    "scheduler": list(SCHEDULERS),
    "moment": ["step", "validation", "epoch"],
}
CASES = [
    ("EncoderDecoderLSTM", False, False, 0, 3, "bf16-mixed", "plateau", "epoch"),
    ("EncoderDecoderLSTM", "batch", True, 2, 1, "32-true", "none", "validation"),
    ("EncoderDecoderLSTM", True, True, 2, 3, "64-true", "steps", "step"),
    ("AttentionLSTM", True, True, 2, 1, "32-true", "plateau", "epoch"),
    ("AttentionLSTM", False, False, 0, 3, "64-true", "steps", "validation"),
    ("AttentionLSTM", "batch", True, 0, 1, "bf16-mixed", "none", "step"),
    ("TransformerLSTM", True, False, 0, 1, "bf16-mixed", "none", "step"),
    ("TransformerLSTM", "batch", False, 2, 3, "64-true", "plateau", "validation"),
    ("TransformerLSTM", False, True, 0, 1, "32-true", "steps", "epoch"),
    ("TFT", "batch", True, 2, 3, "64-true", "steps", "step"),
    ("TFT", False, False, 0, 1, "bf16-mixed", "none", "epoch"),
    ("TFT", True, True, 2, 3, "32-true", "plateau", "validation"),
    ("PFTemporalFusionTransformer", False, False, 0, 3, "32-true", "none", "validation"),
    ("PFTemporalFusionTransformer", "batch", True, 2, 3, "bf16-mixed", "plateau", "step"),
    ("PFTemporalFusionTransformer", True, True, 0, 1, "64-true", "steps", "epoch"),
    ("xTFT", False, True, 2, 1, "bf16-mixed", "steps", "validation"),
    ("xTFT", True, False, 0, 3, "64-true", "plateau", "validation"),
    ("xTFT", "batch", True, 2, 3, "32-true", "none", "step"),
    ("xTFT", False, False, 0, 1, "64-true", "steps", "epoch"),
    ("LSTM", "batch", False, 0, 1, "64-true", "plateau", "validation"),
    ("LSTM", True, True, 0, 3, "32-true", "steps", "epoch"),
    ("LSTM", False, True, 2, 1, "bf16-mixed", "none", "step"),
    ("GRU", "batch", False, 2, 3, "64-true", "none", "epoch"),
    ("GRU", False, True, 0, 1, "32-true", "plateau", "step"),
    ("GRU", True, False, 0, 1, "bf16-mixed", "steps", "validation"),
]
EPOCHS = 3


def test_all_pairs_of_values_are_covered() -> None:
    for (first, left), (second, right) in itertools.combinations(enumerate(VALUES.values()), 2):
        found = {(case[first], case[second]) for case in CASES}
        assert found == set(itertools.product(left, right))


def require_equal_states(left: dict[str, Any], right: dict[str, Any]) -> None:
    """Compare all that a fit goes on with; paths differ, as the runs do."""
    for content in (left, right):  # what is counted of a validation that is over, nobody reads
        content["loops"]["fit_loop"].pop("epoch_loop.val_loop.batch_progress")
    for key in ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers", "loops",
                "resumption"):  # fmt: skip
        assert same(left[key], right[key]), key
    best = [
        next(state for key, state in content["callbacks"].items() if key.startswith("Best"))
        for content in (left, right)
    ]
    assert same(*(state["best_model_score"] for state in best))
    assert len({Path(state["best_model_path"]).name for state in best}) == 1


Windows = list[tuple[list[int], list[int]]]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Windows:
    """The windows of each batch that was trained on, in order."""
    seen: Windows = []
    step = ForecastModule.training_step

    def note(self: ForecastModule, batch: Any, batch_idx: int) -> torch.Tensor:
        places = (
            batch["series"],
            batch["origin"],
            *(batch[name] for name in batch if name.endswith("lengths")),
        )
        seen.append(tuple(place.tolist() for place in places))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(ForecastModule, "training_step", note)
    return seen


def stop_once(
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    number: signal.Signals = signal.SIGTERM,
    epoch: int = 1,
) -> None:
    """Send a signal in the second step of an epoch, in its validation, or at its end."""
    cls, name, skipped = {
        "step": (ForecastModule, "training_step", 1),
        "validation": (ForecastModule, "validation_step", 1),
        "epoch": (LossCurve, "on_train_epoch_end", 0),
    }[moment]
    original: Callable[..., Any] = getattr(cls, name)
    calls = itertools.count()

    def send(self: Any, *arguments: Any) -> Any:
        trainer = arguments[0] if moment == "epoch" else self.trainer
        here = trainer.current_epoch == epoch and not trainer.sanity_checking
        if here and next(calls) == skipped:
            os.kill(os.getpid(), number)
        return original(self, *arguments)

    monkeypatch.setattr(cls, name, send)


def change(config: dict[str, Any], case: tuple[Any, ...]) -> None:
    """Bring the values of a case into a configuration."""
    model, lengths, bucketing, workers, accumulate, precision, scheduler, _ = case
    config["model"] = {"class_path": model, "init_args": {**SIZES[model], "dropout": 0.2}}
    data = config["data"]["init_args"]
    data |= {"bucket_by_length": bucketing, "num_workers": workers, "randomize_seq_len": lengths}
    data |= {"noise_std": 0.1, "batch_size": 12}
    if model in SEQUENCE_MODELS:
        config["data"]["class_path"] = "TimeSeriesDataModule"
        data["known_covariates"] = [*data["known_covariates"], *data.pop("known_past_covariates")]
        for name in ("ctxt_seq_len", "tgt_seq_len"):
            del data[name]
        data |= {"seq_len": CONTEXT, "min_seq_len": 3}
    else:
        data |= {"min_ctxt_seq_len": 3, "min_tgt_seq_len": 2}
        assert data["tgt_seq_len"] == HORIZON
    config["trainer"] |= {"accumulate_grad_batches": accumulate, "max_epochs": EPOCHS}
    if precision == "64-true":
        data["dtype"] = "float64"
    else:
        config["trainer"]["precision"] = precision
    if SCHEDULERS[scheduler] is not None:
        config["lr_scheduler"] = SCHEDULERS[scheduler]


@pytest.mark.parametrize(
    "case",
    # of the suite each model and each moment
    [case if index % 3 == 0 else long(case) for index, case in enumerate(CASES)],
    ids=lambda case: "-".join(map(str, case)),
)
def test_goes_on_as_if_undisturbed(
    experiment: Experiment,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    trained: Windows,
    case: tuple[Any, ...],
) -> None:
    config = str(experiment.write(workdir, lambda tree: change(tree, case)))
    assert main(["fit", "--config", config, "-n", "whole"]) == 0
    undisturbed = trained.copy()
    trained.clear()
    with monkeypatch.context() as patch:
        stop_once(patch, case[-1])
        assert main(["fit", "--config", config, "-n", "parts"]) == 130
    told = capsys.readouterr().err
    assert "go on with --ckpt_path last" in told
    assert 0 < len(trained) < len(undisturbed)
    assert main(["fit", "--config", config, "-n", "parts", "--ckpt_path", "last"]) == 0

    assert trained == undisturbed
    require_equal_states(content_of(last("parts", 1)), content_of(last("whole", 0)))
    pd.testing.assert_frame_equal(metrics("parts", 0, 1), metrics("whole", 0))


ONE = ("EncoderDecoderLSTM", True, True, 0, 1, "32-true", "plateau", "step")


# as torch's compiler does; see tests/models/test_compile.py
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize(
    "words",
    [
        ("--trainer.max_steps", "20"),
        ("--trainer.val_check_interval", "0.5"),
        ("--trainer.check_val_every_n_epoch", "2", "--lr_scheduler.monitor", "train/loss"),
        ("--trainer.limit_train_batches", "5"),
        ("--data.val_df_paths", "null", "--lr_scheduler.monitor", "train/loss"),
        ("--lr_scheduler.interval", "step", "--lr_scheduler.monitor", "loss"),
        ("--model.log_grad_norm", "true", "--trainer.log_every_n_steps", "1"),
        long(("--model.compile_model", "true")),
    ],
    ids=" ".join,
)
def test_goes_on_however_epochs_and_validations_lie(
    experiment: Experiment, workdir: Path, monkeypatch: pytest.MonkeyPatch, trained: Windows,
    words: tuple[str, ...],
) -> None:  # fmt: skip
    config = str(experiment.write(workdir, lambda tree: change(tree, ONE)))
    assert main(["fit", "--config", config, *words, "-n", "whole"]) == 0
    undisturbed = trained.copy()
    trained.clear()
    # twice within one epoch, then at its end
    for moment in ("step", "step", "epoch"):
        with monkeypatch.context() as patch:
            stop_once(patch, moment)
            resume = ["--ckpt_path", "last"]
            assert main(["fit", "--config", config, *words, "-n", "parts", *resume]) == 130
    assert main(["fit", "--config", config, *words, "-n", "parts", "--ckpt_path", "last"]) == 0
    assert trained == undisturbed
    require_equal_states(content_of(last("parts", 3)), content_of(last("whole", 0)))
    pd.testing.assert_frame_equal(metrics("parts", *range(4)), metrics("whole", 0))


def test_goes_on_where_a_limit_of_time_ended_it(
    experiment: Experiment, workdir: Path, monkeypatch: pytest.MonkeyPatch, trained: Windows
) -> None:
    config = str(experiment.write(workdir, lambda tree: change(tree, ONE)))
    assert main(["fit", "--config", config, "-n", "whole"]) == 0
    undisturbed = trained.copy()
    trained.clear()
    with monkeypatch.context() as patch:
        step = ForecastModule.training_step

        def stop(self: ForecastModule, batch: Any, batch_idx: int) -> torch.Tensor:
            # as Lightning's timer does, in the middle of an epoch
            self.trainer.should_stop = self.trainer.should_stop or self.global_step == 10
            return step(self, batch, batch_idx)

        patch.setattr(ForecastModule, "training_step", stop)
        assert main(["fit", "--config", config, "-n", "parts"]) == 0
    assert content_of(last("parts", 0))["global_step"] == 11
    assert main(["fit", "--config", config, "-n", "parts", "--ckpt_path", "last"]) == 0
    assert trained == undisturbed
    require_equal_states(content_of(last("parts", 1)), content_of(last("whole", 0)))


@pytest.mark.parametrize("epoch", [1, 2])
def test_early_stopping_that_waits_for_more_epochs_goes_on(
    experiment: Experiment, workdir: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    def impatient(tree: dict[str, Any]) -> None:
        change(tree, ONE)
        stopping = {"monitor": "validation/loss", "patience": 1, "min_delta": 1e6}
        callback = {"class_path": "EarlyStopping", "init_args": stopping}
        tree["trainer"] |= {"min_epochs": 4, "max_epochs": 6, "callbacks": [callback]}

    config = str(experiment.write(workdir, impatient))
    assert main(["fit", "--config", config, "-n", "whole"]) == 0
    assert content_of(last("whole", 0))["epoch"] == 3
    with monkeypatch.context() as patch:
        stop_once(patch, "step", epoch=epoch)
        assert main(["fit", "--config", config, "-n", "parts"]) == 130
    assert main(["fit", "--config", config, "-n", "parts", "--ckpt_path", "last"]) == 0
    require_equal_states(content_of(last("parts", 1)), content_of(last("whole", 0)))
    pd.testing.assert_frame_equal(metrics("parts", 0, 1), metrics("whole", 0))
    # and no further
    assert main(["fit", "--config", config, "-n", "parts", "--ckpt_path", "last"]) == 0
    assert len(list(Path("runs", "parts").iterdir())) == 2


@pytest.mark.parametrize(
    ("precision", "moment"),
    [
        ("32-true", "step"),
        ("bf16-true", "validation"),
        ("64-true", "epoch"),
        *(long("lightning", moment) for moment in ("step", "validation", "epoch")),
    ],
)
def test_averaged_weights_go_on(
    experiment: Experiment,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    moment: str,
) -> None:
    def averaging(tree: dict[str, Any]) -> None:
        change(tree, ONE)
        if precision == "lightning":
            tree["trainer"]["callbacks"] = [{"class_path": "EMAWeightAveraging"}]
        else:
            tree["ema"] = 0.9
            tree["trainer"]["precision"] = precision

    config = str(experiment.write(workdir, averaging))
    assert main(["fit", "--config", config, "-n", "whole"]) == 0
    with monkeypatch.context() as patch:
        stop_once(patch, moment)
        assert main(["fit", "--config", config, "-n", "parts"]) == 130
    assert main(["fit", "--config", config, "-n", "parts", "--ckpt_path", "last"]) == 0
    parts, whole = content_of(last("parts", 1)), content_of(last("whole", 0))
    require_equal_states(parts, whole)
    pd.testing.assert_frame_equal(metrics("parts", 0, 1), metrics("whole", 0))
    if precision != "lightning":
        assert same(parts["averaging"], whole["averaging"])
        assert not same(parts["averaging"]["weights"], parts["state_dict"])


@pytest.mark.parametrize("moment", ["step", long("validation")])
def test_validations_by_time_go_on(
    experiment: Experiment,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: Windows,
    moment: str,
) -> None:
    def by_time(tree: dict[str, Any]) -> None:
        change(tree, ONE)
        del tree["lr_scheduler"]
        tree["trainer"] |= {"val_check_interval": "00:00:00:05", "max_epochs": 9}
        stopping = {"monitor": "validation/loss", "patience": 3, "min_delta": 1e6}
        tree["trainer"]["callbacks"] = [{"class_path": "EarlyStopping", "init_args": stopping}]

    # a step takes a second, whatever else is done
    clock = Namespace(monotonic=lambda: float(len(trained)))
    monkeypatch.setattr(validation_clock, "time", clock)
    config = str(experiment.write(workdir, by_time))
    assert main(["fit", "--config", config, "-n", "whole"]) == 0
    undisturbed, validated = trained.copy(), metrics("whole", 0).dropna(subset="validation/loss")
    # the first look sets the mark, and three more find nothing better
    assert validated["step"].tolist() == [4, 9, 14, 19]
    assert content_of(last("whole"))["global_step"] == len(undisturbed) == 20
    trained.clear()
    with monkeypatch.context() as patch:
        stop_once(patch, moment, epoch=1 if moment == "validation" else 0)
        assert main(["fit", "--config", config, "-n", "parts"]) == 130
    assert main(["fit", "--config", config, "-n", "parts", "--ckpt_path", "last"]) == 0
    assert trained == undisturbed
    require_equal_states(content_of(last("parts", 1)), content_of(last("whole", 0)))
    pd.testing.assert_frame_equal(metrics("parts", 0, 1), metrics("whole", 0))


def test_a_fit_that_is_shorter_than_the_time_is_validated_at_its_end(
    experiment: Experiment, workdir: Path
) -> None:
    config = str(experiment.write(workdir))
    assert main(["fit", "--config", config, "--trainer.val_check_interval", "01:00:00:00"]) == 0
    found = metrics("tiny", 0).dropna(subset="validation/loss")
    assert found["step"].tolist() == [content_of(last("tiny"))["global_step"] - 1]
    assert len(list(Path("runs/tiny/version_0/checkpoints").iterdir())) == 3


def test_a_schedule_over_the_whole_fit_goes_on(
    experiment: Experiment,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def scheduled(tree: dict[str, Any]) -> None:
        change(tree, ONE)
        tree["lr_scheduler"] = {"class_path": "OneCycle"}
        tree["trainer"]["accumulate_grad_batches"] = 3

    config = str(experiment.write(workdir, scheduled))
    assert main(["fit", "--config", config, "-n", "whole"]) == 0
    assert content_of(last("whole"))["lr_schedulers"][0]["total"] == 9
    with monkeypatch.context() as patch:
        stop_once(patch, "step")
        assert main(["fit", "--config", config, "-n", "parts"]) == 130
    on = ["fit", "--config", config, "-n", "parts", "--ckpt_path", "last"]
    assert main(on) == 0
    require_equal_states(content_of(last("parts", 1)), content_of(last("whole", 0)))
    assert main([*on, "--trainer.max_epochs", "4"]) == 0
    assert "OneCycle ends with step 12 now, 9 in the checkpoint" in caplog.text


def test_a_fit_goes_on_with_the_average_that_it_has(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(experiment.write(workdir))
    assert main(["fit", "--config", config, "--ema", "0.9"]) == 0
    on = ["fit", "--config", config, "--ckpt_path", "last", "--trainer.max_epochs", "3"]
    assert main(on) == 0
    assert content_of(last("tiny", 1))["averaging"]["steps"] == 18
    assert main([*on[:-1], "4", "--ema", "0.5"]) == 0
    assert "ema is 0.5 now, 0.9 in the checkpoint" in capsys.readouterr().err
    # what takes over weights has the averages
    kept = content_of(last("tiny", 2))
    assert main(["fit", "--config", config, "-n", "next", "--transfer-ckpt", str(last("tiny", 2)),
                 "--trainer.limit_train_batches", "1", "--optimizer.lr", "1e-12"]) == 0  # fmt: skip
    for name, weight in content_of(last("next"))["state_dict"].items():
        torch.testing.assert_close(weight, kept["state_dict"][name], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "case",
    [
        ("LSTM", 0, "step", 0.1),
        ("GRU", 2, "step", 0.1),
        long(("LSTM", 2, "validation", 0.0)),
        long(("GRU", 0, "epoch", 0.1)),
        long(("LSTM", 2, "epoch", 0.1)),
    ],
    ids=lambda case: "-".join(map(str, case)),
)
def test_lanes_go_on_in_the_middle_of_their_runs(
    experiment: Experiment, workdir: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, trained: Windows, case: tuple[str, int, str, float],
) -> None:  # fmt: skip
    model, workers, moment, fresh = case

    def carrying(tree: dict[str, Any]) -> None:
        change(tree, (model, "batch", True, workers, 1, "32-true", "steps", moment))
        data = tree["data"]["init_args"]
        data |= {"carry_state": True, "fresh_starts": fresh, "washout": 2, "batch_size": 3}

    config = str(experiment.write(workdir, carrying))
    assert main(["fit", "--config", config, "-n", "whole"]) == 0
    undisturbed = trained.copy()
    trained.clear()
    with monkeypatch.context() as patch:
        stop_once(patch, moment)
        assert main(["fit", "--config", config, "-n", "parts"]) == 130
    assert main(["fit", "--config", config, "-n", "parts", "--ckpt_path", "last"]) == 0
    assert "do not go on" not in caplog.text
    assert trained == undisturbed
    require_equal_states(content_of(last("parts", 1)), content_of(last("whole", 0)))
    lanes = content_of(last("whole", 0))["resumption"]["lanes"]
    assert [part.shape[-1] for part in lanes[0]] == [4] * (len(lanes[0]) - 1) + [3]
    assert all(bool(part.any()) for part in lanes[0])
    # with other lanes they begin anew, which is told
    words = ["--ckpt_path", "last", "--data.batch_size", "4", "--trainer.max_epochs", "4"]
    assert main(["fit", "--config", config, "-n", "parts", *words]) == 0
    assert "of 4 lanes do not go on where they were" in caplog.text


def test_a_checkpoint_may_lie_in_the_uppermost_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(fitting, "sweep", looked.append)
    path = Path(Path.cwd().anchor, "last.ckpt")
    fitting._sweep(Namespace(ckpt_path=str(path)), None, Checkpoint(path, {}))
    assert looked == [path.parent, path.parent / "checkpoints", path.parent / "plots"]

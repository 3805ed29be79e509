"""Run folders, resuming, merging: what `fit` leaves behind and goes on from."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from tests.cli.conftest import Experiment
from tests.runs import content_of, last, metrics, same, weights
from transformertf.cli import main
from transformertf.cli.main import COMMANDS


def fit(config: Path, *words: str) -> int:
    return main(["fit", "--config", str(config), *words])


def with_callbacks(callbacks: list[dict[str, Any]], config: dict[str, Any]) -> None:
    config["trainer"]["callbacks"] = callbacks


def test_run_folder(experiment: Experiment) -> None:
    folder = experiment.root / "runs" / "tiny" / "version_0"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"config.yaml", "metrics.csv", "plots/loss.png", "checkpoints/last.ckpt"} <= names
    assert [name for name in names if name.startswith("checkpoints/epoch=")]
    table = pd.read_csv(folder / "metrics.csv")
    wanted = {"epoch", "train/loss", "validation/loss", "validation/MAE", "validation/RMSE"}
    assert wanted <= set(table.columns)
    assert table["train/loss"].count() == table["validation/loss"].count() == 2


def test_checkpoint_holds_tensors_and_primitives_only(experiment: Experiment) -> None:
    content = torch.load(experiment.checkpoint, weights_only=True)
    assert content["hyper_parameters"]["_class_path"].endswith(".EncoderDecoderLSTM")
    assert content["datamodule_hyper_parameters"]["_class_path"].endswith(
        ".EncoderDecoderDataModule"
    )
    assert content["transformertf_version"]


def test_resolved_config_reproduces_the_run(experiment: Experiment, workdir: Path) -> None:
    resolved = experiment.root / "runs" / "tiny" / "version_0" / "config.yaml"
    config = yaml.safe_load(resolved.read_text())
    assert config["seed_everything"] == 42
    assert config["data"]["init_args"]["stride"] == 1
    assert config["model"]["init_args"]["num_past_features"] == 4
    assert fit(resolved) == 0
    # a run's own configuration belongs to the run's experiment
    assert same(weights(last("tiny", 0)), weights(experiment.checkpoint))


RAGGED: dict[str, Any] = {
    "randomize_seq_len": True,
    "min_ctxt_seq_len": 3,
    "min_tgt_seq_len": 2,
}


@pytest.mark.parametrize(
    "arguments",
    [{}, RAGGED, {**RAGGED, "num_workers": 2}],
    ids=["full", "random lengths", "random lengths by workers"],
)
def test_resumed_fit_equals_an_undisturbed_one(
    experiment: Experiment, workdir: Path, arguments: dict[str, Any]
) -> None:
    config = experiment.write(workdir, lambda c: c["data"]["init_args"].update(arguments))
    assert fit(config, "-n", "whole", "--trainer.max_epochs", "3") == 0
    assert fit(config, "-n", "parts", "--trainer.max_epochs", "1") == 0
    resume = ("--ckpt_path", "last", "--trainer.max_epochs", "3")
    assert fit(config, "-n", "parts", *resume) == 0

    assert same(weights(last("parts", 1)), weights(last("whole", 0)))
    pd.testing.assert_frame_equal(metrics("parts", 0, 1), metrics("whole", 0))
    assert metrics("parts", 1)["epoch"].min() == 1
    text = Path("runs/parts/version_1/config.yaml").read_text()
    assert text.startswith("# resumed from runs/parts/version_0/checkpoints/last.ckpt\n")


def test_scheduler_goes_on_after_a_resume(experiment: Experiment, workdir: Path) -> None:
    config = experiment.write(
        workdir,
        lambda c: c.update(
            lr_scheduler={
                "class_path": "StepLR",
                "init_args": {"step_size": 5, "gamma": 0.5},
                "interval": "step",
            }
        ),
    )
    assert fit(config, "--trainer.max_epochs", "1") == 0
    first = content_of(last("tiny", 0))
    assert fit(config, "--ckpt_path", "last", "--trainer.max_epochs", "2") == 0
    second = content_of(last("tiny", 1))
    steps = [content["lr_schedulers"][0]["last_epoch"] for content in (first, second)]
    assert steps == [first["global_step"], 2 * first["global_step"]]
    rate = second["optimizer_states"][0]["param_groups"][0]["lr"]
    assert rate == pytest.approx(0.01 * 0.5 ** (second["global_step"] // 5))


def test_last_without_a_checkpoint_starts_anew(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = experiment.write(workdir)
    assert fit(config, "--ckpt_path", "last") == 0
    assert "no checkpoint of 'tiny' under runs/tiny yet: starting anew" in capsys.readouterr().err
    assert same(weights(last("tiny", 0)), weights(experiment.checkpoint))


def test_last_skips_a_broken_checkpoint(experiment: Experiment, workdir: Path) -> None:
    config = experiment.write(workdir)
    assert fit(config, "--trainer.max_epochs", "1") == 0
    broken = last("tiny", 1)
    broken.parent.mkdir(parents=True)
    broken.write_bytes(last("tiny", 0).read_bytes()[:-200])
    assert fit(config, "--ckpt_path", "last") == 0
    assert "version_0" in Path("runs/tiny/version_2/config.yaml").read_text().splitlines()[0]
    assert same(weights(last("tiny", 2)), weights(experiment.checkpoint))


def test_explicit_flag_wins_over_the_checkpoint_and_is_told(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = experiment.write(workdir)
    words = ("--ckpt_path", str(experiment.checkpoint), "--trainer.max_epochs", "3")
    assert fit(config, *words, "--model.dropout", "0.5") == 0
    assert "model.dropout is 0.5 now, 0.1 in the checkpoint" in capsys.readouterr().err
    content = content_of(last("tiny", 0))
    assert content["hyper_parameters"]["dropout"] == 0.5


def test_without_validation_data(experiment: Experiment, workdir: Path) -> None:
    config = experiment.write(workdir, lambda c: c["data"]["init_args"].pop("val_df_paths"))
    assert fit(config) == 0
    assert "validation/loss" not in metrics("tiny", 0).columns
    best = list(last("tiny", 0).parent.glob("epoch=*.ckpt"))
    assert len(best) == 1


def test_best_and_last_are_kept(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = experiment.write(workdir)
    assert fit(config, "--trainer.max_epochs", "4") == 0
    told = capsys.readouterr().err.splitlines()[-1]
    table = metrics("tiny", 0).groupby("epoch")["validation/loss"].max()
    names = sorted(path.name for path in last("tiny", 0).parent.iterdir())
    assert names[0] == "best.ckpt"
    epoch = int(table.to_numpy().argmin())
    assert names[1].startswith(f"epoch={epoch}-")
    assert names[2:] == ["last.ckpt"]
    best, named = (last("tiny", 0).with_name(name).read_bytes() for name in names[:2])
    assert best == named
    assert told == "next: transformertf evaluate -n tiny --ckpt_path best"
    assert content_of(last("tiny", 0))["epoch"] == 3


def test_transfer(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = experiment.write(workdir)
    quantiles = '{"class_path": "QuantileLoss", "init_args": {"quantiles": [0.1, 0.5, 0.9]}}'
    content = torch.load(experiment.checkpoint, weights_only=True)
    content["state_dict"]["model.extra.weight"] = torch.zeros(1)
    torch.save(content, "more.ckpt")
    words = ("--transfer-ckpt", "more.ckpt", "--trainer.max_epochs", "1")
    frozen = ("--optimizer.init_args.lr", "0.0")
    assert fit(config, *words, *frozen, "--model.criterion", quantiles) == 0
    told = capsys.readouterr().err
    assert "not in the checkpoint with this shape: model.head.0.weight, model.head.0.bias" in told
    assert "in the checkpoint only: model.extra.weight" in told
    old, new = weights(experiment.checkpoint), weights(last("tiny", 0))
    assert torch.equal(old["model.encoder.weight_hh_l0"],
                       new["model.encoder.weight_hh_l0"])  # fmt: skip
    assert old["model.head.0.weight"].shape != new["model.head.0.weight"].shape


def test_transfer_with_nothing_in_common(experiment: Experiment, workdir: Path, fails: Any) -> None:
    content = torch.load(experiment.checkpoint, weights_only=True)
    content["state_dict"] = {f"old.{k}": v for k, v in content["state_dict"].items()}
    torch.save(content, "other.ckpt")
    experiment.write(workdir)
    message = fails("fit", "--config", "tiny.yml", "--transfer-ckpt", "other.ckpt")
    assert "no parameter has a name and shape of EncoderDecoderLSTM" in message


def test_interrupted_fit_says_how_to_go_on(experiment: Experiment, workdir: Path) -> None:
    config = experiment.write(workdir, lambda c: c["trainer"].update(max_epochs=100_000))
    with subprocess.Popen(
        [sys.executable, "-m", "transformertf", "fit", "--config", str(config)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=workdir,
        # as in a shell's foreground; its background jobs begin with the signal ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        until = time.monotonic() + 120
        while not last("tiny", 0).exists() and time.monotonic() < until:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        try:
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "interrupted; go on with --ckpt_path last" in told
    assert "Traceback" not in told
    epoch = content_of(last("tiny", 0))["epoch"]
    assert fit(config, "--ckpt_path", "last", "--trainer.max_epochs", str(epoch + 2)) == 0


def test_diverged_fit_names_the_place(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = experiment.write(workdir)
    assert fit(config, "--optimizer.init_args.lr", "1e30") == 1
    told = capsys.readouterr().err
    assert re.search(r"error: the training loss is (nan|inf) in epoch 0, step \d", told)
    assert re.search(r"of 16 windows: series '[ab]', origin row \d+ \(t \d", told)


def test_failure_of_ours_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformertf.cli.main import COMMANDS

    def broken(*_: object) -> None:
        raise RuntimeError("lost")

    monkeypatch.setitem(COMMANDS, "fit", (broken, ""))
    assert main(["fit"]) == 1
    told = capsys.readouterr().err
    assert "RuntimeError: lost" in told
    assert "this is a failure of transformertf" in told


def test_yaml_relative_paths_and_environment(
    experiment: Experiment, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VALIDATION_FILE", str(experiment.root / "val.parquet"))
    folder = workdir / "elsewhere"
    folder.mkdir()
    for name in ("a", "b"):
        os.link(experiment.root / f"{name}.parquet", folder / f"{name}.parquet")
    config = experiment.write(
        folder,
        lambda c: c["data"]["init_args"].update(
            train_df_paths="[ab].parquet", val_df_paths="$VALIDATION_FILE"
        ),
    )
    assert fit(config) == 0
    assert same(weights(last("tiny", 0)), weights(experiment.checkpoint))


def test_number_of_threads(experiment: Experiment, workdir: Path) -> None:
    before = torch.get_num_threads()
    config = experiment.write(workdir)
    try:
        assert fit(config, "--num_threads", "2", "--trainer.max_epochs", "1") == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_finished_fit_has_nothing_left_to_do(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = experiment.write(workdir)
    assert fit(config) == 0
    assert fit(config, "--ckpt_path", "last") == 0
    assert "has trained 2 epochs already; raise --trainer.max_epochs" in capsys.readouterr().err
    assert [path.name for path in Path("runs/tiny").iterdir()] == ["version_0"]


def test_fit_that_was_stopped_early_has_nothing_left_to_do(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopping = {"monitor": "validation/loss", "patience": 1, "min_delta": 1e6}
    callback = {"class_path": "EarlyStopping", "init_args": stopping}
    config = experiment.write(workdir, lambda c: c["trainer"].update(callbacks=[callback]))
    words = ("--trainer.max_epochs", "9")
    assert fit(config, *words) == 0
    assert fit(config, *words, "--ckpt_path", "last") == 0
    assert "was stopped early after 2 epochs; leave EarlyStopping out" in capsys.readouterr().err
    assert [path.name for path in Path("runs/tiny").iterdir()] == ["version_0"]
    without = experiment.write(workdir)
    assert fit(without, "--trainer.max_epochs", "3", "--ckpt_path", "last") == 0
    assert content_of(last("tiny", 1))["epoch"] == 2


def test_limit_of_steps_ends_a_fit_for_good(experiment: Experiment, workdir: Path) -> None:
    config = experiment.write(workdir)
    assert fit(config, "--trainer.max_steps", "3") == 0
    assert content_of(last("tiny", 0))["global_step"] == 3
    assert fit(config, "--ckpt_path", "last", "--trainer.max_steps", "3") == 0
    assert not last("tiny", 1).parents[1].exists()


def test_other_settings_of_the_optimizer_are_told(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = experiment.write(workdir)
    resume = ("--ckpt_path", str(experiment.checkpoint), "--trainer.max_epochs", "3")
    assert fit(config, *resume, "--optimizer.lr", "0.5") == 0
    assert "optimizer.lr is 0.5 now, 0.01 in the checkpoint" in capsys.readouterr().err
    content = content_of(last("tiny", 0))
    assert content["optimizer_states"][0]["param_groups"][0]["lr"] == 0.5


def test_what_cannot_go_on_is_refused(experiment: Experiment, workdir: Path, fails: Any) -> None:
    experiment.write(workdir)
    resume = ("fit", "--config", "tiny.yml", "--ckpt_path", experiment.checkpoint)
    more = ("--trainer.max_epochs", "3")
    assert "optimizer is torch.optim.SGD now, torch.optim.Adam in the checkpoint" in fails(
        *resume, *more, "--optimizer", "SGD"
    )
    scheduler = ("--lr_scheduler.class_path", "StepLR", "--lr_scheduler.step_size", "3")
    assert "lr_scheduler is torch.optim.lr_scheduler.StepLR now, None in" in fails(
        *resume, *more, *scheduler
    )
    assert "give one of them" in fails(*resume, "--transfer-ckpt", experiment.checkpoint)


def test_failed_fit_leaves_no_run_behind(experiment: Experiment, workdir: Path) -> None:
    config = experiment.write(workdir)
    assert fit(config, "--optimizer.lr", "1e30") == 1
    assert not Path("runs").exists()
    assert fit(config, "--trainer.fast_dev_run", "true") == 0
    assert not Path("runs").exists()


def test_precision_that_the_device_lacks_is_told(
    experiment: Experiment, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = experiment.write(workdir)
    words = ("--trainer.max_steps", "1", "--trainer.precision", "16-mixed")
    assert fit(config, *words) == 0
    told = capsys.readouterr().err
    assert "trainer.precision: no 16-mixed on this device, bf16-mixed instead" in told


def test_callbacks_and_precision(experiment: Experiment, workdir: Path) -> None:
    callback = {
        "class_path": "ModelCheckpoint",
        "init_args": {"filename": "own", "monitor": "validation/MAE"},
    }
    config = experiment.write(workdir, lambda c: c["trainer"].update(callbacks=callback))
    assert fit(config, "--data.dtype", "float64", "--trainer.logger", "true") == 0
    assert weights(last("tiny", 0))["model.head.0.weight"].dtype == torch.float64
    assert Path("runs/tiny/version_0/metrics.csv").exists()
    assert main(["test", "--config", str(config), "--ckpt_path", "last"]) == 0
    assert not Path("lightning_logs").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["trainer"].update(
                callbacks={"class_path": "EarlyStopping", "init_args": {"monitor": "val_loss"}}
            ),
            "error: EarlyStopping monitors 'val_loss', which is not logged; this fit logs loss, "
            "train/loss, validation/loss, validation/MAE, validation/RMSE",
        ),
        (
            lambda c: (
                c["data"]["init_args"].pop("val_df_paths"),
                c.update(lr_scheduler="ReduceLROnPlateau"),
            ),
            "error: ReduceLROnPlateau monitors 'validation/loss', which is not logged; this fit "
            "logs loss, train/loss, without a validation",
        ),
    ],
    ids=["early stopping", "plateau"],
)
def test_metric_that_is_not_logged_is_told_before_the_first_step(
    experiment: Experiment, workdir: Path, fails: Callable[..., str], change: Any, message: str
) -> None:
    assert fails("fit", "--config", experiment.write(workdir, change)) == message


def test_what_classes_of_others_log_is_known_after_an_epoch(
    experiment: Experiment,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("their_callbacks.py").write_text(
        "from lightning.pytorch.callbacks import Callback\n"
        "class Logs(Callback):\n"
        "    def on_train_epoch_end(self, trainer, pl_module):\n"
        "        pl_module.log('theirs', 1.0)\n"
    )
    monkeypatch.syspath_prepend(workdir)
    logs: dict[str, Any] = {"class_path": "their_callbacks.Logs"}
    for name, code in (("theirs", 0), ("nobodys", 2)):
        stopping = {"class_path": "EarlyStopping", "init_args": {"monitor": name}}
        callbacks = [logs, stopping]
        config = experiment.write(workdir, partial(with_callbacks, callbacks))
        assert fit(config, "--allow", "their_callbacks") == code
    told = capsys.readouterr().err
    assert "Early stopping conditioned on metric `nobodys` which is not available" in told
    assert "Traceback" not in told


def test_a_fit_with_a_timer_can_be_made_again(experiment: Experiment, workdir: Path) -> None:
    timer: dict[str, Any] = {"class_path": "Timer", "init_args": {"duration": "00:00:10:00"}}
    config = experiment.write(workdir, lambda c: c["trainer"].update(callbacks=[timer]))
    assert fit(config, "-n", "first") == 0
    resolved = Path("runs/first/version_0/config.yaml")
    (kept,) = yaml.safe_load(resolved.read_text())["trainer"]["callbacks"]
    assert kept["init_args"] == timer["init_args"] | {"interval": "step", "verbose": True}
    assert fit(resolved, "-n", "second") == 0
    assert (last("first", 0)).exists()
    assert (last("second", 0)).exists()


def test_metrics_that_are_logged_can_be_monitored(experiment: Experiment, workdir: Path) -> None:
    names = ["loss", "train/loss", "train/grad_norm", "lr-Adam", "validation/loss"]
    names += ["validation/MAE", "validation/RMSE"]
    callbacks = [
        {"class_path": "EarlyStopping", "init_args": {"monitor": name, "patience": 99}}
        for name in names
    ]
    callbacks.append({"class_path": "LearningRateMonitor"})
    config = experiment.write(workdir, lambda c: c["trainer"].update(callbacks=callbacks))
    assert fit(config, "--model.log_grad_norm", "true") == 0


def test_commands_flush_subnormals_and_leave_the_process_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    supported = torch.set_flush_denormal(True)
    torch.set_flush_denormal(False)
    if not supported:
        pytest.skip("this processor cannot flush subnormal numbers")
    seen = []

    def tiny() -> float:
        return float(torch.tensor(1e-39) * 0.5)

    monkeypatch.setitem(COMMANDS, "fit", (lambda *_: seen.append(tiny()), ""))
    assert main(["fit"]) == 0
    assert seen == [0.0]
    assert tiny() > 0

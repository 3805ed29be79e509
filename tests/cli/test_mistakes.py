"""Each mistake of a user: one clear line, exit code 2, nothing half-written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.cli.conftest import CONTEXT, HORIZON, Experiment, make_frame

Fails = Callable[..., str]
Config = dict[str, Any]


def data(config: Config) -> Config:
    arguments: Config = config["data"]["init_args"]
    return arguments


def ids(value: object) -> str:
    return value[:40] if isinstance(value, str) else ""


CONFIG_MISTAKES = [
    # wrong type, unknown key, bad value: where, what was expected, what was found
    (lambda c: data(c).update(ctxt_seq_len="long"),
     "data.init_args.ctxt_seq_len in tiny.yml: expected int; found 'long'"),
    (lambda c: c["trainer"].update(max_epochs=1.5),
     "trainer.max_epochs in tiny.yml: expected int; found 1.5"),
    (lambda c: data(c).update(known_covariates={"a": 1}),
     "data.init_args.known_covariates in tiny.yml: expected list or str; found {'a': 1}"),
    (lambda c: data(c).update(known_covariates=3), "no column '3'"),
    (lambda c: data(c).update(tgt_seq_length=3),
     "unknown key 'data.init_args.tgt_seq_length' in tiny.yml; did you mean 'tgt_seq_len'?"),
    (lambda c: c["model"]["init_args"].update(d_encodr=3),
     "unknown key 'model.init_args.d_encodr' in tiny.yml; did you mean 'd_encoder'?"),
    (lambda c: c["trainer"].update(max_epoch=3),
     "unknown key 'trainer.max_epoch' in tiny.yml; did you mean 'max_epochs'?"),
    (lambda c: c.update(modell={}), "unknown key 'modell' in tiny.yml; did you mean 'model'?"),
    (lambda c: c["optimizer"]["init_args"].update(lrr=1),
     "unknown key 'optimizer.init_args.lrr' in tiny.yml; did you mean 'lr'?"),
    (lambda c: c["model"].update(class_path="EncoderDecoderLSTMM"),
     "model.class_path: no class 'EncoderDecoderLSTMM'; did you mean 'EncoderDecoderLSTM'?"),
    (lambda c: c["model"]["init_args"].update(criterion="MSELos"),
     "model.init_args.criterion.class_path: no class 'MSELos'; did you mean 'MSELoss'?"),
    (lambda c: c.pop("model"), "config: no model.class_path"),
    (lambda c: data(c).update(normalize="globally"),
     "data.init_args.normalize in tiny.yml: expected bool or one of 'global', 'series', 'window'; "
     "found 'globally'"),
    (lambda c: data(c).update(batch_size=0), "batch_size must be at least 1, found 0"),
    (lambda c: data(c).update(min_ctxt_seq_len=99), "expected 1 <= min_ctxt_seq_len"),
    (lambda c: data(c).update(val_fraction=0.1), "val_df_paths and val_fraction are both given"),
    (lambda c: data(c).update(test_df_paths=None, test_fraction=1.5),
     "test_fraction must be at least 0 and below 1, found 1.5"),
    (lambda c: data(c).update(known_covariates=["target"]), "column 'target' has two roles"),
    (lambda c: c["model"]["init_args"].update(output_dim=3),
     "output_dim is 3, but the criterion QuantileLoss wants 7"),
    (lambda c: c["model"]["init_args"].update(
        criterion={"class_path": "QuantileLoss", "init_args": {"quantiles": [0.9, 0.1]}}),
     "quantiles must rise"),
    (lambda c: c["model"]["init_args"].update(criterion="torch.nn.CrossEntropyLoss"),
     "criterion CrossEntropyLoss is not elementwise"),
    (lambda c: c["model"]["init_args"].update(logging_metrics=["RSME"]),
     "unknown metric 'RSME'; did you mean 'RMSE'?"),
    (lambda c: c["model"]["init_args"].update(num_past_features=9),
     "model.init_args.num_past_features is 9 in tiny.yml, but the data gives 4"),
    (lambda c: c["model"]["init_args"].update(optimizer={"class_path": "torch.optim.SGD"}),
     "optimizer is given twice"),
    (lambda c: c["trainer"].update(max_epochs="${trainer.epochs}"),
     "config: Interpolation key 'trainer.epochs' not found"),
    (lambda c: c["trainer"].update(accelerator="abacus"), "abacus"),
    (lambda c: c["model"]["init_args"].update(d_encoder=0),
     "d_encoder must be at least 1, found 0"),
    (lambda c: c["model"]["init_args"].update(dropout=1.5), "dropout must be from 0 to 1"),
    (lambda c: c["optimizer"]["init_args"].update(lr=-1.0), "Invalid learning rate: -1.0"),
    (lambda c: data(c).update(num_workers=-1), "num_workers must be at least 0, found -1"),
    (lambda c: data(c).update(train_df_paths=5), "data.init_args.train_df_paths in tiny.yml"),
    (lambda c: c.update(model=3), "model in tiny.yml: expected keys and values, found 3"),
    (lambda c: c["model"].update(init_args=[1]), "model.init_args in tiny.yml: expected keys"),
    (lambda c: c.update(trainer="foo"), "trainer in tiny.yml: expected keys and values"),
    (lambda c: data(c).update(train_df_paths=None), "no train data: give train_df_paths"),
    (lambda c: c["model"]["init_args"].update(d_encoder=10**6), "not enough memory ("),
    # what Lightning has, and cannot do here
    (lambda c: c["trainer"].update(callbacks=["LearningRateFinder"]),
     "LearningRateFinder is of no use, the learning rate is optimizer.init_args.lr"),
    (lambda c: c["trainer"].update(callbacks=["BatchSizeFinder"]),
     "BatchSizeFinder is of no use, data.batch_size is fixed before it looks"),
    (lambda c: c["trainer"].update(callbacks=["BackboneFinetuning"]),
     "BackboneFinetuning of the configuration fails ('EncoderDecoderLSTM' object has no attribute "
     "'backbone'); correct it, or leave it out"),
    (lambda c: c["trainer"].update(callbacks=["BaseFinetuning"]),
     "BaseFinetuning of the configuration fails (NotImplementedError())"),
    (lambda c: (c.update(lr_scheduler={"class_path": "OneCycle"}),
                c["trainer"].update(max_epochs=None, max_time="00:00:01:00")),
     "OneCycle: its length is the number of optimizer steps of the fit, which a limit of time"),
    (lambda c: c.update(lr_scheduler={"class_path": "OneCycl"}), "did you mean 'OneCycle'?"),
    (lambda c: c.update(lr_scheduler={"class_path": "OneCycle", "init_args": {"warmup": 30}}),
     "lr_scheduler.warmup must be at least 0 and below 1, found 30"),
    (lambda c: (c.update(lr_scheduler={"class_path": "ReduceLROnPlateau"}),
                c["trainer"].update(val_check_interval="00:00:05:00")),
     "ReduceLROnPlateau monitors 'validation/loss', which with a time as"),
    (lambda c: c["trainer"].update(val_check_interval="5min"), "Expected 'DD:HH:MM:SS'"),
    (lambda c: (data(c).update(val_df_paths=None),
                c["trainer"].update(val_check_interval="00:00:05:00")),
     "trainer.val_check_interval is a time, but this fit has nothing to validate on"),
    (lambda c: c.update(ema=1.0), "ema must be above 0 and below 1, found 1.0"),
    (lambda c: c.update(ema="0.99."), "ema in tiny.yml: expected float; found '0.99.'"),
    (lambda c: (c.update(ema=0.9), c["trainer"].update(callbacks=["EMAWeightAveraging"])),
     "trainer.callbacks: EMAWeightAveraging and ema both average; leave one out"),
    (lambda c: c["trainer"].update(accelerator="tpu"), "Requirement 'torch_xla"),
    (lambda c: c["trainer"].update(precision="transformer-engine"), "'transformer_engine"),
    (lambda c: c["trainer"].update(profiler="xla"), "trainer.profiler xla is for TPUs"),
    (lambda c: c["trainer"].update(strategy="ddp_spawn"), "trainer.strategy spawns processes"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), CONFIG_MISTAKES, ids=ids)
def test_config(
    experiment: Experiment,
    workdir: Path,
    fails: Fails,
    change: Callable[[Config], Any],
    message: str,
) -> None:
    experiment.write(workdir, change)
    assert message in fails("fit", "--config", "tiny.yml")


def spoil(name: str, row: int, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame[name] = frame[name].astype(object if isinstance(value, str) else float)
        frame.loc[row, name] = value
        return frame

    return change


FRAME_MISTAKES = [
    (lambda f: f.drop(columns="known"), "bad.csv: no column 'known'; known: past, t, target"),
    (lambda f: f.rename(columns={"known": "knwon"}),
     "bad.csv: no column 'known'; did you mean 'knwon'?"),
    (spoil("known", 5, "off"), "column 'known' must be numeric, found 'off' in row 5"),
    (spoil("known", 7, np.nan), "column 'known' has 1 missing (NaN) value, first in row 7"),
    (spoil("target", 3, np.nan), "column 'target' has 1 missing (NaN) value, first in row 3"),
    (spoil("past", 0, np.inf), "column 'past' has 1 infinite value, first in row 0"),
    (spoil("t", 9, 4.0), "time column 't' does not rise in row 9 (counted from 0): 4.0 after 4.0"),
    (spoil("t", 9, "soon"), "time column 't' holds"),
    (lambda f: f.iloc[:0], "no rows"),
    (lambda f: f.iloc[: CONTEXT + HORIZON - 1],
     f"series 'bad' is too short: 11 rows, expected at least {CONTEXT} of context"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), FRAME_MISTAKES, ids=ids)
def test_training_file(
    experiment: Experiment,
    workdir: Path,
    fails: Fails,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
) -> None:
    change(make_frame(30, 9)).to_csv(workdir / "bad.csv", index=False)
    experiment.write(workdir, lambda c: data(c).update(train_df_paths="bad.csv"))
    assert message in fails("fit", "--config", "tiny.yml")


def test_missing_files(experiment: Experiment, workdir: Path, fails: Fails) -> None:
    assert "--config none.yml: no such file" in fails("fit", "--config", "none.yml")
    experiment.write(workdir, lambda c: data(c).update(train_df_paths="none/*.parquet"))
    assert "train_df_paths: no file none/*.parquet" in fails("fit", "--config", "tiny.yml")
    experiment.write(workdir, lambda c: data(c).update(train_df_paths="$NO_SUCH_VARIABLE"))
    message = fails("fit", "--config", "tiny.yml")
    assert "an environment variable in '$NO_SUCH_VARIABLE' is not set" in message


def test_broken_yaml(workdir: Path, fails: Fails) -> None:
    Path("broken.yml").write_text("model: [1, 2\n")
    assert "--config broken.yml: not valid YAML" in fails("fit", "--config", "broken.yml")
    Path("list.yml").write_text("- a\n- b\n")
    assert "expected keys and values" in fails("fit", "--config", "list.yml")


def test_flags(experiment: Experiment, workdir: Path, fails: Fails) -> None:
    experiment.write(workdir)
    fit = ("fit", "--config", "tiny.yml")
    assert "did you mean 'max_epochs'?" in fails(*fit, "--trainer.max_epoch", "3")
    assert "in --trainer.max_epochs: expected int; found 'x'" in fails(
        *fit, "--trainer.max_epochs", "x"
    )
    assert "unknown key 'ckpt-path' in --ckpt-path; did you mean 'ckpt_path'?" in fails(
        *fit, "--ckpt-path", "last"
    )
    assert "--trainer.max_epochs wants a value" in fails(*fit, "--trainer.max_epochs")
    assert "unexpected argument 'stray'" in fails("fit", "stray")
    assert "no command 'fitt'; did you mean 'fit'?" in fails("fitt")
    assert "-n 'a/b': expected a plain name" in fails(*fit, "-n", "a/b")


def test_missing_checkpoint(experiment: Experiment, workdir: Path, fails: Fails) -> None:
    experiment.write(workdir)
    assert "none.ckpt: no such file" in fails("test", "--ckpt_path", "none.ckpt")
    assert "none.ckpt: no such file" in fails(
        "fit", "--config", "tiny.yml", "--ckpt_path", "none.ckpt"
    )
    assert "predict wants a checkpoint" in fails("predict")
    assert "no whole checkpoint under runs/tiny" in fails(
        "test", "--config", "tiny.yml", "--ckpt_path", "last"
    )
    assert "give -n NAME or --config FILE" in fails("test", "--ckpt_path", "last")


def test_not_a_checkpoint(workdir: Path, fails: Fails) -> None:
    Path("text.ckpt").write_text("hello")
    assert "text.ckpt: not a whole checkpoint" in fails("test", "--ckpt_path", "text.ckpt")
    torch.save({"state_dict": {}}, "other.ckpt")
    assert "not a checkpoint of transformertf" in fails("test", "--ckpt_path", "other.ckpt")


def test_checkpoint_of_another_model(experiment: Experiment, workdir: Path, fails: Fails) -> None:
    experiment.write(workdir, lambda c: c["model"]["init_args"].update(d_encoder=7))
    message = fails("fit", "--config", "tiny.yml", "--ckpt_path", experiment.checkpoint)
    assert "(24, 4) in the checkpoint and (28, 4) by the config" in message
    assert "(d_encoder: 6 there, 7 here)" in message

    content = torch.load(experiment.checkpoint, weights_only=True)
    content["hyper_parameters"]["_class_path"] = "transformertf.models.tft.OtherModel"
    torch.save(content, "other.ckpt")
    experiment.write(workdir)
    message = fails("fit", "--config", "tiny.yml", "--ckpt_path", "other.ckpt")
    assert "a checkpoint of OtherModel, but the config asks for EncoderDecoderLSTM" in message


def test_nothing_to_predict(experiment: Experiment, workdir: Path, fails: Fails) -> None:
    predict = ("predict", "--ckpt_path", experiment.checkpoint)
    assert "no data: give predict_df_paths" in fails(*predict)

    frame = make_frame(20, 5)
    frame["target"] = np.nan
    frame.to_parquet("blank.parquet")
    message = fails(*predict, "--data.predict_df_paths", "blank.parquet")
    assert "column 'target' has no value; a forecast needs past values" in message

    make_frame(CONTEXT, 5).to_parquet("ended.parquet")
    message = fails(
        *predict, "--data.predict_df_paths", "ended.parquet", "--origin", str(CONTEXT * 0.5 - 0.5)
    )
    assert "nothing to predict after row 7" in message

    make_frame(HORIZON, 5).to_parquet("short.parquet")
    message = fails(*predict, "--data.predict_df_paths", "short.parquet")
    assert "series 'short' is too short: 4 rows" in message


def test_predict_options(experiment: Experiment, workdir: Path, fails: Fails) -> None:
    make_frame(30, 5).to_parquet("run.parquet")
    predict = (
        "predict", "--ckpt_path", experiment.checkpoint, "--data.predict_df_paths", "run.parquet",
    )  # fmt: skip
    assert "expected a name that ends in .parquet" in fails(*predict, "--output", "f.xlsx")
    assert "the folder" in fails(*predict, "--output", "none/f.parquet")
    assert "origin every:N wants a whole number" in fails(*predict, "--origin", "every:0")
    assert "neither auto, last, all, every:N, daily@HH:MM, end nor a time stamp" in fails(
        *predict, "--origin", "yesterday"
    )


def test_known_covariates_must_reach_over_the_horizon(
    experiment: Experiment, workdir: Path, fails: Fails
) -> None:
    frame = make_frame(20, 5)
    frame.loc[15:, ["target", "known"]] = np.nan
    frame.to_parquet("run.parquet")
    message = fails(
        "predict", "--ckpt_path", experiment.checkpoint, "--data.predict_df_paths", "run.parquet"
    )
    assert "column 'known' has 5 missing (NaN) values, first in row 15, 16, 17" in message


def test_verbose_shows_the_traceback(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformertf.cli import main

    assert main(["fit", "--config", "none.yml", "-v"]) == 2
    assert "Traceback" in capsys.readouterr().err

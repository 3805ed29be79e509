"""Damaged and strange checkpoints: told in one line at every door, and nothing is left behind."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import transformertf
from tests.cli.conftest import Experiment, make_frame
from tests.robustness.commands import refused, run
from transformertf import Forecaster
from transformertf.checkpoint.checkpoint import Checkpoint
from transformertf.errors import InputError

Tried = Callable[[str], None]
Content = dict[str, Any]

PREDICT = ("predict", "--ckpt_path", "bad.ckpt", "--data.predict_df_paths", "run.parquet")
RESUME = ("fit", "--config", "tiny.yml", "--trainer.max_epochs", "3", "--ckpt_path", "bad.ckpt")
TRANSFER = ("fit", "--config", "tiny.yml", "--transfer-ckpt", "bad.ckpt")
EVERY = (PREDICT, RESUME, TRANSFER)


@pytest.fixture
def folder(workdir: Path, experiment: Experiment) -> Path:
    """The working directory, with a config and data."""
    experiment.write(workdir)
    make_frame(30, 5).to_parquet(workdir / "run.parquet")
    return workdir


@pytest.fixture
def content(experiment: Experiment) -> Content:
    loaded: Content = torch.load(experiment.checkpoint, weights_only=True)
    return loaded


def refused_in_python(message: str) -> None:
    with pytest.raises(InputError) as error:
        Forecaster.load("bad.ckpt", "cpu").predict("run.parquet")
    assert message in str(error.value)


def test_truncated_anywhere(folder: Path, experiment: Experiment, tried: Tried) -> None:
    whole = experiment.checkpoint.read_bytes()
    for share in range(20):
        Path("bad.ckpt").write_bytes(whole[: len(whole) * share // 20 + share % 2])
        with pytest.raises(InputError, match="not a whole checkpoint"):
            Checkpoint.read(Path("bad.ckpt"))
        tried("refused")
    for words in EVERY:
        assert "bad.ckpt: not a whole checkpoint" in refused(*words)
    refused_in_python("not a whole checkpoint")


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_does_not_pass(
    seed: int, tmp_path: Path, experiment: Experiment, content: Content, tried: Tried
) -> None:
    rng = random.Random(seed)
    spoilt = bytearray(experiment.checkpoint.read_bytes())
    spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    path = tmp_path / "bad.ckpt"
    path.write_bytes(spoilt)
    try:
        found = Checkpoint.read(path).content
    except InputError:
        tried("refused")
        return
    # it was in bytes that hold nothing, such as padding
    for name, weight in content["state_dict"].items():
        assert torch.equal(weight, found["state_dict"][name])
    for key in ("hyper_parameters", "datamodule_hyper_parameters", "EncoderDecoderDataModule"):
        assert found[key] == content[key]
    tried("works")


def test_a_flipped_bit_of_a_weight_is_found(folder: Path, content: Content, tried: Tried) -> None:
    content["state_dict"]["model.marked"] = torch.full((64,), 1.2345)
    torch.save(content, "bad.ckpt")
    mark, written = torch.full((64,), 1.2345).numpy().tobytes(), Path("bad.ckpt").read_bytes()
    place = written.index(mark)
    Path("bad.ckpt").write_bytes(
        written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :]
    )
    assert torch.load("bad.ckpt", weights_only=True)  # torch itself does not see it
    for words in EVERY:
        assert "has changed since it was written" in refused(*words)
        tried("refused")
    refused_in_python("has changed since it was written")


FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "not a whole checkpoint"),
    "text": (lambda path: path.write_text("hello"), "not a whole checkpoint"),
    "folder": (lambda path: path.mkdir(), "not a file"),
    "missing": (lambda path: None, "no such file"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "no such file"),
    "array": (lambda path: torch.save(torch.zeros(3), path), "not a checkpoint of transformertf"),
    "Lightning": (
        lambda path: torch.save(
            {"state_dict": {}, "hyper_parameters": {}, "pytorch-lightning_version": "2.6"}, path
        ),
        "not a checkpoint of transformertf",
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_that_are_no_checkpoint(kind: str, folder: Path, tried: Tried) -> None:
    write, message = FILES[kind]
    write(Path("bad.ckpt"))
    for words in EVERY:
        assert f"bad.ckpt: {message}" in refused(*words)
        tried("refused")
    refused_in_python(message)
    tried("refused")


def test_no_permission(
    folder: Path, experiment: Experiment, monkeypatch: pytest.MonkeyPatch, tried: Tried
) -> None:
    Path("bad.ckpt").write_bytes(experiment.checkpoint.read_bytes())

    def refuse(path: Path, *args: object) -> None:
        # root may read everything, so that the file's mode would not do
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        with pytest.raises(InputError, match=r"bad\.ckpt: cannot be read \(Permission denied\)"):
            Checkpoint.read(Path("bad.ckpt"))
    tried("refused")
    with pytest.raises(InputError, match="cannot be read"):
        Checkpoint.read(Path("x" * 300))
    tried("refused")


def put(value: object, *keys: Any) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        node: Any = content
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value

    return change


def leave_out(*keys: str) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        node: Any = content
        for key in keys[:-1]:
            node = node[key]
        del node[keys[-1]]

    return change


def nest(depth: int) -> object:
    node: object = 1
    for _ in range(depth):
        node = [node]
    return node


DATA = "EncoderDecoderDataModule"
WEIGHT = "model.encoder.weight_ih_l0"
# what is wrong at every door
CONTENTS: dict[str, tuple[Callable[[Content], None], str]] = {
    "no weights": (leave_out("state_dict"), "not a checkpoint of transformertf"),
    "no model": (leave_out("hyper_parameters"), "not a checkpoint of transformertf"),
    "no data": (leave_out("datamodule_hyper_parameters"), "not a checkpoint of transformertf"),
    "weights a list": (put([], "state_dict"), "state_dict in it: expected names and values"),
    "a text as weight": (
        put("x", "state_dict", WEIGHT), "expected a dense tensor of numbers, found str"
    ),
    "sparse weights": (
        put(torch.zeros(24, 4).to_sparse(), "state_dict", WEIGHT), "found Tensor of torch.float32"
    ),
    "weights without numbers": (
        put(torch.zeros(24, 4, device="meta"), "state_dict", WEIGHT), "expected a dense tensor"
    ),
    "complex weights": (
        put(torch.zeros(24, 4, dtype=torch.complex64), "state_dict", WEIGHT),
        "expected a dense tensor of numbers, found Tensor of torch.complex64",
    ),
    "whole weights": (
        put(torch.zeros(24, 4, dtype=torch.int64), "state_dict", WEIGHT),
        f"{WEIGHT} is of torch.int64 in the checkpoint and of torch.float32 in the model",
    ),
    "one number for all": (
        put(torch.zeros(1).expand(10**12), "state_dict", WEIGHT), "expected a dense tensor"
    ),
    "a number as name": (put(torch.zeros(1), "state_dict", 3), "expected names and values"),
    "model None": (put(None, "hyper_parameters"), "hyper_parameters in it: expected names"),
    "model a list": (put([1], "hyper_parameters"), "hyper_parameters in it: expected names"),
    "no class": (leave_out("hyper_parameters", "_class_path"), "expected a class path"),
    "class a number": (
        put(3, "datamodule_hyper_parameters", "_class_path"), "expected a class path, found int"
    ),
    "argument a tensor": (
        put(torch.zeros(2), "hyper_parameters", "d_encoder"), "hyper_parameters.d_encoder in it"
    ),
    "a number as key": (
        put({3: 4}, "hyper_parameters", "d_encoder"), "expected names as keys, found int"
    ),
    "too deep": (put(nest(400), "hyper_parameters", "d_encoder"), "nests deeper than 32 levels"),
    "no state of the data": (leave_out(DATA), f"{DATA} in it: expected names and values"),
    "state of the data a list": (put([], DATA), f"{DATA} in it: expected names and values"),
    "calibration a number": (put(3, "calibration"), "calibration in it: expected names"),
    "newer": (put(2, "transformertf_format"), "reads format 1; update transformertf"),
    "unknown": (put("1", "transformertf_format"), "of format '1', written by transformertf"),
    "true": (put(True, "transformertf_format"), "of format True"),
    "no format": (leave_out("transformertf_format"), "names no transformertf_format"),
    "NaN": (
        put(torch.full((24, 4), torch.nan), "state_dict", WEIGHT),
        f"the weights {WEIGHT} hold NaN or infinite numbers",
    ),
    "infinite": (
        put(torch.full((24, 4), torch.inf), "state_dict", WEIGHT),
        f"the weights {WEIGHT} hold NaN or infinite numbers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CONTENTS)
def test_content(kind: str, folder: Path, content: Content, tried: Tried) -> None:
    change, message = CONTENTS[kind]
    change(content)
    torch.save(content, "bad.ckpt")
    for words in EVERY if kind == "NaN" else (PREDICT, RESUME):
        assert message in refused(*words), words
        tried("refused")
    refused_in_python(message)
    tried("refused")


# what forecasts and resuming need, and weights alone do not
USES: dict[str, tuple[Callable[[Content], None], str]] = {
    "another class": (
        put("transformertf.models.gru.GRU", "hyper_parameters", "_class_path"), ""
    ),
    "no such class": (put("transformertf.Nothing", "hyper_parameters", "_class_path"), "Nothing"),
    "data for a model": (
        put("transformertf.data.datamodule.EncoderDecoderDataModule",
            "hyper_parameters", "_class_path"), "",
    ),
    "shape": (put(torch.zeros(24, 5), "state_dict", WEIGHT), WEIGHT),
    "a weight more": (put(torch.zeros(2), "state_dict", "model.more"), "model.more"),
    "a weight less": (leave_out("state_dict", WEIGHT), WEIGHT),
    "no scaling": (leave_out(DATA, "scaling"), "scaling"),
    "scaling of another version": (put({"mean": 1.0}, DATA, "scaling"), "what it holds"),
    "names a number": (put(3, DATA, "short_series"), "what it holds"),
    "no state within": (put({}, DATA), "what it holds"),
}  # fmt: skip
# of these, what is wrong with forecasts alone: a fit takes them from its config
ARGUMENTS: dict[str, tuple[Callable[[Content], None], str]] = {
    "negative": (put(-1, "hyper_parameters", "d_encoder"), "d_encoder"),
    "huge": (put(10**30, "hyper_parameters", "d_encoder"), ""),
    "text": (put("six", "hyper_parameters", "d_encoder"), "d_encoder"),
    "unknown": (put(1, "hyper_parameters", "d_unknown"), "d_unknown"),
    "criterion": (put({"class_path": "torch.nn.Nothing"}, "hyper_parameters", "criterion"), "Noth"),
    "huge context": (put(10**30, "datamodule_hyper_parameters", "ctxt_seq_len"), ""),
    "no context": (put(0, "datamodule_hyper_parameters", "ctxt_seq_len"), "ctxt_seq_len"),
    "no target": (leave_out("datamodule_hyper_parameters", "target_covariate"), "target_covariate"),
    "calibration": (put({"levels": 3}, "calibration"), "what it holds"),
}


@pytest.mark.parametrize("kind", [*USES, *ARGUMENTS])
def test_content_that_is_used(kind: str, folder: Path, content: Content, tried: Tried) -> None:
    change, message = (USES | ARGUMENTS)[kind]
    change(content)
    torch.save(content, "bad.ckpt")
    for words in (PREDICT, RESUME) if kind in USES else (PREDICT,):
        assert message in refused(*words), words
        tried("refused")
    refused_in_python(message)
    tried("refused")


TRAINING: dict[str, Callable[[Content], None]] = {
    "no loops": leave_out("loops"),
    "loops a list": put([], "loops"),
    "no progress": leave_out("loops", "fit_loop", "epoch_progress"),
    "another loop": put({}, "loops", "fit_loop", "epoch_loop.batch_progress"),
    "no optimizer": put([], "optimizer_states"),
    "optimizer of other weights": put([{"state": {}, "param_groups": []}], "optimizer_states"),
    "optimizer a text": put("x", "optimizer_states"),
    "no steps": leave_out("global_step"),
    "steps None": put(None, "global_step"),
    "epoch None": put(None, "epoch"),
    "callbacks a number": put(3, "callbacks"),
    "no Lightning": leave_out("pytorch-lightning_version"),
    "Lightning of never": put("never", "pytorch-lightning_version"),
}


@pytest.mark.parametrize("kind", TRAINING)
def test_state_of_the_training(kind: str, folder: Path, content: Content, tried: Tried) -> None:
    TRAINING[kind](content)
    torch.save(content, "bad.ckpt")
    before = sorted(folder.rglob("*"))
    code, errors = run(*RESUME)
    if code == 0:  # Lightning does without some of it
        tried("works")
        return
    assert code == 2, errors[-3000:]
    assert "bad.ckpt" in errors
    assert "Traceback" not in errors
    assert sorted(folder.rglob("*")) == before
    tried("refused")


def test_whole_checkpoints_are_of_this_format(experiment: Experiment, tried: Tried) -> None:
    checkpoint = Checkpoint.read(experiment.checkpoint)
    assert checkpoint.content["transformertf_format"] == 1
    assert checkpoint.content["transformertf_version"] == transformertf.__version__
    tried("works")


def test_damaged_last_checkpoint_is_said(
    folder: Path, experiment: Experiment, caplog: pytest.LogCaptureFixture
) -> None:
    last = Path("runs/tiny/version_0/checkpoints/last.ckpt")
    last.parent.mkdir(parents=True)
    last.write_bytes(experiment.checkpoint.read_bytes()[:-7])
    fit = ("fit", "--config", "tiny.yml", "--trainer.max_steps", "1")
    code, errors = run(*fit, "--ckpt_path", "last")
    assert code == 0
    assert "last.ckpt: not a whole checkpoint" in caplog.text
    assert "starting anew" in errors

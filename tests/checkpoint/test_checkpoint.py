"""Checkpoints are read as data: nothing in them runs."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from transformertf.checkpoint.checkpoint import Checkpoint
from transformertf.checkpoint.content import check_content
from transformertf.errors import InputError

OWN = {"_instantiator": "lightning.pytorch.cli.instantiate_module"}
CONTENT: dict[str, Any] = {
    "state_dict": {"weight": torch.zeros(2, 3)},
    "hyper_parameters": {"_class_path": "a.Linear", **OWN, "width": 3},
    "datamodule_hyper_parameters": {"_class_path": "b.Data", **OWN, "stride": 1},
    "Data": {"seed": 5},
    "transformertf_format": 1,
}


class Payload:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def test_code_in_a_checkpoint_is_refused_and_never_runs(tmp_path: Path) -> None:
    trace, path = tmp_path / "trace", tmp_path / "bad.ckpt"
    torch.save({**CONTENT, "extra": Payload(trace)}, path)
    with pytest.raises(InputError, match=r"would run code \(posix\.mkdir\)"):
        Checkpoint.read(path)
    assert not trace.exists()


@pytest.mark.parametrize("key", ["hyper_parameters", "datamodule_hyper_parameters"])
@pytest.mark.parametrize(
    "function", ["stranger.run", "pytorch_lightning.cli.instantiate_module", 3]
)
def test_no_other_function_makes_the_modules(tmp_path: Path, key: str, function: object) -> None:
    """Whatever Lightning is installed: before 2.6.6 it calls what stands there."""
    path = tmp_path / "bad.ckpt"
    torch.save({**CONTENT, key: {**CONTENT[key], "_instantiator": function}}, path)
    with pytest.raises(InputError, match=rf"{key}\._instantiator in it: expected lightning\.pytor"):
        Checkpoint.read(path)


@pytest.mark.parametrize("key", ["hparams", "module_arguments"])
def test_no_arguments_where_lightning_once_kept_them(tmp_path: Path, key: str) -> None:
    path = tmp_path / "bad.ckpt"
    torch.save({**CONTENT, key: {"_instantiator": "stranger.run"}}, path)
    with pytest.raises(InputError, match=f"{key} in it: expected nothing"):
        Checkpoint.read(path)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"best_model_path": "s3://mine/x"}, r"Kept\.best_model_path in .*address 's3://mine"),
        ({"best_k_models": {"s3://mine/x": 1.0}}, r"Kept\.best_k_models in .*address 's3://mine"),
        ({"class_path": "a.WandbLogger", "last": "s3://mine/x"}, "found the address 's3://mine"),
        ({"best_k_models": {"runs/x/kept/../../../y": 1.0}}, "leads out of its folder"),
    ],
)
def test_no_file_of_a_callback_lies_elsewhere(
    state: dict[str, Any], told: str, tmp_path: Path
) -> None:
    """Lightning takes away what a callback has kept, wherever that is said to be."""
    path = tmp_path / "bad.ckpt"
    torch.save({**CONTENT, "callbacks": {"Kept": state}}, path)
    with pytest.raises(InputError, match=told):
        Checkpoint.read(path)


def test_a_folder_may_have_colons_in_its_name() -> None:
    kept = {"Best": {"best_model_path": "/home/me/run::1/runs/x/version_0/checkpoints/a.ckpt"}}
    check_content({**CONTENT, "callbacks": kept}, "x")


def test_no_text_is_yaml_that_multiplies() -> None:
    described = {**CONTENT["hyper_parameters"], "size": ["a: &a [1, 1, 1, 1]\nb: &b [*a, *a, *a]"]}
    with pytest.raises(
        InputError, match=r"size\.0 in it: expected text that is no YAML with alias"
    ):
        check_content({**CONTENT, "hyper_parameters": described}, "x")


def test_callbacks_that_nest_without_end() -> None:
    deep: list[Any] = []
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(InputError, match="callbacks in it nest without end"):
        check_content({**CONTENT, "callbacks": deep}, "x")


@pytest.mark.parametrize("cut", [1, 100, 500])
def test_truncated(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.ckpt"
    torch.save(CONTENT, path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(InputError, match=r"cut\.ckpt: not a whole checkpoint"):
        Checkpoint.read(path)


def test_model_and_data_as_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "good.ckpt"
    torch.save(CONTENT, path)
    checkpoint = Checkpoint.read(path)
    assert checkpoint.model == {"class_path": "a.Linear", "init_args": {"width": 3}}
    assert checkpoint.data == {"class_path": "b.Data", "init_args": {"stride": 1}}
    assert checkpoint.data_state == {"seed": 5}


class Linear(torch.nn.Module):
    def __init__(self, width: int, more: bool = False) -> None:
        super().__init__()
        self.hparams = {"width": width}
        self.weight = torch.nn.Parameter(torch.zeros(2, width))
        if more:
            self.bias = torch.nn.Parameter(torch.zeros(2))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (torch.nn.Identity(), "a checkpoint of Linear, but the config asks for Identity"),
        (
            Linear(4),
            r"weight has shape \(2, 3\) in the checkpoint and \(2, 4\) by the config "
            r"\(width: 3 there, 4 here\)",
        ),
        (Linear(3, more=True), r"bias has shape none in the checkpoint and \(2,\) by the config"),
    ],
)
def test_other_models_are_refused(model: torch.nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Checkpoint(Path("x.ckpt"), CONTENT).refuse_other(model)


def test_matching_model_is_accepted() -> None:
    Checkpoint(Path("x.ckpt"), CONTENT).refuse_other(Linear(3))

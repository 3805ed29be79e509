"""Nothing runs that a checkpoint brings along, and no module that a configuration only names."""

import os
import pickle
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonargparse._common
import pytest
import torch
import yaml

from tests.cli.conftest import Experiment, make_frame
from tests.robustness.commands import refused, run
from transformertf import Forecaster
from transformertf.cli import main
from transformertf.errors import InputError

Tried = Callable[[str], None]
Content = dict[str, Any]


class Payload:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def hide(*keys: str) -> Callable[[Content, Payload, Path], None]:
    def write(content: Content, payload: Payload, path: Path) -> None:
        node = content
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = payload
        torch.save(content, path)

    return write


def write_pickle(content: Content, payload: Payload, path: Path) -> None:
    path.write_bytes(pickle.dumps({**content, "more": payload}))


def write_early_pickle(content: Content, payload: Payload, path: Path) -> None:
    path.write_bytes(pickle.dumps({"more": payload}, protocol=0))


def write_legacy(content: Content, payload: Payload, path: Path) -> None:
    torch.save({**content, "more": payload}, path, _use_new_zipfile_serialization=False)


def write_script(content: Content, payload: Payload, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl"):
            archive.writestr(f"archive/{name}", pickle.dumps(payload))
        archive.writestr("archive/version", "3\n")


def write_packed(content: Content, payload: Payload, path: Path) -> None:
    torch.save({**content, "more": payload}, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)


KINDS = {
    "weights": (hide("state_dict", "model.extra"), "would run code (posix.mkdir)"),
    "hyper_parameters": (hide("hyper_parameters", "d_encoder"), "would run code (posix.mkdir)"),
    "data": (hide("EncoderDecoderDataModule", "scaling"), "would run code (posix.mkdir)"),
    "callbacks": (hide("callbacks", "LossCurve"), "would run code (posix.mkdir)"),
    "pickle": (write_pickle, "a pickle, which holds objects that can run code"),
    "early pickle": (write_early_pickle, "not a whole checkpoint"),
    "legacy": (write_legacy, "a pickle, which holds objects that can run code"),
    "TorchScript": (write_script, "a TorchScript archive, which holds code"),
    "packed": (write_packed, "a compressed archive"),
}
DOORS = {
    "fit": ("fit", "--config", "tiny.yml", "--ckpt_path", "bad.ckpt"),
    "transfer": ("fit", "--config", "tiny.yml", "--transfer-ckpt", "bad.ckpt"),
    "validate": ("validate", "--ckpt_path", "bad.ckpt"),
    "test": ("test", "--ckpt_path", "bad.ckpt"),
    "predict": ("predict", "--ckpt_path", "bad.ckpt", "--data.predict_df_paths", "run.parquet"),
    "evaluate": ("evaluate", "--ckpt_path", "bad.ckpt"),
    "calibrate": ("calibrate", "--ckpt_path", "bad.ckpt"),
}


@pytest.fixture(scope="module")
def content(experiment: Experiment) -> Content:
    loaded: Content = torch.load(experiment.checkpoint, weights_only=True)
    return loaded


def copy(node: Any) -> Any:
    """Return mappings copied, and all else as it is."""
    return {key: copy(item) for key, item in node.items()} if isinstance(node, dict) else node


@pytest.fixture
def trace(workdir: Path, experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that only a payload makes; the working directory has a config and data."""
    experiment.write(workdir)
    make_frame(30, 5).to_parquet(workdir / "run.parquet")
    return tmp_path_factory.mktemp("trace") / "made"


@pytest.mark.parametrize("kind", KINDS)
def test_code_is_refused_at_every_door(
    kind: str, content: Content, trace: Path, tried: Tried
) -> None:
    write, message = KINDS[kind]
    write(copy(content), Payload(trace), Path("bad.ckpt"))
    for words in DOORS.values():
        assert message in refused(*words), words
        tried("refused")
    with pytest.raises(InputError, match=r"^checkpoint bad\.ckpt: ") as error:
        Forecaster.load("bad.ckpt")
    assert message in str(error.value)
    tried("refused")

    last = Path("runs/tiny/version_0/checkpoints/last.ckpt")
    last.parent.mkdir(parents=True)
    Path("bad.ckpt").rename(last)
    assert "no whole checkpoint" in refused("test", "-n", "tiny", "--ckpt_path", "last")
    tried("refused")
    assert not trace.exists()


def test_the_payloads_do_run_where_pickles_are_trusted(content: Content, trace: Path) -> None:
    # else the test above could not fail
    KINDS["weights"][0](copy(content), Payload(trace), Path("bad.ckpt"))
    torch.load("bad.ckpt", weights_only=False)
    assert trace.exists()


def test_trust_set_in_the_environment_changes_nothing(
    content: Content, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    KINDS["weights"][0](copy(content), Payload(trace), Path("bad.ckpt"))
    assert "would run code" in refused(*DOORS["predict"])
    assert not trace.exists()


@pytest.fixture
def foreign(trace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module `foreign_models` that leaves a trace when it is imported."""
    folder = trace.parent
    (folder / "foreign_models.py").write_text(
        "import os\n"
        f"os.mkdir({str(trace)!r})\n"
        "from transformertf.models import EncoderDecoderLSTM\n"
        "from transformertf.nn import MSELoss\n"
        "class Net(EncoderDecoderLSTM):\n    'A model.'\n"
        "class Loss(MSELoss):\n    'A loss.'\n"
        "def scale(epoch): return 1.0\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    yield trace
    sys.modules.pop("foreign_models", None)


FLAGS = [
    ("--model.class_path", "foreign_models.Net"),
    ("--model", "foreign_models.Net"),
    ("--data.class_path", "foreign_models.Net"),
    ("--model.criterion", "foreign_models.Loss"),
    ("--model.criterion", "{class_path: foreign_models.Loss}"),
    ("--model.optimizer", "foreign_models.Net"),
    ("--optimizer", "foreign_models.Net"),
    ("--lr_scheduler.class_path", "foreign_models.Net"),
    ("--lr_scheduler", "{class_path: LambdaLR, init_args: {lr_lambda: foreign_models.scale}}"),
    ("--trainer.callbacks", "foreign_models.Net"),
    ("--trainer.callbacks", "[foreign_models.Net]"),
    ("--trainer.callbacks", "[{class_path: foreign_models.Net}]"),
    (
        "--trainer.callbacks",
        "{class_path: LambdaCallback, init_args: {on_fit_start: foreign_models.scale}}",
    ),
    ("--trainer.logger", "foreign_models.Net"),
    ("--trainer.logger", "[{class_path: foreign_models.Net}]"),
    ("--trainer.strategy", "foreign_models.Net"),
    ("--trainer.strategy", "{class_path: foreign_models.Net}"),
    ("--trainer.plugins", "[foreign_models.Net]"),
    ("--trainer.plugins", "{class_path: foreign_models.Net}"),
    ("--trainer.profiler", "{class_path: foreign_models.Net}"),
    ("--data.extra_transforms", "{known: {class_path: foreign_models.Net}}"),
    ("--data.extra_transforms", "{known: foreign_models.Net}"),
    ("--data.extra_transforms", "{known: [{foreign_models.Net: {}}]}"),
    ("--model.logging_metrics", "[foreign_models.Net]"),
    ("--trainer.accelerator", "foreign_models.Net"),
    ("--model.mlp_activation", "foreign_models.Net"),
    # put together only when it is resolved
    ("--trainer.callbacks", "{class_path: '${oc.env:FOREIGN}.Net'}"),
]


@pytest.mark.parametrize(("flag", "value"), FLAGS)
def test_other_packages_are_not_imported(
    flag: str, value: str, foreign: Path, tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREIGN", "foreign_models")
    message = refused("fit", "--config", "tiny.yml", flag, value)
    tried("refused")
    assert not foreign.exists(), message
    assert "foreign_models" in message
    if flag.split(".")[-1] in ("class_path", "criterion", "callbacks", "logger", "strategy"):
        assert "of the package foreign_models" in message
        assert "--allow foreign_models" in message
        assert flag.strip("-").split(".")[0] in message


NO_CLASSES = [
    # functions, and what a module of an allowed package has only imported
    ("--model.criterion", "torch.hub.load"),
    ("--model.criterion", "torch.load"),
    ("--model.criterion", "torch.hub.Path"),
    ("--trainer.logger", "{class_path: torch.hub.load, init_args: {repo_or_dir: x, model: y}}"),
    ("--trainer.callbacks", "[{class_path: torch.load, init_args: {f: bad.ckpt}}]"),
    ("--model.optimizer", "torch.hub.load"),
    ("--model.criterion", "transformertf.__main__.main"),
    ("--model.criterion", "lightning.__main__"),
    ("--model.criterion", "."),
    ("--model.criterion", "torch..nn"),
    ("--model.criterion", ".torch.nn.MSELoss"),
    ("--model.criterion", "torch.nn.Linear"),
    ("--model.criterion", "torch.nn.\0"),
    ("--allow", "os.path"),
    ("--allow", "jsonargparse"),
    ("--allow", "*"),
]


@pytest.mark.parametrize(("flag", "value"), NO_CLASSES)
def test_only_classes_are_made(flag: str, value: str, trace: Path, tried: Tried) -> None:
    refused("fit", "--config", "tiny.yml", flag, value)
    tried("refused")


@pytest.fixture
def launcher(trace: Path) -> dict[str, Any]:
    """A class of torch whose objects start a program when they are called as functions."""
    program = Path("program").absolute()
    program.write_text(f"#!/bin/sh\nmkdir '{trace}'\n")
    program.chmod(0o755)
    nodes = {"min_nodes": 1, "max_nodes": 1, "nproc_per_node": 1, "max_restarts": 0, "run_id": "x"}
    meeting = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}
    return {
        "class_path": "torch.distributed.launcher.api.elastic_launch",
        "init_args": {"config": {**nodes, **meeting}, "entrypoint": str(program)},
    }


LAUNCHING = {
    "criterion": ("--model.criterion", "torchmetrics.audio.PermutationInvariantTraining",
                  "metric_func"),
    "scheduler": ("--lr_scheduler", "LambdaLR", "lr_lambda"),
    "callback": ("--trainer.callbacks", "LambdaCallback", "on_fit_start"),
}  # fmt: skip


@pytest.mark.parametrize("place", LAUNCHING)
def test_no_program_is_started_from_a_configuration(
    place: str, launcher: dict[str, Any], trace: Path, tried: Tried
) -> None:
    flag, path, argument = LAUNCHING[place]
    value = {"class_path": path, "init_args": {argument: launcher}}
    words = yaml.safe_dump([value] if place == "callback" else value, default_flow_style=True)
    message = refused("fit", "--config", "tiny.yml", flag, words)
    tried("refused")
    assert not trace.exists()
    assert "torch.distributed.launcher.api.elastic_launch" in message
    assert "--allow torch" in message


@pytest.mark.parametrize("door", [door for door in DOORS if door not in ("fit", "transfer")])
def test_no_program_is_started_from_a_checkpoint(
    door: str, launcher: dict[str, Any], trace: Path, tried: Tried, content: Content
) -> None:
    _, path, argument = LAUNCHING["criterion"]
    changed = copy(content)
    changed["hyper_parameters"]["criterion"] = {
        "class_path": path,
        "init_args": {argument: launcher},
    }
    torch.save(changed, "bad.ckpt")
    refused(*DOORS[door])
    tried("refused")
    with pytest.raises(InputError, match=r"elastic_launch' is not in torch\.nn, torch\.optim"):
        Forecaster.load("bad.ckpt")
    assert not trace.exists()


def test_what_is_allowed_works_and_must_be_allowed_again(
    foreign: Path, tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dict(jsonargparse._common.parsing_settings)
    fit = ("fit", "--config", "tiny.yml", "--trainer.max_steps", "1")
    own = ("--model.class_path", "foreign_models.Net", "--allow", "foreign_models")
    loss = ("--model.criterion", "foreign_models.Loss")
    code, errors = run(*fit, *own, *loss)
    assert code == 0, errors
    assert foreign.exists()
    tried("works")

    sys.modules.pop("foreign_models")
    foreign.rmdir()
    path = "runs/tiny/version_0/checkpoints/last.ckpt"
    predict = ("predict", "--ckpt_path", path, "--data.predict_df_paths", "run.parquet")
    assert f"model.class_path in {path}: 'foreign_models.Net' is of" in refused(*predict)
    with pytest.raises(InputError, match=r"'foreign_models\.Net' is of the package"):
        Forecaster.load(path)
    # the one nested in it is looked at as well
    content = torch.load(path, weights_only=True)
    name = "transformertf.models.encoder_decoder_lstm.EncoderDecoderLSTM"
    content["hyper_parameters"]["_class_path"] = name
    torch.save(content, "nested.ckpt")
    with pytest.raises(InputError, match=r"criterion\.class_path in checkpoint nested\.ckpt"):
        Forecaster.load("nested.ckpt")
    assert not foreign.exists()
    tried("refused")

    assert main([*predict, "--allow", "foreign_models"]) == 0
    assert foreign.exists()
    forecaster = Forecaster.load(path, "cpu", allow=["foreign_models"])
    assert len(forecaster.predict("run.parquet")) > 0
    # nothing is left of it for others in this process
    assert jsonargparse._common.parsing_settings == settings
    tried("works")


def test_a_module_that_fails_is_told(foreign: Path) -> None:
    foreign.mkdir()  # so that its own mkdir fails
    own = ("--model.class_path", "foreign_models.Net", "--allow", "foreign_models")
    message = refused("fit", "--config", "tiny.yml", *own)
    assert "importing 'foreign_models' fails (FileExistsError" in message

"""Checkpoints as files: read without running code, and told apart from what is not one."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from transformertf.errors import InputError

TRAINING = ("optimizer", "lr_scheduler")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that holds a whole forecaster.

    Attributes:
        path: its file.
        content: what Lightning stored, tensors and primitives.
    """

    path: Path
    content: dict[str, Any]

    @classmethod
    def read(cls, path: Path, flag: str = "--ckpt_path") -> "Checkpoint":
        """Read a checkpoint onto the CPU, tensors and primitives only.

        Args:
            path: its file.
            flag: the flag that named it, for messages.

        Raises:
            InputError: no such file, not a whole checkpoint, or not one of this package.
        """
        if not path.is_file():
            raise InputError(f"{flag} {path}: no such file")
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # bytes that are no checkpoint can fail in any way
            raise InputError(
                f"{flag} {path}: not a whole checkpoint of tensors and primitives "
                f"({type(error).__name__})"
            ) from error
        wanted = ("state_dict", "hyper_parameters", "datamodule_hyper_parameters")
        if not isinstance(content, dict) or any(key not in content for key in wanted):
            raise InputError(
                f"{flag} {path}: not a checkpoint of transformertf (it names no model and "
                "data module); give one that `transformertf fit` wrote"
            )
        return cls(path, content)

    @property
    def model(self) -> dict[str, Any]:
        """The model as `class_path` and `init_args`, without what only training needs."""
        model = _as_class_path(self.content["hyper_parameters"])
        for name in TRAINING:
            model["init_args"].pop(name, None)
        return model

    @property
    def training(self) -> dict[str, Any]:
        """Optimizer and scheduler as `class_path` and `init_args`, where YAML gave them."""
        arguments = self.content["hyper_parameters"]
        return {name: arguments[name] for name in TRAINING if name in arguments}

    @property
    def data(self) -> dict[str, Any]:
        """The data module as `class_path` and `init_args`."""
        return _as_class_path(self.content["datamodule_hyper_parameters"])

    @property
    def epochs(self) -> int:
        """Number of whole epochs trained."""
        return int(self.content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])

    @property
    def steps(self) -> int:
        """Number of optimizer steps taken."""
        return int(self.content["global_step"])

    @property
    def data_state(self) -> dict[str, Any]:
        """The fitted state of the data module."""
        name = self.data["class_path"].rpartition(".")[2]
        state: dict[str, Any] = self.content[name]
        return state

    @property
    def calibration(self) -> dict[str, Any] | None:
        """The state of the calibration, where there is one."""
        return self.content.get("calibration")

    def write(self, path: Path, calibration: dict[str, Any] | None) -> None:
        """Write the checkpoint with a calibration; a file there is replaced by a whole one only.

        Args:
            path: the file.
            calibration: its state, tensors and primitives; None for none.

        Raises:
            InputError: the file cannot be written there.
        """
        check_place(path, "path")
        content = {key: value for key, value in self.content.items() if key != "calibration"}
        if calibration is not None:
            content["calibration"] = calibration
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            torch.save(content, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def refuse_other(self, model: torch.nn.Module) -> None:
        """Refuse to load into a model of another class or another shape.

        Raises:
            InputError: names both, and the first parameter that does not fit.
        """
        own = self.model["class_path"].rpartition(".")[2]
        if own != type(model).__name__:
            raise InputError(
                f"--ckpt_path {self.path}: a checkpoint of {own}, but the config asks for "
                f"{type(model).__name__}; give the matching config or checkpoint"
            )
        stored = {name: tuple(t.shape) for name, t in self.content["state_dict"].items()}
        wanted = {name: tuple(t.shape) for name, t in model.state_dict().items()}
        for name in (*wanted, *stored):
            if stored.get(name) != wanted.get(name):
                raise InputError(
                    f"--ckpt_path {self.path}: {name} has shape {stored.get(name, 'none')} in "
                    f"the checkpoint and {wanted.get(name, 'none')} by the config"
                    f"{self._differences(model)}; give the matching config or checkpoint"
                )

    def _differences(self, model: torch.nn.Module) -> str:
        stored, own = self.model["init_args"], dict(getattr(model, "hparams", {}))
        names = [name for name in stored if name in own and own[name] != stored[name]]
        return "".join(f" ({name}: {stored[name]} there, {own[name]} here)" for name in names[:3])


def check_place(path: Path, flag: str) -> None:
    """Refuse a file that cannot be written.

    Raises:
        InputError: its folder is not there, or nobody may write to it.
    """
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir():
        raise InputError(f"{flag} {path}: expected a file in a folder that exists")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{flag} {path}: the folder {folder} cannot be written to; give another")


def _as_class_path(hyper_parameters: dict[str, Any]) -> dict[str, Any]:
    arguments = {
        name: value for name, value in hyper_parameters.items() if not name.startswith("_")
    }
    return {"class_path": hyper_parameters["_class_path"], "init_args": arguments}

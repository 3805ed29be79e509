"""Checkpoints as files: read without running code, and told apart from what is not one."""

import contextlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from lightning.pytorch.cli import instantiate_module

from transformertf.checkpoint.content import check_content, unshared
from transformertf.checkpoint.writing import check_folder_of, refuse_link, write_checkpoint
from transformertf.errors import InputError
from transformertf.utils.files import FileState
from transformertf.version import __version__

TRAINING = ("optimizer", "lr_scheduler")
Model = TypeVar("Model", bound=lightning.LightningModule)
Data = TypeVar("Data", bound=lightning.LightningDataModule)
# how Python's own pickles begin, in its protocols 2 to 5
PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that holds a whole forecaster.

    Attributes:
        path: its file.
        content: what Lightning stored, tensors and primitives.
        flag: the flag that named it, for messages.
        state: of the file that was read; None where it is not known.
    """

    path: Path
    content: dict[str, Any]
    flag: str = "--ckpt_path"
    state: FileState | None = None

    @classmethod
    def read(cls, path: Path, flag: str = "--ckpt_path") -> "Checkpoint":
        """Read a checkpoint onto the CPU, tensors and primitives only.

        Whatever takes the place of the file from then on, this is what was read.

        Args:
            path: its file.
            flag: the flag that named it, for messages.

        Raises:
            InputError: no such file, not a whole checkpoint, one that holds code, or not one of
                this package and of the format it reads.
        """
        place = f"{flag} {path}"
        try:
            if path.exists() and not path.is_file():
                raise InputError(f"{place}: not a file; give the checkpoint itself")
            with path.open("rb") as file:
                state = FileState.of(file.fileno())
                _check_archive(file, place)
                file.seek(0)
                content = torch.load(file, map_location="cpu", weights_only=True)
                if FileState.of(file.fileno()) != state:
                    raise InputError(f"{place}: changed while it was read; run again")
        except InputError:
            raise
        except FileNotFoundError as error:
            raise InputError(f"{place}: no such file") from error
        except OSError as error:
            raise InputError(f"{place}: cannot be read ({error.strerror or error})") from error
        except Exception as error:  # bytes that are no checkpoint can fail in any way
            raise InputError(
                f"{place}: not a whole checkpoint of tensors and primitives "
                f"({type(error).__name__}); give another one"
            ) from error
        check_content(content, place)
        return cls(path, content, flag, state)

    @property
    def place(self) -> str:
        """Flag and file, for messages."""
        return f"{self.flag} {self.path}"

    def refuse_non_finite(self) -> None:
        """Refuse weights that are not finite.

        Raises:
            InputError: names the first of them.
        """
        for name, weight in self.content["state_dict"].items():
            if not torch.isfinite(weight).all():
                raise InputError(
                    f"{self.place}: the weights {name} hold NaN or infinite numbers: its "
                    "training diverged; give an earlier checkpoint"
                )

    def refuse_changed(self) -> None:
        """Refuse to go on where the file is not what was read.

        Raises:
            InputError: it was replaced, written to or taken away.
        """
        with contextlib.suppress(OSError):
            if self.state in (None, FileState.of(self.path)):
                return
        raise InputError(f"{self.place}: changed since it was read; run again")

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
        with blamed(self.place):
            return int(self.content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])

    @property
    def stopped_early(self) -> bool:
        """Whether a callback saw no more progress, and ended the training."""
        states = self.content.get("callbacks", {})
        with blamed(self.place):
            return any(
                state["stopping_reason"] != EarlyStoppingReason.NOT_STOPPED.value
                for name, state in states.items()
                if name.startswith(EarlyStopping.__name__)
            )

    @property
    def steps(self) -> int:
        """Number of optimizer steps taken."""
        with blamed(self.place):
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
        check_place(path, "path", self.path)
        write_checkpoint(self.calibrated(calibration).content, path)

    def calibrated(self, calibration: dict[str, Any] | None) -> "Checkpoint":
        """Return the checkpoint with the state of another calibration; None for none."""
        content = {key: value for key, value in self.content.items() if key != "calibration"}
        if calibration is not None:
            content["calibration"] = calibration
        return replace(self, content=content)

    def make_model(self, kind: type[Model]) -> Model:
        """Return the model, with its weights.

        Args:
            kind: its class.

        Raises:
            InputError: what is described makes none, or the weights do not fit.
        """
        with blamed(self.place):
            model: Model = instantiate_module(kind, _named(self.content["hyper_parameters"]))
            model.on_load_checkpoint(self.content)
            model.load_state_dict(self.content["state_dict"])
        self.fill(model)
        return model

    def make_data(self, kind: type[Data], **given: Any) -> Data:
        """Return the data module as it was fitted in training; no file is read.

        Args:
            kind: its class.
            **given: arguments that take the place of those of the training.

        Raises:
            InputError: what is described makes none, or what was fitted does not fit.
        """
        with blamed(self.place):
            described = {**self.content["datamodule_hyper_parameters"], **given}
            data: Data = instantiate_module(kind, _named(described))
            data.load_state_dict(unshared(self.data_state))
        return data

    def fill(self, model: torch.nn.Module) -> None:
        """Bring weights in float64 into a model, which Lightning has built from rounded ones.

        Raises:
            InputError: the weights are of another kind than the model's.
        """
        self.refuse_other(model)
        weights = self.content["state_dict"]
        # what else lies there, such as the units of a distribution, has a type of its own
        if any(weights[name].dtype == torch.float64 for name, _ in model.named_parameters()):
            model.double().load_state_dict(weights)

    def refuse_other(self, model: torch.nn.Module) -> None:
        """Refuse to load into a model of another class or another shape.

        Raises:
            InputError: names both, and the first parameter that does not fit.
        """
        own = self.model["class_path"].rpartition(".")[2]
        if own != type(model).__name__:
            raise InputError(
                f"{self.place}: a checkpoint of {own}, but the config asks for "
                f"{type(model).__name__}; give the matching config or checkpoint"
            )
        weights, own_weights = self.content["state_dict"], model.state_dict()
        stored = {name: tuple(t.shape) for name, t in weights.items()}
        wanted = {
            # what is fitted as a fit begins has no size before
            name: tuple(t.shape) if t.numel() else stored.get(name, tuple(t.shape))
            for name, t in own_weights.items()
            # older checkpoints have no units of a criterion
            if name in stored or not name.endswith("_extra_state")
        }  # fmt: skip
        for name in (*wanted, *stored):
            if stored.get(name) != wanted.get(name):
                raise InputError(
                    f"{self.place}: {name} has shape {stored.get(name, 'none')} in "
                    f"the checkpoint and {wanted.get(name, 'none')} by the config"
                    f"{self._differences(model)}; give the matching config or checkpoint"
                )
            if weights[name].is_floating_point() != own_weights[name].is_floating_point():
                raise InputError(
                    f"{self.place}: {name} is of {weights[name].dtype} in the checkpoint and of "
                    f"{own_weights[name].dtype} in the model; give another checkpoint"
                )

    def _differences(self, model: torch.nn.Module) -> str:
        stored, own = self.model["init_args"], dict(getattr(model, "hparams", {}))
        names = [name for name in stored if name in own and own[name] != stored[name]]
        return "".join(f" ({name}: {stored[name]} there, {own[name]} here)" for name in names[:3])


def _named(described: dict[str, Any]) -> dict[str, Any]:
    """Return arguments and class path; who makes an object of them is not for a file to say."""
    found: dict[str, Any] = unshared(described)
    found.pop("_instantiator", None)
    return found


@contextlib.contextmanager
def blamed(place: str) -> Iterator[None]:
    """Tell that what fails within is a fault of a checkpoint's content.

    Args:
        place: flag and file, for messages.

    Raises:
        InputError: something failed.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # what was changed by hand can fail in any way
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(
            f"{place}: what it holds does not make a forecaster of transformertf {__version__} "
            f"({reason:.600}); give a checkpoint as `transformertf fit` wrote it"
        ) from error


def check_place(path: Path, flag: str, source: Path) -> None:
    """Refuse to write a checkpoint where none can be, or over something else.

    Args:
        path: the file.
        flag: what named it, for messages.
        source: the checkpoint that was read, which may be replaced.

    Raises:
        InputError: names the file.
    """
    folder = path.absolute().parent
    if (path.exists() and not path.is_file()) or not folder.is_dir():
        raise InputError(f"{flag} {path}: expected a file in a folder that exists")
    refuse_link(path, flag)
    check_folder_of(path, flag, remedy="; give another")
    if path != source and path.exists():
        try:
            Checkpoint.read(path, flag)
        except InputError as error:
            raise InputError(
                f"{flag} {path}: would overwrite what is no checkpoint; give another name"
            ) from error


def _check_archive(file: BinaryIO, place: str) -> None:
    """Refuse a file that is no archive of `torch.save`, or whose bytes have changed.

    Nothing in it is unpickled. torch itself does not look at the check sums.

    Raises:
        InputError: it is not, or they have.
        OSError: it cannot be read.
    """
    if file.read(2) in PICKLES:
        raise InputError(
            f"{place}: a pickle, which holds objects that can run code; it was not read; give a "
            "checkpoint that `transformertf fit` wrote"
        )
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        # torch stores what it writes as it is: what unpacks could fill the memory
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise InputError(f"{place}: a compressed archive; expected one as torch writes it")
        spoilt = archive.testzip()
    if spoilt is not None:
        raise InputError(
            f"{place}: not a whole checkpoint: {spoilt} in it has changed since it was written; "
            "give another one, or copy it again"
        )
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise InputError(f"{place}: a TorchScript archive, which holds code; it was not read")
    file.seek(0)
    unsafe = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(file))
    if unsafe:
        raise InputError(
            f"{place}: holds objects that would run code ({', '.join(unsafe[:3])}); it was not "
            "read; give a checkpoint of tensors and primitives, as `transformertf fit` writes it"
        )


def _as_class_path(hyper_parameters: dict[str, Any]) -> dict[str, Any]:
    arguments = {
        name: value for name, value in hyper_parameters.items() if not name.startswith("_")
    }
    return {"class_path": hyper_parameters["_class_path"], "init_args": arguments}

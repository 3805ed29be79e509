"""What is trained, how large its gradient is, and how the network is compiled."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal

import lightning
import torch
import torch.fx.experimental._config as shape_config
from lightning.pytorch.plugins import DoublePrecision
from torch.optim.lr_scheduler import LRScheduler

from transformertf.errors import InputError
from transformertf.models.common.fit_schedules import FitSchedule
from transformertf.places import keep_apart

OptimizerCallable = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]
LRSchedulerCallable = Callable[[torch.optim.Optimizer], LRScheduler]


def make_optimizers(
    parameters: Iterable[torch.nn.Parameter],
    make_optimizer: OptimizerCallable | None,
    make_scheduler: LRSchedulerCallable | None,
    interval: str,
    monitor: str,
) -> Any:
    """Return what Lightning's `configure_optimizers` wants.

    Args:
        parameters: what trains.
        make_optimizer: None for Adam with learning rate 1e-3.
        make_scheduler: None for none.
        interval: whether the scheduler advances every "epoch" or every "step".
        monitor: logged value given to a scheduler that looks at one.

    Raises:
        InputError: either of them refuses its arguments.
    """
    make_optimizer = make_optimizer or partial(torch.optim.Adam, lr=1e-3)
    optimizer = _made("optimizer", make_optimizer, parameters)
    if make_scheduler is None:
        return optimizer
    scheduler = _made("lr_scheduler", make_scheduler, optimizer)
    interval = "step" if isinstance(scheduler, FitSchedule) else interval
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": scheduler, "interval": interval, "monitor": monitor},
    }


def _made(what: str, make: Callable[..., Any], of: object) -> Any:
    """Return what is made; torch's refusals do not say of what they are."""
    try:
        return make(of)
    except InputError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{what}: {reason.rstrip('.')}; correct its arguments") from error


def take_precision(module: lightning.LightningModule, trainer: lightning.Trainer | None) -> None:
    """Bring weights into double precision where the trainer wants it; refuse to train in float16.

    In float16 the squares of most gradients are 0, and so is what Adam adds to their root. Batches
    keep their digits: a module converts what its network reads, see `in_precision_of`.

    Raises:
        InputError: names the precision.
    """
    if trainer is None:
        return
    if isinstance(trainer.precision_plugin, DoublePrecision):
        module.double()  # Lightning does so after it has read a checkpoint, in single digits
    # half-precision plugins would round what a forecast comes back with, and is measured on
    setattr(trainer.precision_plugin, "convert_input", _as_it_is)  # noqa: B010 -- a method
    if trainer.precision == "16-true" and trainer.state.fn == "fit":
        raise InputError(
            "trainer.precision 16-true keeps the weights in float16, in which training gives NaN "
            "after few steps; take 16-mixed or bf16-true"
        )


def _as_it_is(batch: Any) -> Any:
    return batch


def precision_of(module: torch.nn.Module) -> Literal["64-true"] | None:
    """Return a trainer's precision in which a trained module forecasts: that of its weights."""
    double = any(weight.dtype == torch.float64 for weight in module.parameters())
    return "64-true" if double else None


def freeze_all_but(module: torch.nn.Module, patterns: Sequence[str] | None) -> None:
    """Let the parameters train whose names match a pattern, and no others.

    A frozen parameter collects no gradient, and loses the one it has.

    Args:
        module: whose `named_parameters` give the names.
        patterns: as for file names: `model.head.*`. None lets all train.

    Raises:
        InputError: there is no pattern, or one that matches nothing.
    """
    if patterns is None:
        return
    names = [name for name, _ in module.named_parameters()]
    if not patterns:
        raise InputError(
            "trainable_parameters is empty, nothing would be trained; leave it out to train all"
        )
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            near = difflib.get_close_matches(pattern, names, n=3, cutoff=0.0)
            raise InputError(
                f"trainable_parameters: no parameter is named like {pattern!r}; the nearest are "
                f"{', '.join(near)}"
            )
    for name, parameter in module.named_parameters():
        trains = any(fnmatchcase(name, pattern) for pattern in patterns)
        parameter.requires_grad_(trains)
        if not trains:
            parameter.grad = None


def gradient_norm(parameters: Iterable[torch.nn.Parameter]) -> torch.Tensor:
    """Return the Euclidean norm of all gradients together; 0 where there are none."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm: torch.Tensor = torch.nn.utils.get_total_norm(gradients)
    return norm


def compile_in_place(network: torch.nn.Module, device: str) -> None:
    """Compile a network for all batch sizes and lengths, once; names of weights stay.

    Args:
        network: drops what it would drop uncompiled, where it is to run on the CPU.
        device: type of the device it is to run on.

    Raises:
        InputError: the CPU wants a C++ compiler, and there is none; or there is no folder for what
            is compiled.
    """
    if network._compiled_call_impl is None:
        # torch runs what it finds by a name in /tmp that anybody may take
        keep_apart("TORCHINDUCTOR_CACHE_DIR", "compiled")
        if device == "cpu":
            _require_compiler()
        # on the CPU the compiler's own random numbers keep a loop from being vectorised
        options = {"fallback_random": True} if device == "cpu" else None
        network.compile(dynamic=True, options=options)


def _require_compiler() -> None:
    # no command but a compiled fit should wait for these imports
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise InputError(
            "compile_model wants a C++ compiler, g++ or the one that the environment variable CXX "
            "names, and finds none; install one, or leave compile_model out"
        ) from error


def call_for_all_shapes(network: torch.nn.Module, *args: Any, **options: Any) -> Any:
    """Call a network that may be compiled.

    Sizes that agree in the first batch, such as the steps of context and horizon, would else be
    taken for one, and the first batch in which they do not would compile again.
    """
    if network._compiled_call_impl is None:
        return network(*args, **options)
    with shape_config.patch(use_duck_shape=False):  # type: ignore[attr-defined]
        return network(*args, **options)

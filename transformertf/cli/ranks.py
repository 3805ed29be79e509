"""Processes: how each computes, how several are started, which speaks, how all end with one."""

import contextlib
import ctypes
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from subprocess import Popen, TimeoutExpired
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from torch import distributed
from torch.distributed import distributed_c10d

from transformertf.errors import InputError

LOST = "a process of this run ended unexpectedly; fit goes on from its last checkpoint with "
LOST += "--ckpt_path last"
EXIT_LOST = 1
# seconds: from one look at other processes to the next; that a process has to notice by itself that
# another one is lost; that the others have to end after the first one, and after its failure
_PERIOD, _GRACE, _END, _BRIEF = 0.5, 10.0, 60.0, 2.0
# of the environment: the process that started this one
_PARENT = "TRANSFORMERTF_PARENT"
# of the store of all processes: how many told of an error, and the exit code of the first one
_TOLD, _CODE = "transformertf/told", "transformertf/code"
# what gloo and NCCL say when another process does not answer
_UNANSWERED = re.compile(r"gloo|NCCL|closed by peer|reset by peer|Broken pipe", re.IGNORECASE)

_children: list[Popen[bytes]] = []
_ending = threading.Lock()


class Launcher(_SubprocessScriptLauncher):
    """Starts this command again for every further process, and ends with all of them.

    Attributes:
        divides_cores: give each process of a machine its part of the cores.
    """

    divides_cores = True

    @property
    def starts_others(self) -> bool:
        """Whether further processes are started, which read the command line again."""
        return self.num_processes > 1 and not self.cluster_environment.creates_processes_externally

    def launch(
        self, function: Any, *args: Any, trainer: lightning.Trainer | None = None, **kwargs: Any
    ) -> Any:
        """Start the other processes, once, then call a function.

        Raises:
            InputError: other processes were started than the trainer is set to.
        """
        environment = self.cluster_environment
        try:
            environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        except ValueError as error:
            raise InputError(str(error)) from error
        if not environment.creates_processes_externally:
            os.environ[_PARENT] = str(os.getpid())
            # else they tell in fifty lines of C++ that the first process is gone
            os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
            self._call_children_scripts()
            _children.extend(self.procs)
            threading.Thread(target=_watch_children, args=(self.procs,), daemon=True).start()
        if self.divides_cores:
            _set_num_threads_if_needed(num_processes=self.num_processes)
        return function(*args, **kwargs)


def supervise(trainer: lightning.Trainer, divides_cores: bool) -> None:
    """Let all processes of a trainer end when one does, however it ends.

    Args:
        trainer: of this process.
        divides_cores: give each process of a machine its part of the cores.

    Raises:
        InputError: the trainer does not know of processes that were started with this one, or
            spawns others, which would want all objects pickled.
    """
    started = int(os.environ.get("WORLD_SIZE" if "TORCHELASTIC_RUN_ID" in os.environ
                                 else "SLURM_STEP_NUM_TASKS", 1))  # fmt: skip
    if started > 1 and trainer.world_size == 1:
        raise InputError(
            f"{started} processes were started, but the trainer is set to one and each would do "
            "all the work; set trainer.devices to the processes of a machine and "
            "trainer.num_nodes to the machines"
        )
    strategy = trainer.strategy
    launcher = strategy.launcher
    if getattr(launcher, "_start_method", "fork") != "fork":
        raise InputError(
            "trainer.strategy spawns processes; take ddp, which starts them as this one"
        )
    if type(launcher) is _SubprocessScriptLauncher:
        strategy._launcher = Launcher(
            launcher.cluster_environment, launcher.num_processes, launcher.num_nodes
        )
        strategy._launcher.divides_cores = divides_cores
    if _is_child():
        threading.Thread(target=_watch_parent, args=(os.getppid(),), daemon=True).start()


def is_lost(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, says that another process does not answer."""
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return False
    while error is not None:
        if isinstance(error, distributed.DistError):
            return True
        if isinstance(error, RuntimeError) and _UNANSWERED.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def speaks(code: int) -> bool:
    """Whether this process is the one to tell of an error: the first one that meets any.

    Args:
        code: exit code that belongs to the error.
    """
    if not distributed.is_initialized():
        # the parent of a child went past here without an error
        return _is_child() or _local_rank() == 0
    try:
        store = distributed_c10d._get_default_store()
        first = bool(store.add(_TOLD, 1) == 1)
        if first:
            store.set(_CODE, str(code))
    except RuntimeError:
        # the process that keeps the store is gone: of the others of a machine one speaks
        return _local_rank() == (1 if _is_child() else 0)
    return first


def exit_code(code: int) -> int:
    """Return the code of the error that was told first, where there is one."""
    try:
        store = distributed_c10d._get_default_store()
        return int(store.get(_CODE)) if store.check([_CODE]) else code
    except (RuntimeError, ValueError):
        return code


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
    """Leave no process behind that this one started."""
    try:
        yield
        _wait(_children, _END)
    except BaseException:
        # what they found themselves they tell before
        _wait(_children, _BRIEF)
        raise
    finally:
        _kill(_children)
        _children.clear()


def _watch_children(children: Sequence[Popen[bytes]]) -> None:
    """End this process where a child failed, and it does not come to notice by itself."""
    while all(child.poll() in (None, 0) for child in children):
        if all(child.returncode == 0 for child in children):
            return
        time.sleep(_PERIOD)
    time.sleep(_GRACE)
    _end_now(children)


def _watch_parent(parent: int) -> None:
    """End this process with the one that started it."""
    while os.getppid() == parent:
        time.sleep(_PERIOD)
    _end_now()


def _end_now(children: Sequence[Popen[bytes]] = ()) -> None:
    """Tell, and end at once: the main thread may wait for a lost process without end."""
    with _ending:
        if speaks(EXIT_LOST):
            print(f"error: {LOST}", file=sys.stderr, flush=True)
        _kill(children)
        os._exit(exit_code(EXIT_LOST))


def _wait(children: Sequence[Popen[bytes]], seconds: float) -> None:
    end = time.monotonic() + seconds
    for child in children:
        with contextlib.suppress(TimeoutExpired):
            child.wait(max(0.0, end - time.monotonic()))


def _kill(children: Sequence[Popen[bytes]]) -> None:
    for child in children:
        child.kill()
        child.wait()


def _is_child() -> bool:
    return _local_rank() > 0 and _PARENT in os.environ


def _local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", 0)))


# of mallopt, in glibc's malloc.h
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_TRIM = 2**31 - 1
_LARGEST_MMAP = 32 * 2**20  # glibc refuses more


@contextlib.contextmanager
def fast_process() -> Iterator[None]:
    """Keep freed memory, and compute without subnormal numbers until the context ends.

    CPUs compute with numbers below 1e-38 many times slower, and gradients that fade over a long
    context are full of them. They are taken for zero.
    """
    keep_freed_memory()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def keep_freed_memory() -> None:
    """Tell glibc, for good, to keep what is freed; other C libraries are left as they are.

    A training step frees what the next one allocates again. What glibc gives back to the system
    comes back page by page, zeroed: up to a tenth of a step.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP)
        mallopt(_TRIM_THRESHOLD, _LARGEST_TRIM)

"""What benchmark scripts share: the machine in words, fair timing, peak memory, tables."""

import contextlib
import datetime
import multiprocessing
import multiprocessing.connection
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

MEGABYTE = 2**20


def describe_machine(*packages: str) -> str:
    """Return one paragraph: processor, memory, threads, versions, date."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", *packages))
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "no accelerator"
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {accelerator}; "
        f"{platform.system()}, Python {platform.python_version()}, {versions}; "
        f"{torch.get_num_threads()} threads; {datetime.date.today().isoformat()}."
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def synchronize() -> None:
    """Wait for the accelerator, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def time_interleaved(
    candidates: Mapping[str, Callable[[], object]],
    seconds: float,
    slow: Iterable[str] = (),
    at_least: int = 3,
    at_most: int = 201,
    warm_up: int = 1,
) -> dict[str, float]:
    """Return the median time of each candidate, in seconds, all measured in turns.

    After the warm-up every round runs the candidates in a new random order, so that drift and
    what a neighbour leaves in the caches meet all of them alike.

    Args:
        candidates: what to time, by name.
        seconds: time to spend on further rounds, after the first `at_least`.
        slow: names that take part in the first `at_least` rounds only.
        at_least: rounds to run however long they take.
        at_most: rounds after which to stop.
        warm_up: rounds before them that are not timed.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    shuffle, slow = random.Random(0), set(slow)
    for _ in range(warm_up):
        for run in candidates.values():
            run()
    end = float("inf")
    for turn in range(at_most):
        if turn == at_least:
            end = time.perf_counter() + seconds
        if time.perf_counter() > end:
            break
        order = [name for name in candidates if turn < at_least or name not in slow]
        shuffle.shuffle(order)
        for name in order:
            synchronize()
            start = time.perf_counter()
            candidates[name]()
            synchronize()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in times.items()}


class Runner:
    """A run in a process of its own, for candidates that must not share one.

    The process prepares while others do; a call waits for it. As a context it ends the process.

    Args:
        prepare: builds what is needed and returns the run; importable by name.
        arguments: of `prepare`.
        threads: of torch in that process.
    """

    def __init__(
        self, prepare: Callable[..., Callable[[], object]], *arguments: Any, threads: int
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._name = f"{prepare.__name__}({', '.join(map(repr, arguments))})"
        self._prepared = False
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, threads, prepare, *arguments), daemon=True
        )
        self._process.start()
        theirs.close()

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self) -> None:
        """Run once there, and wait for it."""
        self._ask("run")

    def peak(self) -> float:
        """Return the megabytes by which its runs have raised its peak resident memory."""
        found: float = self._ask("peak")
        return found

    def describe(self) -> Any:
        """Return what the run's own `describe` returns there."""
        return self._ask("describe")

    def close(self) -> None:
        """End the process, also one that is at work."""
        self._pipe.close()
        self._process.join(timeout=5)
        self._process.terminate()
        self._process.join()

    def _ask(self, what: str) -> Any:
        if not self._prepared:
            self._receive()
            self._prepared = True
        # to a process that has died nothing can be sent; that nothing comes back tells so
        with contextlib.suppress(OSError):
            self._pipe.send(what)
        return self._receive()

    def _receive(self) -> Any:
        try:
            failure, answer = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(timeout=5)
            code = self._process.exitcode
            raise RuntimeError(f"the process of {self._name} has died, exit code {code}") from None
        if failure:
            raise RuntimeError(f"{self._name} failed in its process:\n{failure}")
        return answer


def peak_memory(prepare: Callable[..., Callable[[], object]], *arguments: Any) -> float:
    """Return the megabytes by which a run raises a fresh process's peak resident memory.

    Args:
        prepare: builds what is needed and returns the run; importable by name.
        arguments: of `prepare`.
    """
    with Runner(prepare, *arguments, threads=torch.get_num_threads()) as runner:
        runner()
        return runner.peak()


def peak_of_command(
    module: str, words: Sequence[str], folder: Path, fields: Sequence[str]
) -> dict[str, float]:
    """Return the highest memory of a command while it runs, in MB, by field.

    Args:
        module: run as `python -m`.
        words: its arguments.
        folder: where it runs.
        fields: of /proc/PID/status: VmRSS is all that is resident, RssAnon leaves mapped files out.
    """
    peaks = dict.fromkeys(fields, 0.0)
    with subprocess.Popen(
        [sys.executable, "-m", module, *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        while process.poll() is None:
            with contextlib.suppress(OSError, StopIteration):
                for field, peak in peaks.items():
                    peaks[field] = max(peak, _status(process.pid, field))
            time.sleep(0.05)
        assert process.stderr is not None
        if process.returncode:
            raise RuntimeError(process.stderr.read().decode())
    return peaks


def _status(process: int | str, field: str) -> float:
    with open(f"/proc/{process}/status", encoding="utf-8") as lines:
        return next(int(line.split()[1]) for line in lines if field in line) / 1024


def _serve(
    pipe: multiprocessing.connection.Connection,
    threads: int,
    prepare: Callable[..., Callable[[], object]],
    *arguments: Any,
) -> None:
    torch.set_num_threads(threads)
    try:
        run = prepare(*arguments)
        before = _peak()

        def finished() -> None:
            run()
            synchronize()

        answers: dict[str, Callable[[], object]] = {
            "run": finished,
            "peak": lambda: _peak() - before,
            "describe": lambda: run.describe(),  # type: ignore[attr-defined]
        }
        answer: object = None
        while True:
            pipe.send((None, answer))
            answer = answers[pipe.recv()]()
    except (EOFError, BrokenPipeError):
        pass  # the other end is closed
    except Exception:
        pipe.send((traceback.format_exc(), None))


def _peak() -> float:
    try:
        return _status("self", "VmHWM")
    except OSError:
        # elsewhere than on Linux; there a child begins with its parent's peak
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEGABYTE


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown, its cells as they print."""
    lines = [header, ["---"] * len(header), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def section_of(text: str, title: str) -> str:
    """Return a section of a page, its title "## ..." first; nothing where there is none."""
    _, found, rest = text.partition(f"\n{title}\n")
    return found + rest.partition("\n## ")[0] if found else ""


def write_section(page: Path, section: str) -> None:
    """Put a section into a page, in place of the one of its title, or at its end."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    before = section_of(text, section.partition("\n")[0])
    section = f"\n{section.strip()}\n"
    text = text.replace(before, section) if before else text.rstrip() + "\n" + section
    page.write_text(text, encoding="utf-8")

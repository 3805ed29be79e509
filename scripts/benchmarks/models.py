"""Time a training step of every model; write docs/benchmarks/models.md.

    python -m scripts.benchmarks.models            our models
    python -m scripts.benchmarks.models --peers    and the TFTs of other libraries (extra `bench`)
    python -m scripts.benchmarks.models --only xTFT darts

Most of its minutes go to the compiler. On a busy machine two threads wait for each other, and a
step takes many times as long: take `--threads 1` there.

Every candidate has a process of its own and the same threads; all are alive at once and take
turns in random order. A step is zero_grad, forward, the library's own quantile loss over the same
seven levels, backward, and a step of the optimizer that its module configures. The batch lies on
the device already, its rows are full: nothing is loaded, scaled, logged or scheduled. What the
candidates are, `candidates.py` says.
"""

import argparse
import concurrent.futures
import contextlib
import importlib.util
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from scripts.benchmarks.benchmarking import (
    MEGABYTE,
    Runner,
    describe_machine,
    markdown_table,
    time_interleaved,
)
from scripts.benchmarks.candidates import (
    BATCH,
    CONTEXT,
    DROPOUT,
    FUTURE,
    HEADS,
    HORIZON,
    MODELS,
    PAST,
    PEERS,
    REFERENCE,
    SEQUENCES,
    WIDTH,
    Task,
    our_task,
)
from transformertf.cli.ranks import keep_freed_memory

OUTPUT = Path(__file__).parents[2] / "docs" / "benchmarks" / "models.md"
HEADER = (
    *("model", "step, ms", "samples/s", f"times {REFERENCE}", "parameters", "peak memory, MB"),
)
PAGE = """# The models

Written by `scripts/benchmarks/models.py`. {machine}

One training step at {context} + {horizon} steps, {past} past and {future} future columns, width
{width}, {heads} heads, one recurrent layer, seven quantiles, dropout {dropout}, batches of {batch}
full rows: zero_grad, forward, the library's own quantile loss, backward, and the optimizer that
its module configures, which is Adam. The batch lies on the device; nothing is loaded, scaled or
logged. LSTM and GRU give the target on sequences of {context} steps of {past} columns and have no
horizon. Rows named after a library are its temporal fusion transformer; the script says where its
work differs from ours. `compiled` is `compile_model: true`.

Each candidate has a process of its own with {threads} threads; all take turns in random order, and
times are medians. As under our commands, numbers below 1e-38 count as zero and freed memory is
kept, for all of them.
`times {reference}` is how many times as fast as that library's a step is.

## CPU

Peak memory is what the steps add to the process once the model is built; compiled, that includes
the compiler's.

{cpu}

## CUDA

{cuda}
{absent}"""
CUDA_MEMORY = "Peak memory is what tensors take on the device.\n\n"


class Step:
    """So many training steps; a candidate.

    Args:
        task: what to train, and its loss.
        repeats: steps of one call.
    """

    def __init__(self, task: Task, repeats: int) -> None:
        self.module, self.loss = task
        self.repeats = repeats
        found = self.module.configure_optimizers()
        self.optimizer = found["optimizer"] if isinstance(found, dict) else found

    def __call__(self) -> None:
        """Train."""
        for _ in range(self.repeats):
            self.optimizer.zero_grad()
            torch.autograd.backward(self.loss())
            self.optimizer.step()

    def describe(self) -> dict[str, float]:
        """Return the number of trained parameters, and the peak of the device's memory in MB."""
        trained = (weight for weight in self.module.parameters() if weight.requires_grad)
        on_device = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
        return {
            "parameters": sum(weight.numel() for weight in trained),
            "device memory": on_device / MEGABYTE,
        }


def prepare(name: str, device: str, repeats: int) -> Step:
    """Return training steps of a candidate by its name."""
    keep_freed_memory()  # this and the next as our commands do
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what peers import
        task = PEERS[name](device) if name in PEERS else our_task(name, device)
        return Step(task, repeats)


@dataclass(frozen=True)
class Result:
    """What was found of a candidate: seconds of a step, parameters, megabytes."""

    name: str
    seconds: float
    parameters: int
    memory: float

    def row(self, reference: float | None) -> list[str]:
        """Return the table row, given the seconds of the peer to compare with."""
        compared = "-"
        if reference is not None and self.name not in SEQUENCES:
            compared = f"{reference / self.seconds:.2f}"
        return [
            self.name,
            f"{self.seconds * 1e3:.1f}",
            f"{BATCH / self.seconds:.0f}",
            compared,
            str(self.parameters),
            f"{self.memory:.0f}",
        ]


def measure(names: Sequence[str], device: str, threads: int, seconds: float) -> list[Result]:
    """Time candidates against each other, each in a process of its own."""
    # an accelerator's steps are so short that asking for each would show
    repeats = 1 if device == "cpu" else 10
    with contextlib.ExitStack() as stack:
        runners = {
            name: stack.enter_context(Runner(prepare, name, device, repeats, threads=threads))
            for name in names
        }
        # the first call compiles, on one core: so as many at once as there are
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for name, _ in zip(names, pool.map(Runner.__call__, runners.values()), strict=True):
                print(f"{device}: {name} runs", flush=True)
        # the next ones fill caches and the allocator's pools
        times = time_interleaved(runners, seconds, warm_up=3)
        results = []
        for name, runner in runners.items():
            known = runner.describe()
            memory = runner.peak() if device == "cpu" else known["device memory"]
            results.append(Result(name, times[name] / repeats, known["parameters"], memory))
    return results


def table(results: Sequence[Result]) -> str:
    """Return the results as a table in Markdown."""
    reference = {result.name: result.seconds for result in results}.get(REFERENCE)
    return markdown_table(HEADER, [result.row(reference) for result in results])


def write_page(
    machine: str,
    threads: int,
    cpu: Sequence[Result],
    cuda: Sequence[Result],
    absent: Sequence[str] = (),
) -> str:
    """Return the page.

    Args:
        machine: it, in words.
        threads: of each process.
        cpu: results there.
        cuda: results there; empty where there is no such device.
        absent: peers asked for that are not installed.
    """
    return PAGE.format(
        machine=machine,
        threads=threads,
        context=CONTEXT,
        horizon=HORIZON,
        past=PAST,
        future=FUTURE,
        width=WIDTH,
        heads=HEADS,
        dropout=DROPOUT,
        batch=BATCH,
        reference=REFERENCE,
        cpu=table(cpu),
        cuda=CUDA_MEMORY + table(cuda) if cuda else "Not measured.",
        absent=f"\nNot installed: {', '.join(absent)}.\n" if absent else "",
    )


def installed(peer: str) -> bool:
    """Whether a peer can be imported."""
    return importlib.util.find_spec(peer.replace("-", "_")) is not None


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", action="store_true", help="time other libraries' TFTs too")
    parser.add_argument("--threads", type=int, default=2, help="of each process")
    parser.add_argument("--seconds", type=float, default=120.0, help="time to spend on rounds")
    parser.add_argument(
        "--only", nargs="+", choices=[*MODELS, *PEERS], metavar="NAME", help="candidates to time"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help="page to write")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)  # what the page says of them
    asked = arguments.only or [*MODELS, *(PEERS if arguments.peers else ())]
    absent = [name for name in asked if name in PEERS and not installed(name)]
    names = [name for name in asked if name not in absent]
    if not names:
        parser.error(f"not installed: {', '.join(absent)}")
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    results = {
        device: measure(names, device, arguments.threads, arguments.seconds) for device in devices
    }
    for device in devices:
        print(f"{device}\n{table(results[device])}", flush=True)
    page = write_page(
        describe_machine(*(name for name in names if name in PEERS)),
        arguments.threads,
        results["cpu"],
        results.get("cuda", []),
        absent,
    )
    arguments.output.write_text(page)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()

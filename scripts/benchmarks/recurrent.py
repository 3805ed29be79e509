"""Time the routes of the ragged recurrence, and whole epochs; write docs/benchmarks/recurrent.md.

    python -m scripts.benchmarks.recurrent            about 25 minutes on 2 cores
    python -m scripts.benchmarks.recurrent --quick    a small part of the grid, printed only

One process times all routes in turns: ratios hold on a busy machine, milliseconds do not.
"""

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from scripts.benchmarks import ragged_epochs
from scripts.benchmarks.benchmarking import (
    describe_machine,
    markdown_table,
    peak_memory,
    time_interleaved,
)
from transformertf.nn import GRU, LSTM, recurrent
from transformertf.nn.recurrent import Route

OUTPUT = Path(__file__).parents[2] / "docs" / "benchmarks" / "recurrent.md"
ROUTES: tuple[Route, ...] = ("packed", "gated", "segmented")
CELLS = {"LSTM": LSTM, "GRU": GRU}
FEATURES, LAYERS = 8, 2
DENSITIES = (0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Case:
    """One ragged training step: two layers, lengths uniform around `density` of `steps`."""

    cell: str
    width: int
    batch: int
    steps: int
    density: float
    device: str = "cpu"

    def lengths(self) -> torch.Tensor:
        """Return (batch,) lengths whose mean is about `density` and whose longest is full."""
        shortest = max(1, round((2 * self.density - 1) * self.steps))
        generator = torch.Generator().manual_seed(0)
        lengths = torch.randint(shortest, self.steps + 1, (self.batch,), generator=generator)
        lengths[0] = self.steps
        return lengths.to(self.device)

    def step(self, lengths: torch.Tensor | None) -> Callable[[], None]:
        """Return forward and backward over all outputs and the final state."""
        torch.manual_seed(0)
        cell = CELLS[self.cell](FEATURES, self.width, LAYERS).to(self.device)
        inputs = torch.randn(self.batch, self.steps, FEATURES, device=self.device)

        def run() -> None:
            cell.zero_grad()
            outputs, state = cell(inputs, lengths)
            hidden = state[0] if isinstance(state, tuple) else state
            (outputs.square().mean() + hidden.square().mean()).backward()

        return run

    def candidates(self) -> dict[str, Callable[[], None]]:
        """Return a step on each route, on the chosen one, and on rows all of full length."""
        lengths = self.lengths()
        ragged = self.step(lengths)
        forced: dict[str, Callable[[], None]] = {route: on_route(route, ragged) for route in ROUTES}
        return {**forced, "auto": ragged, "full": self.step(None)}

    def chosen(self) -> str:
        """Return the route that "auto" takes."""
        padding = self.batch * self.steps - int(self.lengths().sum())
        return recurrent.choose_route(self.device, padding, self.width)


GRID = [
    *(
        Case("LSTM", width, batch, 200, density)
        for width, batch, density in itertools.product((32, 64, 128, 300), (16, 64), DENSITIES)
    ),
    *(Case("LSTM", 64, batch, 1000, d) for batch, d in itertools.product((16, 64), DENSITIES)),
]
GRU_GRID = [Case("GRU", width, 64, 200, d) for width, d in itertools.product((64, 128), DENSITIES)]
MEMORY_CASES = [Case("LSTM", 64, 64, 1000, 0.75), Case("LSTM", 300, 64, 200, 0.75)]
QUICK = [Case("LSTM", 64, 64, 200, 0.5), Case("LSTM", 32, 16, 200, 0.95)]


def on_route(route: Route, run: Callable[[], None]) -> Callable[[], None]:
    """Return `run` with the recurrence made to take a route."""

    def forced() -> None:
        rule = recurrent.choose_route
        recurrent.choose_route = lambda *_: route
        try:
            run()
        finally:
            recurrent.choose_route = rule

    return forced


def prepare_step(case: Case, route: Route | None) -> Callable[[], None]:
    """Return three training steps of a case, for a process that measures its memory."""
    run = case.step(case.lengths())
    if route is not None:
        run = on_route(route, run)

    def thrice() -> None:
        for _ in range(3):
            run()

    return thrice


@dataclass(frozen=True)
class Result:
    """Median seconds of each candidate of a case."""

    case: Case
    seconds: dict[str, float]

    @property
    def speedup(self) -> float:
        """How many times faster than packed the chosen route is."""
        return self.seconds["packed"] / self.seconds["auto"]

    @property
    def regret(self) -> float:
        """How much longer than the best route the chosen one takes, as a share of it."""
        return self.seconds["auto"] / min(self.seconds[route] for route in ROUTES) - 1

    def row(self) -> list[str]:
        """Return the table row."""
        case, full = self.case, self.seconds["full"]
        ratios = [f"{self.seconds[name] / full:.2f}" for name in (*ROUTES, "auto")]
        return [
            *(str(value) for value in (case.width, case.batch, case.steps, case.density)),
            f"{full * 1e3:.1f}",
            *ratios,
            case.chosen(),
            f"{self.speedup:.1f}",
            f"{self.regret:+.0%}",
        ]


HEADER = (
    *("width", "batch", "steps", "density", "full rows, ms"),
    *("packed", "gated", "segmented", "auto", "auto takes", "packed / auto", "regret"),
)


MEMORY_HEADER = (
    *("width", "batch", "steps", "density"),
    *("packed, MB", "gated, MB", "segmented, MB", "auto, MB", "auto to packed"),
)
EPOCH_HEADER = (
    *("mode", "seconds", "to padded", "context steps", "to padded"),
    *("peak memory, MB", "to padded"),
)
PAGE = """# The ragged recurrence

Written by `scripts/benchmarks/recurrent.py`. {machine}

All ratios are of medians from one process that ran the candidates in turns. Two layers, forward
and backward through all outputs and the final state; lengths uniform around density x steps, the
longest full. `packed`, `gated`, `segmented` and `auto` are shares of the time of as many rows all
of full length (`full rows`). `regret` is what `auto` loses against the best of the three.

## LSTM on CPU

Over the grid {lstm_summary}

{lstm}

## GRU on CPU

Over the grid {gru_summary}

{gru}

## CUDA

{cuda}

## Memory

What three training steps add to the peak resident memory of a fresh process.

{memory}

## Whole epochs

{epoch_case}

{epochs}
"""


def measure(cases: list[Case], seconds: float) -> list[Result]:
    """Time all cases, telling how far it got."""
    results = []
    for number, case in enumerate(cases, 1):
        found = time_interleaved(case.candidates(), seconds, slow=["packed"])
        results.append(Result(case, found))
        print(f"{case.cell} {number}/{len(cases)}: {' | '.join(results[-1].row())}", flush=True)
    return results


def route_memory() -> list[list[str]]:
    """Return rows of peak memory, each route in a process of its own."""
    rows = []
    for case in MEMORY_CASES:
        found = {route: peak_memory(prepare_step, case, route) for route in ROUTES}
        auto = peak_memory(prepare_step, case, None)
        sizes = [str(value) for value in (case.width, case.batch, case.steps, case.density)]
        figures = [f"{value:.0f}" for value in (*found.values(), auto)]
        rows.append([*sizes, *figures, f"{auto / found['packed'] - 1:+.0%}"])
        print("memory:", " | ".join(rows[-1]), flush=True)
    return rows


def epochs(seconds: float) -> list[list[str]]:
    """Return rows of time, steps and peak memory of whole epochs, one for each mode."""
    rows = []
    with ragged_epochs.in_temporary_folder() as name:
        folder = Path(name)
        modes = ragged_epochs.MODES
        runs = {mode: ragged_epochs.prepare_epoch(folder, mode) for mode in modes}
        times = time_interleaved(runs, seconds)
        steps = {mode: ragged_epochs.padded_steps(folder, mode) for mode in modes}
        memory = {mode: peak_memory(ragged_epochs.prepare_epoch, folder, mode) for mode in modes}
    for mode in modes:
        row = [mode]
        for figures, form in ((times, ".2f"), (steps, "d"), (memory, ".0f")):
            row += [f"{figures[mode]:{form}}", f"{figures[mode] / figures['padded'] - 1:+.0%}"]
        rows.append(row)
        print("epoch:", " | ".join(row), flush=True)
    return rows


def cuda_grid() -> list[Case]:
    """Return the grid on the accelerator; empty without one."""
    if not torch.cuda.is_available():
        return []
    return [replace(case, device="cuda") for case in [*GRID, *GRU_GRID]]


def summary(results: list[Result]) -> str:
    """Return the figures the rule is judged by."""
    speedup = statistics.median(result.speedup for result in results)
    regret = [result.regret for result in results]
    padded = statistics.median(r.seconds["auto"] / r.seconds["full"] for r in results)
    return (
        f"auto is {speedup:.1f} times as fast as packed in the median; its regret against the "
        f"best of the routes is {statistics.median(regret):.1%} in the median and "
        f"{max(regret):.1%} at most; it takes {padded:.2f} times the full rows in the median."
    )


def write_page() -> str:
    """Run everything and return the page."""
    lstm, gru = measure(GRID, 6.0), measure(GRU_GRID, 6.0)
    memory = route_memory()
    rows = epochs(40.0)
    cuda = measure(cuda_grid(), 4.0)
    return PAGE.format(
        machine=describe_machine(),
        lstm=markdown_table(HEADER, [result.row() for result in lstm]),
        lstm_summary=summary(lstm),
        gru=markdown_table(HEADER, [result.row() for result in gru]),
        gru_summary=summary(gru),
        cuda=f"{markdown_table(HEADER, [result.row() for result in cuda])}\n\nThere {summary(cuda)}"
        if cuda
        else "Not measured.",
        memory=markdown_table(MEMORY_HEADER, memory),
        epochs=markdown_table(EPOCH_HEADER, rows),
        epoch_case=ragged_epochs.DESCRIPTION,
    )


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small part, printed only")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="page to write")
    parser.add_argument(
        "--threads", type=int, default=1, help="of torch; on a busy machine two wait for each other"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # for the processes started from here
    if arguments.quick:
        print(summary(measure(QUICK, 2.0)))
        return
    start = time.perf_counter()
    page = write_page()
    page += f"\nMeasured in {(time.perf_counter() - start) / 60:.0f} minutes.\n"
    arguments.output.write_text(page)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()

"""Write the sample data: test-stand runs of a hysteretic oscillator under cycles of force.

    python -m scripts.data.sample [--output DIR]

An operator of a test stand drives the oscillator of ``bouc_wen.py`` (Noël and Schoukens 2016,
hysteretic benchmark with a dynamic nonlinearity) through trapezoids, staircases, sine bursts and
the like. The programme of the force is known ahead of time; the displacement is to be forecast,
and it depends on the path of the force, so that a linear model falls short. The data carry no
noise. Each run has a random generator of its own, seeded by its number: the same values come
out every time.

Columns: time_s (s), force_n (N, known ahead), displacement_mm (mm, the target) and
velocity_mm_s (mm/s, known for the past only), at 750 Hz.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scripts.data.bouc_wen import RECORD_RATE_HZ, SIMULATION_RATE_HZ, FloatArray, decimate, simulate

# A cycle of force in N at the simulation rate, drawn at random for a duration in s. It starts
# and ends at zero force, so that cycles can follow one another.
Cycle = Callable[[np.random.Generator, float], FloatArray]

DEFAULT_OUTPUT = Path("sample_configs/data")
SHORTEST_RUN, LONGEST_RUN = 400, 3000
SHORTEST_MIXED_RUN = 1500
MIXED_PART_S = 1.0

# A drive cannot jump: corners are rounded over this time, which is also far above the spacing
# of the recorded samples, so that the recorded force says all about the true one.
CORNER_S = 0.02
# The record is simulated beyond its end, where the decimation filter would see an edge.
MARGIN_STEPS = 50


@dataclass(frozen=True, slots=True)
class Run:
    """One file of the sample data; its number seeds its random generator."""

    number: int
    split: str
    kind: str

    @property
    def path(self) -> Path:
        """Return where the run is kept below the output folder."""
        return Path(self.split) / f"run_{self.number:02d}_{self.kind}.parquet"


def times(duration_s: float) -> FloatArray:
    """Return the simulation's points in time (s) within a duration (s)."""
    return np.arange(round(duration_s * SIMULATION_RATE_HZ)) / SIMULATION_RATE_HZ


def signs(rng: np.random.Generator, count: int) -> FloatArray:
    """Return random signs, +1 or -1."""
    return rng.choice([-1.0, 1.0], count)


def through(corners_s: FloatArray, levels_n: FloatArray, duration_s: float) -> FloatArray:
    """Return a force (N) that runs straight from corner to corner, then is rounded off.

    The corners' times count in arbitrary units: they are stretched to fill the duration (s) but
    for the margins at both ends that the rounding needs to start and end at rest.
    """
    span = duration_s - 2 * CORNER_S
    at = CORNER_S + (corners_s - corners_s[0]) * span / (corners_s[-1] - corners_s[0])
    window = np.hanning(round(CORNER_S * SIMULATION_RATE_HZ) + 1)
    force = np.interp(times(duration_s), at, levels_n)
    return np.convolve(force, window / window.sum(), mode="same")


def faded(wave_n: FloatArray, fade_s: float) -> FloatArray:
    """Return a wave (N) that swells from zero and dies away within a time (s) at each end."""
    index = np.arange(len(wave_n))
    from_end = np.minimum(index, index[::-1]) / (fade_s * SIMULATION_RATE_HZ)
    return np.asarray(wave_n * np.sin(np.pi / 2 * np.minimum(from_end, 1.0)) ** 2)


def trapezoid(rng: np.random.Generator, duration_s: float) -> FloatArray:
    """Return flat-tops (N) of different height and length, some without return to zero."""
    count = max(2, round(duration_s / 0.4))
    plateaus = signs(rng, count) * rng.uniform(30.0, 120.0, count)
    floors = np.where(rng.random(count) < 0.6, 0.0, plateaus * rng.uniform(0.2, 0.6, count))
    floors[-1] = 0.0
    levels = np.column_stack([plateaus, plateaus, floors, floors]).ravel()
    steps = rng.uniform([0.02, 0.1, 0.02, 0.03], [0.1, 0.3, 0.1, 0.15], (count, 4)).ravel()
    return through(np.cumsum(np.append(0.0, steps)), np.append(0.0, levels), duration_s)


def staircase(rng: np.random.Generator, duration_s: float) -> FloatArray:
    """Return stairs (N) up to a peak and down again, to either side in turn."""
    levels = [0.0]
    side = rng.choice([-1.0, 1.0])
    for _ in range(max(1, round(duration_s / 1.0))):
        up = np.linspace(0.0, side * rng.uniform(50.0, 120.0), rng.integers(4, 7))
        levels += [*up[1:], *up[-2::-1]]
        side = -side
    steps = np.tile([1.0, 0.4], len(levels))[:-1] * rng.uniform(0.7, 1.3, 2 * len(levels) - 1)
    return through(np.cumsum(np.append(0.0, steps)), np.repeat(levels, 2), duration_s)


def triangle(rng: np.random.Generator, duration_s: float) -> FloatArray:
    """Return straight ramps (N) between peaks of different height on both sides."""
    count = max(3, round(duration_s / rng.uniform(0.08, 0.3)))
    peaks = rng.uniform(30.0, 120.0, count) * (-1.0) ** np.arange(count) * signs(rng, 1)
    corners = np.cumsum(np.append(0.0, rng.uniform(0.6, 1.4, count + 1)))
    return through(corners, np.concatenate([[0.0], peaks, [0.0]]), duration_s)


def sine_bursts(rng: np.random.Generator, duration_s: float) -> FloatArray:
    """Return sine bursts (N) below, near and above the resonance at 25 to 36 Hz.

    The resonance is that of a stiffness that falls as the amplitude grows. Near it the bursts
    are weaker, as an operator would have it.
    """
    bands = [(4.0, 20.0, 50.0, 120.0), (24.0, 36.0, 15.0, 50.0), (40.0, 70.0, 40.0, 110.0)]
    count = max(1, round(duration_s / 0.5))
    bursts = []
    for time in np.array_split(times(duration_s), count):
        low, high, weak, strong = bands[rng.integers(len(bands))]
        phase = 2 * np.pi * rng.uniform(low, high) * (time - time[0])
        bursts.append(faded(rng.uniform(weak, strong) * np.sin(phase), 0.1))
    return np.concatenate(bursts)


def chirp(rng: np.random.Generator, duration_s: float) -> FloatArray:
    """Return a sine (N) whose frequency rises or falls linearly through the resonance."""
    start, stop = rng.permutation([rng.uniform(3.0, 12.0), rng.uniform(40.0, 60.0)])
    time = times(duration_s)
    phase = 2 * np.pi * (start * time + (stop - start) * time**2 / (2 * duration_s))
    return faded(rng.uniform(25.0, 70.0) * np.sin(phase), 0.1)


def degauss(rng: np.random.Generator, duration_s: float) -> FloatArray:
    """Return a slow sine (N) that decays, as one does to rid a specimen of its history."""
    time = times(duration_s)
    decay = np.exp(-rng.uniform(1.5, 3.5) * time / duration_s)
    phase = 2 * np.pi * rng.uniform(3.0, 10.0) * time
    return faded(signs(rng, 1) * rng.uniform(80.0, 120.0) * decay * np.sin(phase), 0.05)


SINGLE_CYCLES: dict[str, Cycle] = {
    "trapezoid": trapezoid,
    "staircase": staircase,
    "triangle": triangle,
    "sine_bursts": sine_bursts,
    "chirp": chirp,
    "degauss": degauss,
}


def mixed(rng: np.random.Generator, duration_s: float) -> FloatArray:
    """Return a sequence (N) of different cycles with pauses at zero force between them."""
    count = max(2, round(duration_s / MIXED_PART_S))
    kinds = rng.choice(list(SINGLE_CYCLES), count, replace=False)
    pauses = rng.uniform(0.05, 0.25, count)
    shares = rng.uniform(0.7, 1.3, count)
    lengths = shares / shares.sum() * (duration_s - pauses.sum())
    parts: list[FloatArray] = []
    for kind, length, pause in zip(kinds, lengths, pauses, strict=True):
        parts += [SINGLE_CYCLES[kind](rng, float(length)), np.zeros_like(times(pause))]
    return np.concatenate(parts)


CYCLES: dict[str, Cycle] = {**SINGLE_CYCLES, "mixed": mixed}

# Every kind is trained on; the mixed runs of each split draw from all the others.
SPLITS: dict[str, tuple[str, ...]] = {
    "train": tuple(SINGLE_CYCLES) * 3 + ("mixed",) * 6,
    "validation": ("triangle", "staircase", "sine_bursts", "chirp", "mixed"),
    "test": ("trapezoid", "staircase", "sine_bursts", "chirp", "degauss", "mixed"),
}
# More of what is hardest to learn; numbered last, so that every other run keeps its seed.
MORE_TRAINING = ("sine_bursts",) * 9 + ("mixed",) * 15


def runs() -> Iterator[Run]:
    """Yield all runs of the sample data, numbered through from 1."""
    planned = [(split, kind) for split, kinds in SPLITS.items() for kind in kinds]
    planned += [("train", kind) for kind in MORE_TRAINING]
    for number, (split, kind) in enumerate(planned, start=1):
        yield Run(number, split, kind)


def make_run(seed: int, kind: str) -> pd.DataFrame:
    """Return one run, of random length, under a kind of cycle named in ``CYCLES``."""
    rng = np.random.default_rng(seed)
    shortest = SHORTEST_MIXED_RUN if kind == "mixed" else SHORTEST_RUN
    steps = int(rng.integers(shortest, LONGEST_RUN, endpoint=True))
    return record(CYCLES[kind](rng, steps / RECORD_RATE_HZ), steps)


def record(force_n: FloatArray, steps: int) -> pd.DataFrame:
    """Return the first steps, at 750 Hz, of the oscillator's answer to a force (N) at 15 kHz."""
    thinning = round(SIMULATION_RATE_HZ / RECORD_RATE_HZ)
    length = (steps + MARGIN_STEPS) * thinning
    driven = np.zeros(length)
    driven[: len(force_n)] = force_n
    displacement_m, velocity_m_s = simulate(driven)
    return pd.DataFrame(
        {
            "time_s": np.arange(steps) / RECORD_RATE_HZ,
            "force_n": driven[::thinning][:steps].astype(np.float32),
            "displacement_mm": (1e3 * decimate(displacement_m)[:steps]).astype(np.float32),
            "velocity_mm_s": (1e3 * decimate(velocity_m_s)[:steps]).astype(np.float32),
        }
    )


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as Parquet under a temporary name, so that no half-written file is left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".partial")
    # Almost no value occurs twice: dictionaries would only add to the size.
    frame.to_parquet(unfinished, index=False, compression="zstd", use_dictionary=False)
    unfinished.replace(path)


def main() -> None:
    """Write all runs below the folder named on the command line."""
    parser = argparse.ArgumentParser(description="Write the sample data as Parquet files.")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR")
    output: Path = parser.parse_args().output
    for run in runs():
        frame = make_run(run.number, run.kind)
        write(frame, output / run.path)
        print(f"{run.path}: {len(frame)} steps", flush=True)


if __name__ == "__main__":
    main()

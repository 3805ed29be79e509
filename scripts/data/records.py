"""Write records of the Bouc-Wen benchmark: noisy ones to learn from, others to validate on.

    python -m scripts.data.records --output DIR [--records 60]

The system and its simulator are those of `scripts/data/bouc_wen.py`. Training records are
random-phase multisines of 8192 samples at 750 Hz, of 50 N and 5 to 150 Hz, from rest, as the
benchmark prescribes for estimation, with Gaussian noise of 8e-6 m on the displacement. Validation
records are noiseless: two more multisines, and a sweep that is another one than the official.

The official test records are in an HDF5 file, which is not ours: force u (N), displacement y (m).
The environment variable TRANSFORMERTF_BOUC_WEN_H5 names it.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from scripts.data.bouc_wen import FloatArray, decimate, simulate

VARIABLE = "TRANSFORMERTF_BOUC_WEN_H5"
RATE_HZ, FACTOR = 750, 20
SAMPLES = 8192
FORCE_RMS_N = 50.0
# lines of the spectrum that are excited: 5 to 150 Hz
LINES = np.arange(55, 1640)
NOISE_M = 8e-6
SWEEP_S = 60.0


def multisine(generator: np.random.Generator, rms_n: float = FORCE_RMS_N) -> FloatArray:
    """Return one period of a force (N) at 15 kHz: a flat spectrum with random phases."""
    spectrum = np.zeros(FACTOR * SAMPLES // 2 + 1, dtype=np.complex128)
    spectrum[LINES] = np.exp(2j * np.pi * generator.random(len(LINES)))
    force = np.fft.irfft(spectrum)
    return np.asarray(force * rms_n / np.sqrt(np.mean(force**2)))


def sweep(amplitude_n: float, first_hz: float, rate_hz_s: float, seconds: float) -> FloatArray:
    """Return a force (N) at 15 kHz whose frequency rises evenly from `first_hz` on."""
    time = np.arange(int(seconds * RATE_HZ) * FACTOR) / (RATE_HZ * FACTOR)
    return amplitude_n * np.sin(2 * np.pi * (first_hz * time + rate_hz_s * time**2 / 2))


def record(force: FloatArray) -> pd.DataFrame:
    """Return force (N) and displacement (um) at 750 Hz, from rest, of a force at 15 kHz."""
    displacement, _ = simulate(force)
    columns = {"force_n": force[::FACTOR], "displacement_um": 1e6 * decimate(displacement)}
    return pd.DataFrame({name: values[: len(force) // FACTOR] for name, values in columns.items()})


def training_record(number: int) -> pd.DataFrame:
    """Return a noisy record to learn from."""
    generator = np.random.default_rng([number, 5])
    found = record(multisine(generator))
    found["displacement_um"] += generator.normal(0.0, 1e6 * NOISE_M, len(found))
    return found


def validation_record(number: int) -> pd.DataFrame:
    """Return a noiseless record to validate on: of the last number a sweep."""
    if number < 2:
        return record(multisine(np.random.default_rng([number, 6])))
    return record(sweep(40.0, 22.0, 0.5, SWEEP_S))


def official_records(path: Path) -> dict[str, pd.DataFrame]:
    """Return the official test records of a file, by name."""
    with h5py.File(path) as file:
        return {
            name: pd.DataFrame(
                {
                    "force_n": file[f"{name}/u"][:, 0],
                    "displacement_um": 1e6 * file[f"{name}/y"][:, 0],
                }
            )
            for name in ("multisine", "sinesweep")
        }


def write_records(folder: Path, count: int) -> None:
    """Write so many records to learn from, and those to validate on, each a parquet file."""
    with ProcessPoolExecutor() as pool:
        made = {
            "train": pool.map(training_record, range(count)),
            "validation": pool.map(validation_record, range(3)),
        }
        for stage, tables in made.items():
            (folder / stage).mkdir(parents=True, exist_ok=True)
            for number, table in enumerate(tables):
                table.to_parquet(folder / stage / f"{number:03d}.parquet")


def main() -> None:
    """Write the records."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--records", type=int, default=60)
    options = parser.parse_args()
    write_records(options.output, options.records)


if __name__ == "__main__":
    main()

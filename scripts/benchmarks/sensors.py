"""What the parts of the virtual sensor are worth: differences, and the state carried along runs.

    python -m scripts.benchmarks.sensors [--seeds 3] [--variants NAME ...] [--output DIR]

`sample_configs/sequence_lstm.yml` as it is, without the force's difference, and with random
sequences that begin from a state of zeros, as many steps of each. Errors are those of whole runs.
"""

import argparse
import json
import tempfile
from pathlib import Path

from scripts.benchmarks.benchmarking import describe_machine, markdown_table
from scripts.benchmarks.fits import ROOT, Fit, command, fit, row

CONFIG = ROOT / "sample_configs" / "sequence_lstm.yml"
VARIANTS: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "no difference": ("--data.difference_covariates", "null"),
    # eleven batches of an epoch, as lanes have
    "windows": ("--data.carry_state", "false", "--trainer.limit_train_batches", "11"),
}


def errors(folder: Path, one: Fit) -> list[float]:
    """Return the root mean square errors (mm) on validation and test runs."""
    found = []
    for stage in ("validation", "test"):
        output = folder / f"{one.checkpoint.parents[2].name}_{stage}"
        files = ROOT / "sample_configs" / "data" / stage / "*.parquet"
        command(
            folder, "evaluate", "--ckpt_path", str(one.checkpoint),
            "--data.test_df_paths", str(files), "--output", str(output),
        )  # fmt: skip
        found.append(float(json.loads((output / "metrics.json").read_text())["RMSE"]))
    return found


def main() -> None:
    """Fit each variant with each seed and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--output", type=Path, help="folder of the runs; default: a new one")
    options = parser.parse_args()
    folder = options.output or Path(tempfile.mkdtemp())
    rows = []
    for name in options.variants:
        fits = [
            fit(folder, CONFIG, seed, VARIANTS[name], name=name.replace(" ", "_"))
            for seed in range(options.seeds)
        ]
        found = row(name, fits, lambda one: errors(folder, one), lambda error: f"{error:.3f} mm")
        rows.append(found)
    header = ("training", "validation RMSE", "test RMSE", "processor time", "parameters")
    print(markdown_table(header, rows))
    print(f"\n{describe_machine('lightning')}")


if __name__ == "__main__":
    main()

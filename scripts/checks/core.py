"""Try the package where nothing but its core dependencies is installed: `make core`.

Imports every module, then fits a few steps of a sample configuration and forecasts.
"""

import importlib
import importlib.util
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path

import transformertf

SAMPLES = Path(__file__).parents[2] / "sample_configs"
# what the extras bring: where one of these is, this proves nothing
EXTRAS = ("matplotlib", "pytest", "tensorboard")


def import_all() -> int:
    """Import every module, and return how many there are."""
    modules = list(pkgutil.walk_packages(transformertf.__path__, "transformertf."))
    for module in modules:
        importlib.import_module(module.name)
    return len(modules)


def run(folder: str, *words: str) -> None:
    """Run a command line in a folder."""
    print(f"$ transformertf {' '.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", "transformertf", *words], cwd=folder, check=True)


def main() -> int:
    """Try all of it; 2 where an extra is installed."""
    if extras := [name for name in EXTRAS if importlib.util.find_spec(name)]:
        print(f"more than the core is installed: {', '.join(extras)}", file=sys.stderr)
        return 2
    print(f"{import_all()} modules imported")
    with tempfile.TemporaryDirectory() as folder:
        run(folder, "fit", "--config", str(SAMPLES / "lstm.yml"), "-n", "core",
            "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "3",
            "--trainer.limit_val_batches", "1")  # fmt: skip
        run(folder, "predict", "--ckpt_path", "runs/core/version_0/checkpoints/last.ckpt",
            "--data.predict_df_paths", str(SAMPLES / "data" / "test" / "*.parquet"),
            "--output", "forecasts.parquet")  # fmt: skip
        size = Path(folder, "forecasts.parquet").stat().st_size
    print(f"forecasts of {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

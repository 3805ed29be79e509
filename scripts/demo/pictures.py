"""Trains the panel's TFT, calibrates and evaluates it, and puts the pictures into docs/images."""

import argparse
import contextlib
import shutil
import sys
import tempfile
from pathlib import Path

from transformertf.cli import main as transformertf

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "sample_configs" / "panel_tft.yml"
PICTURES = ("forecasts", "horizon", "calibration", "residuals_1", "importance", "attention")


def run(*words: str) -> None:
    """Run a command of transformertf."""
    print("transformertf", *words)
    code = transformertf(words)
    if code:
        sys.exit(code)


def main() -> None:
    """Make the pictures of docs/evaluation.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--ckpt_path", type=Path, help="a checkpoint of the panel; else one is fit")
    arguments = parser.parse_args()
    output, given = arguments.output.resolve(), arguments.ckpt_path
    given = None if given is None else given.resolve()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        if given is None:
            run("fit", "--config", str(CONFIG), "-n", "panel")
            given = Path("runs/panel/version_0/checkpoints/last.ckpt")
        shutil.copy(given, "panel.ckpt")
        run("calibrate", "--ckpt_path", "panel.ckpt")
        run("evaluate", "--ckpt_path", "panel.ckpt", "--origin", "every:12")
        for name in PICTURES:
            shutil.copy(Path("evaluation/plots") / f"{name}.png", output / f"evaluation_{name}.png")


if __name__ == "__main__":
    main()

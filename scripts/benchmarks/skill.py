"""Run a benchmark of skill and write its section of docs/benchmarks/skill.md.

    python -m scripts.benchmarks.skill bouc_wen [--seeds 3]

Each is a script of its own beside this one, from raw files to a table through the product's own
commands; which files it wants, and where it looks for them, stands there.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from scripts.benchmarks.benchmarking import write_section

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks" / "skill.md"
TITLES = {
    "bouc_wen": "Bouc-Wen: hysteresis",
    "memory": "A memory of ten thousand steps",
    "epf": "Day-ahead prices, Nord Pool",
    "cmapss": "Turbofans, C-MAPSS",
}


def main() -> None:
    """Run one and write what it prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", choices=TITLES)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    words = [sys.executable, "-m", f"scripts.benchmarks.{options.name}"]
    done = subprocess.run(
        [*words, "--seeds", str(options.seeds)], check=True, text=True, stdout=subprocess.PIPE
    )
    print(done.stdout)
    write_section(PAGE, f"## {TITLES[options.name]}\n\n{done.stdout}")


if __name__ == "__main__":
    main()

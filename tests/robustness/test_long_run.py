"""A long fit with validations and checkpoints takes no more memory, files or threads as it goes."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.depth import examples
from transformertf.callbacks import LastCheckpoint
from transformertf.checkpoint.writing import SUFFIX
from transformertf.cli import main

STEPS = examples(300, 10_000)
EVERY = STEPS // 100
MEGABYTES = 30  # 3 KB a step over 10,000 steps would be seen


def measure() -> dict[str, float]:
    """Return resident memory in MB, open files, and threads, of this process."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "MB": int(status["VmRSS"].split()[0]) / 1024,
        "files": len(os.listdir("/proc/self/fd")),
        "threads": int(status["Threads"]),
    }


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process takes")
def test_takes_no_more_as_it_goes(
    experiment: Any,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    measured: list[dict[str, float]] = []
    save = LastCheckpoint._save

    def note(self: LastCheckpoint, trainer: Any) -> None:
        save(self, trainer)
        measured.append(measure())

    monkeypatch.setattr(LastCheckpoint, "_save", note)

    def long(tree: dict[str, Any]) -> None:
        # 85 training windows of the fixture, drawn again in every epoch
        tree["data"]["init_args"] |= {"batch_size": 1, "randomize_seq_len": True}
        tree["data"]["init_args"] |= {"min_ctxt_seq_len": 2, "min_tgt_seq_len": 1}
        tree["trainer"] |= {"max_epochs": None, "max_steps": STEPS}
        tree["checkpoint_every"] = EVERY

    assert main(["fit", "--config", str(experiment.write(workdir, long))]) == 0
    assert len(measured) >= 100
    # what is made once is made by then
    first, last = measured[len(measured) // 10], measured[-1]
    for name in first:
        record_property(f"first {name}", round(first[name]))
        record_property(f"last {name}", round(last[name]))
    assert last["files"] <= first["files"]
    assert last["threads"] <= first["threads"]
    assert last["MB"] <= first["MB"] + MEGABYTES
    assert not list(workdir.rglob(f"*{SUFFIX}"))

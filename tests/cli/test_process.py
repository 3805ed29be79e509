"""The process keeps what it frees, so that a step finds its memory again."""

import resource
import subprocess
import sys

import pytest

STEPS = """
import resource, sys
import torch
from transformertf.cli.process import fast_process

def step():
    pieces = [torch.ones(2**21) for _ in range(8)]  # of 8 MB each

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

torch.set_num_threads(1)
with fast_process():
    assert float(torch.tensor([1e-40]) * 1) == 0, "subnormal numbers are kept"
    for _ in range(3):
        step()
    before = faults()
    for _ in range(10):
        step()
    print(faults() - before)
assert float(torch.tensor([1e-40]) * 1) > 0
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is there on Linux")
def test_freed_memory_is_found_again_and_subnormals_are_zero():
    found = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    pages = 10 * 8 * 2**23 / resource.getpagesize()
    assert int(found.stdout) < pages / 10


def test_a_reader_that_stops_reading_is_no_failure() -> None:
    command = f"{sys.executable} -m transformertf fit --help | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in ("0", "1")

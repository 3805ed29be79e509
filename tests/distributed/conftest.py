"""One pair of gloo processes, which serves all tests of this folder.

They meet over a file, no port is opened, and a collective that one of them does not reach is an
error after `PATIENCE`.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed

from tests.cli.conftest import experiment
from tests.processes import CONTEXT

__all__ = ["experiment", "on_ranks"]

RANKS = 2
PATIENCE = timedelta(seconds=20)


def join_group(rank: int, path: Path) -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module=r"lightning\.")
    # so that Lightning takes the processes it is in and starts no others
    os.environ |= {"LOCAL_RANK": str(rank), "WORLD_SIZE": str(RANKS), "NODE_RANK": "0"}
    distributed.init_process_group(
        "gloo", init_method=f"file://{path}", rank=rank, world_size=RANKS, timeout=PATIENCE
    )


@pytest.fixture(scope="session")
def on_ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., list[Any]]]:
    """Return what calls a function of a test module on every rank and gives all its results."""
    path = tmp_path_factory.mktemp("group") / "store"
    pools = [ProcessPoolExecutor(1, CONTEXT, join_group, (rank, path)) for rank in range(RANKS)]

    def call(function: Callable[..., Any], *arguments: Any) -> list[Any]:
        futures = [pool.submit(function, *arguments) for pool in pools]
        return [future.result(timeout=120) for future in futures]

    yield call
    call(distributed.destroy_process_group)
    for pool in pools:
        pool.shutdown()

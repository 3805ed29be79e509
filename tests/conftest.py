"""One thread for each worker: the suite runs on few cores, and small models gain nothing from more.

Threads that wait for each other on busy cores make a small LSTM tens of times slower.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)

# `make soak` looks further than the suite: `--hypothesis-profile soak`
settings.register_profile(
    "soak", max_examples=400, deadline=None, suppress_health_check=list(HealthCheck)
)

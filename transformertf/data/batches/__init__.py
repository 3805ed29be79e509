"""Scaled rows and windows to batches: one gather for each side of a batch.

ScaledRows + Request -> Batch
"""

from transformertf.data.batches.dataset import BatchDataset, Layout, SequenceDataset, WindowDataset
from transformertf.data.batches.gather import HOST
from transformertf.data.batches.loader import Delivery, require_agreement

__all__ = [
    "HOST",
    "BatchDataset",
    "Delivery",
    "Layout",
    "SequenceDataset",
    "WindowDataset",
    "require_agreement",
]

"""Scaled rows and windows to batches: one gather for each side of a batch.

ScaledRows + Request -> Batch
"""

from transformertf.data.batches.dataset import BatchDataset, Layout, SequenceDataset, WindowDataset
from transformertf.data.batches.fitted import Fitted
from transformertf.data.batches.loader import Delivery, require_agreement

__all__ = [
    "BatchDataset",
    "Delivery",
    "Fitted",
    "Layout",
    "SequenceDataset",
    "WindowDataset",
    "require_agreement",
]

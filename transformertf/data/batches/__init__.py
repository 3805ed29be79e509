"""Scaled rows and windows to batches: one gather for each side of a batch.

    ScaledRows + Request -> Batch

`gather` takes the rows of windows out of what is stored, `dataset` lays batches out, `loader` hands
them to a trainer. `fitted` is what all who make batches go through, from series on.
"""

from transformertf.data.batches.dataset import BatchDataset, Layout, SequenceDataset, WindowDataset
from transformertf.data.batches.fitted import Fitted
from transformertf.data.batches.gather import WindowScaling
from transformertf.data.batches.loader import Delivery, require_agreement

"""From files to batches, one step a module:

1. `columns`     which column is time, id, target, known, past; the order of the features
2. `files`       paths, globs and lists -> tables; `folders` reads folders of parquet files
3. `panels`      tables -> checked series, told apart by `groups`; `frames` holds and thins them
4. `transform`   series -> scaled series, and back
5. `splits`      series -> training, validation and test parts; `short` leaves out what is too short
6. `windows`     parts -> index ranges
7. `sampler`     index ranges -> the order and the lengths of an epoch
8. `dataset`     series and index ranges -> whole batches
9. `base`        wires 1 to 8; its data modules: `datamodule`, windows with context and horizon,
                and `time_series`, sequences
"""  # noqa: D415 -- a list, not a sentence

from transformertf.data.datamodule import EncoderDecoderDataModule
from transformertf.data.time_series import TimeSeriesDataModule

__all__ = ["EncoderDecoderDataModule", "TimeSeriesDataModule"]

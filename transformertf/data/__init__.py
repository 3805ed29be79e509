"""From files to batches, one step a module:

1. `columns`     which column has which role; the order of the features
2. `files`       paths, globs and lists -> `tables`, read piece by piece; `folders` of parquet files
3. `filling`     tables -> a panel (`panels`): `groups` tell series apart, `futures` go on with
                them, `times` reads their time, `checks` refuse what cannot be used; `storage`
                says whether it lies in memory or in a `cache` of mapped files (`store`, `locks`)
4. `reading`     panel -> series (`frames`): broken and completed at `gaps`, thinned
5. `stages`      series -> parts for training, validation and test (`splits`); `short` leaves out
                what is too short
6. `windows`     parts -> index ranges; at predict, and to evaluate, from `origins`
7. `scaling`     training rows (`pieces`) -> a chain of `transform`s for each column (`chains`), and
                the `time_feature`; `vocabulary` numbers categories
8. `stored`      series -> scaled rows: `features`, `calendar`, categories
9. `sampler`     index ranges -> the order and the lengths of an epoch, by a `permutation`, and the
                shares of `processes`
10. `dataset`    stored rows and index ranges -> whole batches: `gather`, `window_scaling`; `loader`
11. `base`       wires 1 to 10 by `arguments`; its data modules: `datamodule`, windows with context
                and horizon, and `time_series`, sequences
"""  # noqa: D415 -- a list, not a sentence

from transformertf.data.datamodule import EncoderDecoderDataModule
from transformertf.data.time_series import TimeSeriesDataModule

__all__ = ["EncoderDecoderDataModule", "TimeSeriesDataModule"]

"""Files to series: tables read piece by piece, joined to one checked panel, and cut into series.

    files -> Table -> Panel -> Series

`formats` finds and opens the files (`csv_files`, written as `dialects` say, `parquet_files`,
`feather_files`, `h5_files`, `folders`), `frames` takes what is in memory, `headers` says which
column is meant, `tables` gives rows in pieces, `times` reads time stamps (`text_dates` how they are
written), `grouping` tells the series apart, `filling` puts each row into its place in a `panel`,
`checks` refuses what cannot be used, `gaps` completes and thins, `oddities` tells what is odd,
`following` goes on after the last row, `changing` plans otherwise. `cache` and `memory` say where
columns lie, `kept` whether they are as they were written; `reader` does it all for a data module,
once in a stage.
"""

from transformertf.data.reading.asked import date_of, first_row_at, row_at
from transformertf.data.reading.cache import cache_entries, cache_root, clear_cache
from transformertf.data.reading.changing import Change, change_rows, check_changes
from transformertf.data.reading.checks import all_finite
from transformertf.data.reading.dialects import Dialect, open_text
from transformertf.data.reading.filling import fill_panel
from transformertf.data.reading.following import follow
from transformertf.data.reading.formats import (
    columns_of,
    expand_paths,
    is_text,
    matches,
    open_tables,
    shared_files,
)
from transformertf.data.reading.frames import as_frame, frame_table, is_frame
from transformertf.data.reading.grouping import Numbering
from transformertf.data.reading.headers import column_key
from transformertf.data.reading.memory import (
    PIECE,
    KeepArray,
    keep_in_memory,
    release,
    require_whole,
    resident_device,
    slices,
    worked_on,
)
from transformertf.data.reading.panel import Rules, optional_columns
from transformertf.data.reading.reader import Reader, Reading, named
from transformertf.data.reading.steps import STEP_ROWS, next_times, on_wall
from transformertf.data.reading.tables import Table
from transformertf.data.reading.text_dates import dates_of
from transformertf.data.reading.times import Clock, as_index, require_dates
from transformertf.data.reading.zones import instants

"""Panels and arrays mapped from files, which `store` keeps.

Memory beyond the system's page cache does not grow with their rows.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from transformertf.data.columns import Columns
from transformertf.data.filling import fill_panel
from transformertf.data.panels import Panel, Rules
from transformertf.data.store import Array, make_key, map_array, new_array, open_entry
from transformertf.data.tables import Table
from transformertf.errors import InputError


def row_bytes(columns: Columns) -> int:
    """Return the bytes of a row of a panel."""
    return 8 * len(columns.values) + 4 * len(columns.categories) + 8 * columns.has_time


def panel_key(tables: Sequence[Table], columns: Columns, names: Sequence[str], rules: Rules) -> str:
    """Return the name of a panel's entry.

    It stands for the content of the files as far as their paths, sizes and times of last change
    (in ns) tell, for which of them hold future rows, for the columns that are read and for the
    rules. So a file that is replaced by one of the same size and the same time is taken for the
    old one.
    """
    files = []
    for path, future in dict.fromkeys((table.path, table.future) for table in tables):
        state = path.stat()
        files.append((str(path.resolve()), state.st_size, state.st_mtime_ns, future))
    # what is computed of columns does not change them
    read = replace(columns, calendar=(), calendar_categories=(), lags=(), indicators=False)
    return make_key("panel", (files, asdict(read), list(names), asdict(rules)))


def panel(
    tables: Sequence[Table],
    columns: Columns,
    names: Sequence[str] = (),
    rules: Rules = Rules(),  # noqa: B008  frozen
) -> Panel:
    """Return a panel whose arrays are mapped; see `fill_panel`.

    The tables are read where there is no entry of them, see `panel_key`. To sort a series takes
    memory in proportion to it.

    Args:
        tables: tables of files.
        columns: roles of the columns.
        names: name of each table's one series, where there are no id columns.
        rules: what is let through.

    Returns:
        A panel whose values, codes and stamps are read-only: `torch.from_numpy` warns of such an
        array, as to write into its tensor would end the process.

    Raises:
        InputError: as `fill_panel` and `open_entry`.
    """
    key = panel_key(tables, columns, names, rules)
    more = f" and {len(tables) - 1} more" if len(tables) > 1 else ""
    what = f"{tables[0].where}{more}"

    def build(folder: Path) -> dict[str, Any]:
        made = fill_panel(tables, columns, names, rules, partial(new_array, folder))
        if panel_key(tables, columns, names, rules) != key:
            raise InputError(f"{what}: changed while it was read; run again")
        for name in ("starts", "static", "observed"):
            np.save(folder / f"{name}.npy", getattr(made, name))
        return {
            "names": made.names,
            "texts": made.texts,
            "static_texts": made.static_texts,
            "time_type": None if made.stamps is None else str(made.time_type),
            "ending": made.ending,
        }

    size = row_bytes(columns) * sum(table.rows for table in tables)
    return open_entry(key, what, size, build, _load_panel)


def array(
    key_parts: Sequence[object],
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    write: Callable[[Array], None],
    what: str = "scaled columns",
) -> Array:
    """Return an array that is mapped, read-only as those of `panel`.

    Args:
        key_parts: what its content depends on; see `make_key`.
        shape: its shape.
        dtype: its type.
        write: fills the array that it is given; called where there is no entry.
        what: what it is, for the user.

    Raises:
        InputError: as `open_entry`.
    """

    def build(folder: Path) -> dict[str, Any]:
        write(new_array(folder, "array", shape, dtype))
        return {}

    def load(folder: Path, _: object) -> Array:
        return map_array(folder, "array")

    kind = np.dtype(dtype)
    key = make_key("array", (list(key_parts), shape, str(kind)))
    return open_entry(key, what, math.prod(shape) * kind.itemsize, build, load)


def _load_panel(folder: Path, kept: dict[str, Any]) -> Panel:
    starts, static, observed = (
        np.load(folder / f"{name}.npy") for name in ("starts", "static", "observed")
    )
    time_type = kept["time_type"]
    return Panel(
        kept["names"],
        starts,
        map_array(folder, "values"),
        map_array(folder, "codes"),
        kept["texts"],
        static,
        [tuple(texts) for texts in kept["static_texts"]],
        None if time_type is None else map_array(folder, "stamps"),
        None if time_type is None else pd.api.types.pandas_dtype(time_type),
        observed,
        kept["ending"],
    )

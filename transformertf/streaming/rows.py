"""Frames of new rows to checked rows of a series, quickly where nothing is to convert."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from transformertf.data import Codes, Columns, FloatArray, Series
from transformertf.data.reading import (
    Numbering,
    Rules,
    Table,
    fill_panel,
    frame_table,
    optional_columns,
)
from transformertf.data.scaling import Vocabularies
from transformertf.errors import InputError

log = logging.getLogger(__name__)
# types of columns that `frame_table` makes others of
_CONVERTED = pd.ArrowDtype, pd.SparseDtype


class RowReader:
    """Reads frames of one series.

    `fill_panel` reads and checks files, and frames of any kind; for a few rows it takes some
    milliseconds. Rows that it would take as they are, numbers without a gap, are taken as they
    are without it.

    Args:
        where: what the frames are given to, for messages.
        columns: roles of the columns. A frame need not have the ids.
        rules: what may be missing.
        vocabularies: fitted.
    """

    def __init__(
        self, where: str, columns: Columns, rules: Rules, vocabularies: Vocabularies
    ) -> None:
        self.where = where
        self.columns = columns
        self.rules = rules
        self.vocabularies = vocabularies
        self._optional = optional_columns(columns, rules)
        # values of the columns that are constant in a series, as a frame had them
        self._constant: dict[str, Any] = {}
        # categories that were told to be unknown
        self._told: dict[str, set[str]] = {}

    def __call__(self, frame: pd.DataFrame, name: str, before: Series | None) -> Series:
        """Return the rows of a frame.

        Args:
            frame: at least one row.
            name: of the series, where the frame has no ids.
            before: rows of the same series; None where there are none.

        Returns:
            Rows whose categories have their places in the vocabularies, -1 where unknown.

        Raises:
            InputError: a column is missing, or what `fill_panel` refuses; rows of several series,
                or of another one than before.
        """
        frame = self._named(frame)
        series = None if before is None else self._plain(frame, before)
        if series is None:
            series = self._any(frame, name)
            if before is not None:
                self._check_same(before, series)
            constant = (*self.columns.ids, *self.columns.static, *self.columns.static_categories)
            self._constant = {own: frame[own].iloc[0] for own in constant if own in frame}
        for own, text in zip(self.columns.static_categories, series.static_texts, strict=True):
            if text is not None and text not in self.vocabularies.texts[own]:
                self._tell_unknown(own, {text})
        return replace(
            series, categories=tuple(map(self._coded, self.columns.categories, series.categories))
        )

    def _named(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a frame whose columns have the names and types that they are wanted under."""
        optional = (*self._optional, *self.columns.ids)
        table = frame_table(frame, self.columns.stored, optional, self.where, self.rules.renames)
        if not table.scales and all(
            name == header and name in frame and not isinstance(frame[name].dtype, _CONVERTED)
            for name, header in table.headers.items()
        ):
            return frame
        return next(table.pieces(self.columns.stored))

    def _plain(self, frame: pd.DataFrame, before: Series) -> Series | None:
        """Return rows that nothing is to be done to; None for those that are to be looked into."""
        columns = self.columns
        constant = (*columns.ids, *columns.static, *columns.static_categories)
        for name in constant:
            if name in frame:
                same = frame[name] == self._constant.get(name)
                if not same.all():
                    return None
        values = self._numbers(frame)
        time = None if columns.time is None else _rising(frame[columns.time])
        if values is None or (columns.time is not None and time is None):
            return None
        if self.rules.time_kind == "date" and (
            not isinstance(time, pd.DatetimeIndex) or (self.rules.zone and time.tz is None)
        ):
            return None  # numbers that are dates, or dates by the clocks of the zone
        categories = []
        for name in columns.categories:
            book = Numbering(name, "categorical")
            codes = book.number(frame[name], self.where)
            if not self.rules.mask and (codes < 0).any():
                return None
            categories.append(Codes(codes.astype(np.int32), list(book.texts)))
        return replace(
            before, values=values, time=time, observed=len(values), categories=tuple(categories)
        )

    def _numbers(self, frame: pd.DataFrame) -> FloatArray | None:
        """Return the real columns (rows, columns); None where one is to be converted or refused."""
        values = np.empty((len(self.columns.values), len(frame)))
        for place, name in enumerate(map(self.columns.source, self.columns.values)):
            # the target may not be there at all
            column = frame[name].to_numpy() if name in frame else np.full(len(frame), np.nan)
            if column.dtype.kind not in "fiu":
                return None
            values[place] = column
        needed = values[:0] if self.rules.mask else values[:-1] if self._optional else values
        if np.isnan(needed).any() or np.isinf(values).any():
            return None
        return values.T

    def _any(self, frame: pd.DataFrame, name: str) -> Series:
        """Return the rows of a frame as those of a file."""
        ids = tuple(own for own in self.columns.ids if own in frame)
        columns = replace(self.columns, ids=ids)
        names = [own for own in columns.stored if own in frame]
        table = Table.of_frame(self.where, frame[names])
        series = fill_panel([table], columns, [name], self.rules).series()
        if len(series) > 1:
            raise InputError(
                f"{self.where}: expected rows of one series, found {series[0].name!r} and "
                f"{series[1].name!r} by {', '.join(ids)}; give each series a session of its own"
            )
        return series[0] if len(ids) == len(self.columns.ids) else replace(series[0], name=name)

    def _check_same(self, before: Series, series: Series) -> None:
        """Refuse rows that say that they are of another series."""
        columns = self.columns
        if series.name != before.name:
            raise InputError(
                f"{self.where}: expected rows of series {before.name!r} as before, found "
                f"{series.name!r}; give each series a session of its own"
            )
        static = zip(columns.static, before.static.tolist(), series.static.tolist(), strict=True)
        texts = zip(
            columns.static_categories, before.static_texts, series.static_texts, strict=True
        )
        for name, known, found in (*static, *texts):
            # a missing value is not equal to itself
            if known != found and not (known != known and found != found):
                raise InputError(
                    f"{self.where}: static column {name!r} must be constant within a series, found "
                    f"{found!r} after {known!r}; correct it, or begin a session anew"
                )

    def _coded(self, name: str, column: Codes) -> Codes:
        """Return a category by its places in the vocabulary, so that all rows have one list."""
        texts = self.vocabularies.texts[name]
        places = {text: place for place, text in enumerate(texts)}
        table = np.array([*(places.get(text, -1) for text in column.texts), -1], dtype=np.int32)
        codes = table[column.codes]
        lost = column.codes[(codes < 0) & (column.codes >= 0)]
        self._tell_unknown(name, {column.texts[code] for code in lost.tolist()})
        return Codes(codes, texts)

    def _tell_unknown(self, name: str, texts: set[str]) -> None:
        """Say which values of a category training did not have, each once."""
        told = self._told.setdefault(name, set())
        new = texts - told
        told |= new
        if new:
            log.warning(
                "%s: %r has values that training did not have, taken for unknown: %s",
                self.where, name, ", ".join(map(repr, sorted(new))),
            )  # fmt: skip


def _rising(column: pd.Series) -> pd.Index | None:
    """Return time stamps that are plain and rise; None for others."""
    if column.dtype.kind not in "Mfiu" or not (
        isinstance(column.dtype, np.dtype | pd.DatetimeTZDtype)
    ):
        return None
    time: pd.Index = pd.Index(column)
    stamps = time.asi8 if isinstance(time, pd.DatetimeIndex) else time.to_numpy()
    if time.hasnans or not (stamps[1:] > stamps[:-1]).all() or np.isinf(stamps[-1]):
        return None
    return time

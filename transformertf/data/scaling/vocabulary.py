"""Categories to numbers: the values that training had, and one number for all others."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from transformertf.data.columns import Columns
from transformertf.data.reading import PIECE, slices
from transformertf.data.series import Codes, Series
from transformertf.data.windows import Spans
from transformertf.errors import first_names

log = logging.getLogger(__name__)
CodeTable = npt.NDArray[np.signedinteger[Any]]


class Vocabularies:
    """The values of each categorical column in training, numbered from 1 in sorted order.

    0 stands for a value that training did not have, and for a missing one.

    Args:
        columns: roles of the columns.

    Attributes:
        texts: the values of each column of `Columns.categories` and `Columns.static_categories`.
    """

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.texts: dict[str, list[str]] = {
            name: [] for name in (*columns.categories, *columns.static_categories)
        }
        self._numbers: dict[str, dict[str, int]] = {name: {} for name in self.texts}
        # series of one panel share their texts, so the last table made mostly serves again
        self._tables: dict[str, tuple[Sequence[str], CodeTable]] = {}

    def fit(self, series: Sequence[Series], spans: Sequence[Spans]) -> None:
        """Take the values of the `spans`, the training rows, static ones of series with such."""
        training = [(one, own) for one, own in zip(series, spans, strict=True) if own]
        for place, name in enumerate(self.columns.categories):
            self._learn(name, _texts_in([(one.categories[place], own) for one, own in training]))
        for place, name in enumerate(self.columns.static_categories):
            texts = {one.static_texts[place] for one, _ in training}
            self._learn(name, {text for text in texts if text is not None})

    def codes(
        self, series: Series, dtype: type[np.signedinteger[Any]] = np.int32
    ) -> npt.NDArray[Any]:
        """Return the numbers of a series' categories (rows, columns), as `Columns.categories`."""
        result = np.empty((len(series), len(series.categories)), dtype)
        for place, name in enumerate(self.columns.categories):
            column = series.categories[place]
            table = self._table(name, column.texts)
            for rows in slices(0, len(series), PIECE):
                # -1, which is missing, picks the table's last entry
                result[rows, place] = table[column.codes[rows]]
        return result

    def static_codes(self, series: Series) -> npt.NDArray[np.int64]:
        """Return the numbers of a series' static categories (columns,)."""
        names = self.columns.static_categories
        found = [
            0 if text is None else self._numbers[name].get(text, 0)
            for name, text in zip(names, series.static_texts, strict=True)
        ]
        return np.array(found, dtype=np.int64)

    def sizes(self, names: Sequence[str]) -> tuple[int, ...]:
        """Return how many numbers each of these columns has, the 0 included."""
        return tuple(len(self.texts[name]) + 1 for name in names)

    def unknown(self, series: Series) -> dict[str, Counter[str]]:
        """Return, of the columns with values that training did not have, their rows by value.

        Missing values are not among them. A static value counts as one row.
        """
        result: dict[str, Counter[str]] = {}
        for name, column in zip(self.columns.categories, series.categories, strict=True):
            table = self._table(name, column.texts)
            # series have few of the values that there are
            found: Counter[str] = Counter()
            for rows in slices(0, len(series), PIECE):
                codes = column.codes[rows]
                lost, counts = np.unique(
                    codes[(codes >= 0) & (table[codes] == 0)], return_counts=True
                )
                for place, count in zip(lost.tolist(), counts.tolist(), strict=True):
                    found[str(column.texts[place])] += count
            if found:
                result[name] = found
        for name, text in zip(self.columns.static_categories, series.static_texts, strict=True):
            if text is not None and text not in self._numbers[name]:
                result[name] = Counter([text])
        return result

    def state_dict(self) -> dict[str, list[str]]:
        """Return the values of each column."""
        return {name: list(texts) for name, texts in self.texts.items()}

    def load_state_dict(self, state: dict[str, list[str]]) -> None:
        """Take over fitted values."""
        for name in self.texts:
            self._learn(name, state[name])

    def _learn(self, name: str, texts: set[str] | list[str]) -> None:
        self.texts[name] = sorted(texts)
        self._numbers[name] = {text: code for code, text in enumerate(self.texts[name], start=1)}
        self._tables.pop(name, None)

    def _table(self, name: str, texts: Sequence[str]) -> CodeTable:
        """Return the number of each text, and 0 behind them, (texts + 1,)."""
        made = self._tables.get(name)
        if made is None or made[0] is not texts:
            numbers = self._numbers[name]
            table = np.array([numbers.get(str(text), 0) for text in texts] + [0], dtype=np.int32)
            made = self._tables[name] = (texts, table)
        return made[1]


def tell_unknown(vocabularies: Vocabularies, series: Sequence[Series], argument: str) -> None:
    """Say which categories there are that training did not have.

    Args:
        vocabularies: fitted.
        series: the series.
        argument: what their files were given to.
    """
    found: dict[str, Counter[str]] = {}
    for one in series:
        for name, counts in vocabularies.unknown(one).items():
            found.setdefault(name, Counter()).update(counts)
    for name, counts in found.items():
        log.warning(
            "%s: %r has %d value(s) that training did not have, taken for unknown: %s",
            argument,
            name,
            len(counts),
            first_names([text for text, _ in counts.most_common()]),
        )


def _texts_in(columns: Sequence[tuple[Codes, Spans]]) -> set[str]:
    """Return the texts that occur in some rows of columns."""
    found: set[str] = set()
    texts: Sequence[str] | None = None
    seen = np.zeros(1, dtype=bool)
    for column, spans in columns:
        if column.texts is not texts:
            found |= _picked(texts, seen)
            texts, seen = column.texts, np.zeros(len(column.texts) + 1, dtype=bool)
        for rows in (rows for span in spans for rows in slices(*span, PIECE)):
            # the last entry, which -1 picks, is that of missing values
            seen[column.codes[rows]] = True
    return found | _picked(texts, seen)


def _picked(texts: Sequence[str] | None, seen: npt.NDArray[np.bool_]) -> set[str]:
    return (
        set()
        if texts is None
        else {str(texts[place]) for place in np.flatnonzero(seen[:-1]).tolist()}
    )

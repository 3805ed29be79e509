"""Files of an argument to the series that a data module works on, read once in a stage."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from transformertf.data.arguments import DownsampleMethod, Missing, Storage
from transformertf.data.columns import Columns, check_calendar
from transformertf.data.reading.cache import cached_array, cached_panel, panel_key, row_bytes
from transformertf.data.reading.dialects import PLAIN, Dialect
from transformertf.data.reading.filling import fill_panel
from transformertf.data.reading.following import following, odd_row_ahead
from transformertf.data.reading.formats import named_twice
from transformertf.data.reading.frames import frame_table
from transformertf.data.reading.gaps import break_at_gaps, downsample, on_grid
from transformertf.data.reading.grouping import SeriesNumbering, typed_ids
from transformertf.data.reading.headers import Renamed, renamed
from transformertf.data.reading.memory import KeepArray, chosen, keep_in_memory
from transformertf.data.reading.oddities import copies, long_gaps, odd_rates
from transformertf.data.reading.panel import (
    Panel,
    Rules,
    open_all,
    open_future,
    open_ids,
    optional_columns,
)
from transformertf.data.reading.tables import Table
from transformertf.data.reading.times import require_dates
from transformertf.data.series import AnyArray, Series, ShortSeries, TimeKind
from transformertf.errors import InputError, count_names, first_names

log = logging.getLogger(__name__)
Spec = str | Sequence[str] | pd.DataFrame
# of a column, the values that each series lacks, and how many there might be
Missed = tuple[dict[str, int], int]


@dataclass
class Opened:
    """What was read of an argument, beside its series.

    Attributes:
        files: how many; of a folder those in it, of a frame none.
        missing: share of the values that are missing, by column, where some are.
    """

    files: int = 0
    missing: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """How files become series.

    Attributes:
        columns: roles of the columns.
        mask: let missing values through.
        sort: sort rows by time.
        freq: distance of rows in time; missing ones are put in.
        max_gap: the longest gap in time that does not break a series.
        downsample: keep one step of so many.
        method: how.
        storage: where the columns are kept.
        zone: time zone of the time stamps; None for that in which they come.
        csv: how csv files are written.
        renames: columns that have another name where they are read.
        tolerance: share of `freq` that time stamps may be off its grid.
    """

    columns: Columns
    mask: bool
    sort: bool
    freq: str | float | None
    max_gap: str | float | None
    downsample: int
    method: DownsampleMethod
    storage: Storage
    zone: str | None = None
    csv: Dialect = PLAIN
    renames: tuple[Renamed, ...] = ()
    tolerance: float = 0.0

    @classmethod
    def of(cls, columns: Columns, given: Mapping[str, Any]) -> "Reading":
        """Return what the arguments of a data module say.

        Args:
            columns: roles of the columns.
            given: the arguments.
        """
        return cls(
            columns,
            given["missing"] == "mask",
            given["sort"],
            given["freq"],
            given["max_gap"],
            given["downsample"],
            given["downsample_method"],
            given["storage"],
            given["time_zone"],
            Dialect.of(given["csv"]),
            renamed(given["rename"], columns.stored, columns.text),
            given["freq_tolerance"],
        )

    def __post_init__(self) -> None:
        """Refuse what needs time stamps without a time column."""
        for name in ("freq", "max_gap"):
            if getattr(self, name) is not None and self.columns.time is None:
                raise InputError(f"{name} wants time stamps: give time_column, or leave it out")
        if self.tolerance and self.freq is None:
            raise InputError("freq_tolerance is a share of freq: give that, too, or leave it out")
        if self.sort and self.columns.time is None:
            raise InputError("sort wants time stamps: give time_column, or leave it out")
        if self.zone is not None:
            self._check_zone(self.zone)
        fields = self.columns.calendar_fields
        if fields and self.columns.time is None:
            check_calendar(fields)
            require_dates(None)
        step, gap = _length(self.freq), _length(self.max_gap)
        if type(step) is type(gap) and step is not None and gap < step:
            raise InputError(
                f"max_gap {self.max_gap} is shorter than freq {self.freq}, so that every two rows "
                "would have a gap between them; raise max_gap, or leave one of them out"
            )

    def _check_zone(self, zone: str) -> None:
        if self.columns.time is None:
            raise InputError("time_zone wants time stamps: give time_column, or leave it out")
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise InputError(
                f"time_zone {zone!r} is no time zone; give its name, as Europe/Berlin"
            ) from None


def named(argument: str, spec: Spec | None) -> str:
    """Return what rows were given to, or as, for messages."""
    return "the frame" if isinstance(spec, pd.DataFrame) else argument


class Reader:
    """Reads the files of arguments, each once until it is told to let go.

    Args:
        how: how files become series.
        short: which series were too short for a step, and whether they may be.
        time_kind: gives what the time column held in training; None before that.

    Attributes:
        opened: what was read of each argument.
    """

    def __init__(
        self, how: Reading, short: ShortSeries, time_kind: Callable[[], TimeKind | None]
    ) -> None:
        self.how = how
        self.time_kind = time_kind
        self.short = short
        self.opened: dict[str, Opened] = {}
        self._series: dict[str, list[Series]] = {}
        self._keys: dict[str, str] = {}

    def read(
        self, argument: str, spec: Spec, missing: Missing, future: Spec | None = None
    ) -> list[Series]:
        """Return the series in files, or in a frame; sorted by name where they are to forecast.

        Args:
            argument: what they were given to.
            spec: a path, a glob or a list of them, or a frame.
            missing: what may be missing; something may where they are to forecast.
            future: the same of the rows that follow.
        """
        if argument not in self._series:
            how = self.how
            rules = Rules(
                missing, how.mask, how.sort, self.time_kind(), how.zone, how.csv, how.renames
            )
            self.opened[argument] = Opened()
            panel = self._panel(argument, spec, rules, future)
            given = panel.series()
            made = self.short.keep(argument, given, self._prepare)
            self._tell(argument, named(argument, spec), given, made)
            self._tell_oddities(argument, made, missing)
            if missing == "future":
                self._tell_odd_rows(made)
            if panel.ending:
                log.warning("future_df_paths: no rows of %s", count_names(panel.ending))
            if panel.unused:
                log.warning(
                    "future_df_paths: values of %s are not used, as nobody knows them ahead: "
                    "forecasts start where predict_df_paths ends",
                    ", ".join(map(repr, panel.unused)),
                )
            if missing != "nothing":
                made.sort(key=lambda series: series.name)
            self._series[argument] = made
        return self._series[argument]

    def future_frame(self, argument: str, spec: Spec, missing: Missing, steps: int) -> pd.DataFrame:
        """Return the rows that follow those of each series, with nothing known of them but time.

        Args:
            argument: what the series were given to.
            spec: a path, a glob or a list of them, or a frame.
            missing: what may be missing.
            steps: how far the rows go on after the last target, as rows are forecast.

        Returns:
            Columns as in the data: ids, time, and known covariates without a value.

        Raises:
            InputError: several series that no ids tell apart.
        """
        columns, thinned = self.how.columns, steps * self.how.downsample
        reader = Reader(replace(self.how, downsample=1), self.short, self.time_kind)
        series = reader.read(argument, spec, missing)
        if len(series) > 1 and not columns.ids:
            raise InputError(
                "future_frame: without series_id a frame is one series, found "
                f"{count_names([one.name for one in series])}; give them one by one"
            )
        rows = [max(0, one.observed + thinned - len(one)) for one in series]
        frame = pd.DataFrame(index=range(sum(rows)))
        if columns.ids:
            ids = self.ids(argument, spec).loc[[one.name for one in series]]
            frame = ids.iloc[np.repeat(np.arange(len(ids)), rows)].reset_index(drop=True)
        if columns.time is not None:
            made = [following(one, more) for one, more in zip(series, rows, strict=True)]
            times = [time for time in made if time is not None]
            frame[columns.time] = times[0].append(times[1:])
        nothing = dict.fromkeys(columns.known_ahead, np.nan)
        return frame.assign(**nothing | dict.fromkeys(columns.known_categories))

    def ids(self, argument: str, spec: Spec) -> pd.DataFrame:
        """Return the id columns as they are given, a row for each series, by its name.

        Text of csv files that is whole numbers all through, as `7` but not `07`, is such numbers.

        Args:
            argument: what the series were given to.
            spec: a path, a glob or a list of them, or a frame.
        """
        numbering = SeriesNumbering(self.how.columns.ids)
        found: list[pd.DataFrame] = []
        rules = Rules(csv=self.how.csv, renames=self.how.renames)
        for table in open_ids(spec, argument, self.how.columns, rules):
            for piece in table.pieces(numbering.ids):
                known = len(numbering)
                numbers, first = np.unique(
                    numbering.number(piece, table.where)[0], return_index=True
                )
                new = piece.iloc[first[numbers >= known]]
                found.append(typed_ids(new, table.kind))
        whole = pd.concat(found, ignore_index=True).set_axis(numbering.names)
        mixed = [
            name for name in whole if pd.api.types.infer_dtype(whole[name]).startswith("mixed")
        ]
        return whole.astype(dict.fromkeys(mixed, "str"))

    def clear(self) -> None:
        """Let go of all series."""
        self._series.clear()
        self._keys.clear()

    def keep_nothing(self, argument: str) -> None:
        """Keep no arrays made of an argument's series, see `keeper`."""
        self._keys.pop(argument, None)

    def keeper(self, argument: str, parts: Callable[[], Mapping[str, Any]]) -> KeepArray:
        """Return what keeps arrays made of an argument's series, where those are kept.

        Args:
            argument: what the files were given to.
            parts: gives what the arrays depend on, beside files and how they are read.
        """
        if argument not in self._keys:
            return keep_in_memory
        how = {name: value for name, value in asdict(self.how).items() if name != "storage"}
        key = [self._keys[argument], how, dict(parts())]

        def keep(
            name: str, shape: tuple[int, ...], dtype: Any, write: Callable[[Any], None]
        ) -> Any:
            if 0 in shape:
                return np.empty(shape, dtype)
            return cached_array([*key, name], shape, dtype, write, f"{argument}: {name}")

        return keep

    def _panel(self, argument: str, spec: Spec, rules: Rules, future: Spec | None) -> Panel:
        columns = self._columns(rules)
        tables, names = self._open(argument, spec, rules)
        if not isinstance(spec, pd.DataFrame):
            self.opened[argument].files = len(tables)
            twice = [str(path) for path in named_twice(spec, argument)]
            if twice:
                log.warning("%s: named more than once, read once: %s", argument, first_names(twice))
        if future is not None:
            later, theirs = open_future(future, columns, names, rules)
            tables, names = [*tables, *later], [*names, *theirs]
        in_memory = any(isinstance(given, pd.DataFrame) for given in (spec, future))
        weighted = columns.weight is not None
        scaled = 4 * (len(columns.features) + weighted) + 8 * columns.has_time
        row, rows = row_bytes(columns) + scaled, sum(table.rows for table in tables)
        if in_memory or chosen(self.how.storage, rows, row) == "memory":
            return fill_panel(tables, columns, names, rules)
        self._keys[argument] = panel_key(tables, columns, names, rules)
        return cached_panel(tables, columns, names, rules)

    def _open(self, argument: str, spec: Spec, rules: Rules) -> tuple[list[Table], list[str]]:
        columns = self._columns(rules)
        if isinstance(spec, pd.DataFrame):
            optional = optional_columns(columns, rules)
            table = frame_table(spec, columns.stored, optional, renames=rules.renames)
            return [table], ["frame"]
        return open_all(spec, argument, columns, rules)

    def _columns(self, rules: Rules) -> Columns:
        """Return the roles; of rows to forecast, where something may be missing, no weight."""
        columns = self.how.columns
        return columns if rules.missing == "nothing" else columns.to_forecast

    def _prepare(self, series: Series) -> Series:
        """Break, complete and thin a series."""
        how = self.how
        fields = how.columns.calendar_fields
        if fields and series.time is not None:
            check_calendar(fields)
            require_dates(series.time)
        if how.max_gap is not None:
            series = break_at_gaps(series, how.max_gap)
        if how.freq is not None:
            whole = on_grid(series, how.freq, how.tolerance)
            if len(whole) > len(series) and not how.mask:
                self._refuse_gaps(series, whole)
            series = whole
        return downsample(series, how.downsample, how.method)

    def _refuse_gaps(self, series: Series, whole: Series) -> None:
        assert series.time is not None
        assert whole.time is not None
        first = whole.time[int(np.argmax(np.isnan(whole.values[:, -1])))]
        raise InputError(
            f"series {series.name!r}: {len(whole) - len(series)} rows are missing at freq "
            f"{self.how.freq}, the first at {self.how.columns.time} {first}; set missing: mask to "
            "fill them in, or max_gap to break the series there"
        )

    def _tell_odd_rows(self, made: Sequence[Series]) -> None:
        """Say where rows to forecast do not go on as the rows before them."""
        odd = [(one, row) for one in made if (row := odd_row_ahead(one)) is not None]
        if odd:
            one, row = odd[0]
            assert one.time is not None
            log.warning(
                "rows without a target are not as far apart as those before, in %s: %s comes after "
                "%s in the first; each is taken for one step, so give a row for each step",
                count_names([one.name for one, _ in odd]), one.time[row], one.time[row - 1],
            )  # fmt: skip

    def _tell_oddities(self, argument: str, made: Sequence[Series], missing: Missing) -> None:
        """Say what is odd about series that can be used."""
        lines: list[str] = []
        if self.how.freq is None:
            lines += odd_rates(made)
            lines += long_gaps(made) if self.how.max_gap is None else []
        if missing == "nothing":  # rows to forecast may be the same under several plans
            lines += copies(made)
        for line in lines:
            log.warning("%s: %s", argument, line)

    def _tell(
        self, argument: str, where: str, given: Sequence[Series], made: Sequence[Series]
    ) -> None:
        """Say how many gaps and missing values there are, and where."""
        self._refuse_no_weight(where, made)
        broken = [one.name for one in made if one.breaks]
        if broken:
            count = sum(len(one.breaks) for one in made)
            log.warning("%s: %d gaps break %s", where, count, count_names(broken))
        if not self.how.mask:
            return
        counts = _count_missing(self.how.columns, made)
        self._refuse_unobserved(where, counts)
        if self.how.freq is not None and self.how.downsample == 1:
            rows = {one.name: len(one) for one in given}
            more = {one.name: len(one) - rows[one.name] for one in made}
            filled = [name for name, count in more.items() if count]
            if filled:
                log.warning(
                    "%s: %d rows put in that were missing, in %s",
                    where, sum(more.values()), count_names(filled),
                )  # fmt: skip
        self.opened[argument].missing = {
            name: sum(lost.values()) / rows
            for name, (lost, rows) in counts.items()
            if any(lost.values())
        }
        for name, (lost, _) in counts.items():
            holed = [series for series, count in lost.items() if count]
            if holed:
                log.warning(
                    "%s: %d values of %r are missing and masked, in %s",
                    where, sum(lost.values()), name, count_names(holed),
                )  # fmt: skip

    def _refuse_no_weight(self, where: str, made: Sequence[Series]) -> None:
        """Refuse weights of which none is above 0: nothing would count."""
        weights = [one.weights for one in made if one.weights is not None]
        if weights and not any((own > 0).any() for own in weights):
            raise InputError(
                f"{where}: weight column {self.how.columns.weight!r} is above 0 in no row, so "
                "that nothing would count; correct it, or leave weight_covariate out"
            )

    def _refuse_unobserved(self, where: str, counts: Mapping[str, Missed]) -> None:
        """Refuse a column without any value: rather a mistake than something missing.

        A series need not have statics, nor rows to forecast a target.
        """
        columns = self.how.columns
        for name in (*columns.known_ahead, *columns.unknown_ahead[:-1]):
            lost, rows = counts[name]
            if rows and sum(lost.values()) == rows:
                raise InputError(
                    f"{where}: column {name!r} has no value in any of {rows} rows, which is "
                    "more than missing: mask stands for; fill it, or leave it out of the roles"
                )


def _count_missing(columns: Columns, series: Sequence[Series]) -> dict[str, Missed]:
    """Return how many values each column lacks, up to where they are known."""
    found: dict[str, Missed] = {}

    def add(name: str, one: Series, missing: AnyArray, *, known: bool = True) -> None:
        lost, rows = found.get(name, ({}, 0))
        # what is known in the past only ends with the target
        missing = missing if known else missing[: one.observed]
        # series cut out of one share its name
        lost[one.name] = lost.get(one.name, 0) + int(np.count_nonzero(missing))
        found[name] = lost, rows + len(missing)

    for one in series:
        for index, name in enumerate(columns.values):
            if name not in columns.copies:
                add(name, one, np.isnan(one.values[:, index]), known=name in columns.known)
        for name, column in zip(columns.categories, one.categories, strict=True):
            add(name, one, column.codes < 0, known=name in columns.known_categories)
        others = (*columns.values, *columns.static)
        if columns.weight is not None and one.weights is not None and columns.weight not in others:
            add(columns.weight, one, np.isnan(one.weights))
        for name, value in zip(columns.static, one.static, strict=True):
            add(name, one, np.isnan([value]))
        for name, text in zip(columns.static_categories, one.static_texts, strict=True):
            add(name, one, np.array([text is None]))
    return found


def _length(given: str | float | None) -> Any:
    """Return a number, or the shortest time that a step takes; None for none that is known."""
    if given is None:
        return None
    try:
        return float(given)
    except (TypeError, ValueError):
        try:
            return pd.date_range("2001-01-01", periods=15, freq=str(given)).diff().min()
        except ValueError:
            return None

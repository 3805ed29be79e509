"""What is odd about series, though they can be used: a line for each kind of thing."""

from collections.abc import Iterator, Sequence

import numpy as np

from transformertf.data.rates import length_text, usual_step
from transformertf.data.series import Series
from transformertf.errors import count_names


def odd_rates(series: Sequence[Series]) -> Iterator[str]:
    """Tell of series whose rows come at another rate than those of most others."""
    rates = [(one, one.rate) for one in series if one.rate is not None]
    usual = usual_step([rate for _, rate in rates])
    if usual is None:
        return
    odd = [(one, rate.step) for one, rate in rates if rate.is_unlike(usual)]
    if odd:
        is_date = odd[0][0].time_kind == "date"
        steps = [step for _, step in odd]
        low, high, most = (length_text(step, is_date) for step in (min(steps), max(steps), usual))
        yield (
            f"rows are {low if low == high else f'{low} to {high}'} apart in "
            f"{count_names([one.name for one, _ in odd])}, {most} in most others, and a model "
            "takes each row for one step; bring them to one rate, or set freq with missing: mask"
        )


def long_gaps(series: Sequence[Series]) -> Iterator[str]:
    """Tell of gaps in time that windows go across."""
    found = [(one, one.rate) for one in series if one.rate is not None and one.rate.gaps]
    if found:
        one, rate = max(found, key=lambda pair: pair[1].longest)
        text = length_text(rate.longest, one.time_kind == "date")
        count = sum(rate.gaps for _, rate in found)
        where = f" (in {one.name!r})" if len(found) > 1 else ""
        yield (
            f"{count} long {'gap' if count == 1 else 'gaps'} in "
            f"{count_names([one.name for one, _ in found])}, of {text} at most{where}: "
            "windows go across as if no row were missing; set max_gap to break series there, or "
            "freq with missing: mask to fill them"
        )


def copies(series: Sequence[Series]) -> Iterator[str]:
    """Tell of series that have the same rows under two names."""
    first: dict[tuple[int, bytes], Series] = {}
    found = []
    for one in series:
        known = first.setdefault(_ends(one), one)
        if known is not one and _is_same(known, one):
            found.append((known.name, one.name))
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        name, other = found[0]
        yield f"{name!r} and {other!r}{more} have the same rows, which count twice; leave one out"


def _ends(series: Series) -> tuple[int, bytes]:
    """Return what two series with the same rows have alike: few numbers, so that it is quick."""
    rows = len(series)
    return rows, series.values[[0, rows // 2, rows - 1] if rows else []].tobytes()


def _is_same(one: Series, other: Series) -> bool:
    """Return whether two series are alike in all rows; a target of one value tells nothing."""
    target = one.values[:, -1]
    if not np.fmin.reduce(target, initial=np.inf) < np.fmax.reduce(target, initial=-np.inf):
        return False
    categories = zip(one.categories, other.categories, strict=True)
    return (
        (one.time is None or (other.time is not None and one.time.equals(other.time)))
        and np.array_equal(one.values, other.values, equal_nan=True)
        and all(np.array_equal(ours.codes, theirs.codes) for ours, theirs in categories)
    )

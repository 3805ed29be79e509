"""Splits, scaling, model and training for the data that was seen, each with its reason."""

import math
from typing import Any, NamedTuple

import numpy as np

from transformertf.data import DAY, HOUR, length_text
from transformertf.proposal.lengths import Lengths
from transformertf.proposal.rhythm import (
    autocorrelation,
    is_heavy,
    level_moves,
    seasons,
    sizes_differ,
    training_rows,
)
from transformertf.proposal.roles import Roles
from transformertf.proposal.series import Arranged

# beyond which windows are scaled each by itself: prices have a level of 1.1, the sample runs 0.4
_MOVES, _UNLIKE = 0.8, 3.0
# steps of a fit over windows of `_USUAL` steps that takes one to three minutes on a core
_STEPS, _FEWEST_STEPS, _USUAL = 2000, 600, 192
BATCH = 64
# windows of an epoch beyond which they are thinned: validation goes through all of them
_WINDOWS = 50_000
# batches between two validations
_EPOCH = 200
# runs from which on whole ones validate
_RUNS = 10
_SHARES = (0.1, 0.2)
# periods that validate, and how many windows behind one another each holds at least
_BLOCKS, _BLOCK = 4, 5
# of sequences: lanes, steps that a gradient reaches back in the mean, steps of a fit
_LANES, _PIECE, _PIECES = 32, 100, 6000
# validations of a fit, about
_VALIDATIONS = 20
# how far a target goes with that of a season ago where that is worth an input, and for how many
# seasons it must be seen
_SAME, _SEASONS = 0.5, 10


class Said(NamedTuple):
    """A value of the configuration, and why it is that."""

    value: Any
    why: str = ""


Section = dict[str, Said]


SEQUENCES = ("LSTM", "GRU")
# small ones, for a machine without accelerator, as those of sample_configs and configs/benchmarks
SIZES: dict[str, dict[str, Any]] = {
    "EncoderDecoderLSTM": {
        "d_encoder": 48, "d_decoder": 48, "num_encoder_layers": 1, "num_decoder_layers": 1,
        "dropout": 0.1,
    },
    "AttentionLSTM": {
        "d_model": 32, "num_layers": 1, "num_heads": 2, "dropout": 0.2, "causal_attention": False,
    },
    "TransformerLSTM": {
        "d_model": 32, "num_layers": 1, "num_transformer_blocks": 1, "num_heads": 1, "dropout": 0.1,
    },
    "TFT": {
        "d_model": 32, "d_hidden_continuous": 8, "num_heads": 2, "num_lstm_layers": 1,
        "dropout": 0.1,
    },
    "LSTM": {"num_layers": 1, "d_model": 48, "dropout": 0.0},
    "GRU": {"num_layers": 1, "d_model": 48, "dropout": 0.0},
}  # fmt: skip
SIZES |= dict.fromkeys(("xTFT", "PFTemporalFusionTransformer"), SIZES["TFT"])
SIZES["TemporalFusionTransformer"] = SIZES["TFT"]
_RATES = {"LSTM": 1e-2, "GRU": 1e-2, "TFT": 4e-3, "xTFT": 4e-3}
_RATE = 5e-3
# a step of these takes about so many times that of the others
_COSTS = {"TFT": 2, "TemporalFusionTransformer": 2, "PFTemporalFusionTransformer": 3, "xTFT": 2}


def choose_model(arranged: Arranged, roles: Roles, context: int | None) -> Said:
    """Return the model for the data, and why."""
    if context == 0:
        return Said("LSTM", "no context: a virtual sensor, whose target follows from its inputs")
    if len(arranged.starts) > 1 and (roles.static or roles.categories):
        return Said("TFT", "chooses among columns, statics and categories; gives quantiles")
    if arranged.is_date:
        return Said("AttentionLSTM", "looks back to the same hour or day of the past")
    return Said("EncoderDecoderLSTM", "a memory along runs, the fastest and a good first try")


def model_section(name: Said, arranged: Arranged, roles: Roles) -> dict[str, Any]:
    """Return the model with its own arguments."""
    own: Section = {key: Said(value) for key, value in SIZES[name.value].items()}
    first = next(iter(own))
    own[first] = Said(own[first].value, "small: made for a machine without accelerator")
    if "causal_attention" in own:
        own["causal_attention"] = Said(False, "what is known ahead is known for the whole horizon")
    if "FT" not in name.value and "Fusion" not in name.value:
        heavy = arranged.is_date and is_heavy(training_rows(arranged, roles.target))
        if heavy and name.value not in SEQUENCES:
            own["criterion"] = Said(
                "MAELoss", "the target jumps now and then; squares would see these alone"
            )
    return {"class_path": name, "init_args": own}


def scaling(arranged: Arranged, roles: Roles) -> Said | None:
    """Return how windows are normalised, None where the default is right."""
    parts = training_rows(arranged, roles.target)
    moves, unlike = level_moves(parts), sizes_differ(parts)
    if moves > _MOVES:
        return Said(
            "window", f"the level moves by {moves:.1f} times the spread around it: each window is "
            "seen relative to its past"
        )  # fmt: skip
    if unlike > _UNLIKE:
        return Said("window", f"large series vary {unlike:.2g} times as much as small ones")
    return None


def calendar(arranged: Arranged, context: int) -> Said | None:
    """Return the fields of the calendar that the target may follow, and a context does not show."""
    if not arranged.is_date or arranged.step is None:
        return None
    # the season of the year moves the level, which windows of hours are seen relative to
    cycles = {"hour": DAY, "dayofweek": 7 * DAY} | (
        {"month": 365 * DAY} if arranged.step >= DAY else {}
    )
    fields = [
        field
        for field, long in cycles.items()
        if 2 * arranged.step <= long <= arranged.rows * arranged.step / 2
        and (context * arranged.step < long or not arranged.is_even)
    ]
    why = "cycles that a context does not hold" if arranged.is_even else "as rows are uneven"
    return Said(fields, why) if fields else None


def lags(arranged: Arranged, target: str, lengths: Lengths) -> Said | None:
    """Return the season that a context does not reach, where the target follows it."""
    found = [
        (steps, what)
        for steps, what in seasons(arranged)
        if max(lengths.context, lengths.horizon) < steps <= arranged.rows / _SEASONS
    ]
    if not found or not arranged.is_even:
        return None
    steps, what = found[-1]
    if autocorrelation(training_rows(arranged, target), steps)[steps] < _SAME:
        return None
    return Said([steps], f"the target {what} ago, which a context does not reach")


def gaps(arranged: Arranged, roles: Roles, horizon: int) -> Section:
    """Return what rows and values that are missing want."""
    said: Section = {}
    if arranged.sorted_here:
        said["sort"] = Said(True, "rows of a series are not in the order of time")
    lost = {n: float(arranged.column(n).isna().mean()) for n in roles.used}
    lost = {name: share for name, share in lost.items() if share > 0}
    if lost or arranged.has_gaps:
        name = max(lost, key=lambda key: lost[key]) if lost else ""
        why = f"{name}: {lost[name]:.1%}" if lost else "rows are missing"
        said["missing"] = Said("mask", f"filled in, and the model is told where ({why})")
    if arranged.has_gaps:
        said["freq"] = Said(_length(arranged, 1), "rows that are missing are put in")
    elif not arranged.is_even:
        said["time_format"] = Said("relative", "rows are uneven: each step says how long it took")
    longest = float(arranged.steps.max(initial=0.0))
    most = max(horizon // 4, 4)
    if not arranged.is_even and arranged.step and longest > most * arranged.step:
        said["max_gap"] = Said(
            _length(arranged, most), f"no window crosses a longer gap (the longest: "
            f"{longest / arranged.step:.0f} steps)"
        )  # fmt: skip
    return said


def shortest(arranged: Arranged, lengths: Lengths, said: Section, shares: Section) -> Said | None:
    """Return whether series that are too short are left out, of all parts or of one."""
    needed = float(lengths.context + lengths.horizon)
    if "split_by" not in shares:
        parts = (shares["val_fraction"].value, shares["test_fraction"].value)
        # parts are rounded down to rows
        needed = max(needed / _kept(shares), *((lengths.horizon + 1) / part for part in parts))
    if "max_gap" in said or (len(arranged.starts) > 1 and arranged.lengths.min() < needed):
        return Said(True, "series, parts of a split, and stretches between gaps, without a window")
    return None


def split(arranged: Arranged, lengths: Lengths) -> Section:
    """Return what validates and what tests."""
    val, test = _SHARES
    if len(arranged.starts) >= _RUNS and not arranged.is_date:
        return {
            "split_by": Said("series", "whole runs validate and test"),
            "val_fraction": Said(0.15),
            "test_fraction": Said(0.15, "opened once, at the end"),
        }
    least = lengths.horizon / arranged.rows * 1.05
    val, test = (max(share, math.ceil(least * 100) / 100) for share in (val, test))
    last = Said(test, "the last rows, opened once, at the end")
    window = lengths.context + lengths.horizon
    if arranged.is_date and val * arranged.rows >= _BLOCKS * _BLOCK * window:
        why = "so many periods validate, spread over the rows: one alone chooses by its weather"
        return {
            "val_fraction": Said(val),
            "val_blocks": Said(_BLOCKS, why),
            "test_fraction": last,
        }
    return {"val_fraction": Said(val, "behind the rows that train"), "test_fraction": last}


def count_windows(arranged: Arranged, lengths: Lengths, shares: Section) -> int:
    """Return how many windows train, about."""
    each = lengths.context + lengths.horizon - 1
    series = arranged.total / max(arranged.rows, 1)
    if "split_by" in shares:
        return max(int(_kept(shares) * (arranged.total - series * each)), 1)
    return max(int(_kept(shares) * arranged.total - series * each), 1)


def _kept(shares: Section) -> float:
    """Return the share of the rows that train."""
    return float(1 - shares["val_fraction"].value - shares["test_fraction"].value)


def stride(windows: int, season: int) -> Said | None:
    """Return rows between windows where there are very many; each place of a season is seen."""
    apart = windows // _WINDOWS
    if apart < 2:
        return None
    while math.gcd(apart, season) > 1:
        apart += 1
    return Said(apart, f"rows between windows: of {windows} these are enough")


def training(name: str, lengths: Lengths, windows: int) -> Section:
    """Return the trainer's arguments for windows: steps enough for some minutes.

    Args:
        name: of the model.
        lengths: of the windows.
        windows: how many train, after a stride.
    """
    long = lengths.context + lengths.horizon
    steps = int(np.clip(_STEPS * _USUAL / long / _COSTS.get(name, 1), _FEWEST_STEPS, _STEPS))
    batches = max(windows // BATCH, 1)
    if batches > _EPOCH:
        return {
            "max_epochs": Said(max(round(steps / _EPOCH), 3)),
            "limit_train_batches": Said(_EPOCH, "random windows, drawn anew in each epoch"),
        }
    return _epochs(int(np.clip(round(steps / batches), 5, 60)), batches)


def lanes(arranged: Arranged, shares: Section) -> int:
    """Return how many runs are trained on at the same time."""
    return int(np.clip(_kept(shares) * arranged.total / (4 * _PIECE), 1, _LANES))


def training_along(arranged: Arranged, shares: Section) -> Section:
    """Return the trainer's arguments for sequences, likewise."""
    rows = _kept(shares) * arranged.total
    batches = max(round(rows / (lanes(arranged, shares) * _PIECE)), 1)
    return _epochs(max(round(_PIECES / batches), 5), batches)


def _epochs(epochs: int, batches: int) -> Section:
    said = {"max_epochs": Said(epochs, f"of about {batches} batches")}
    if epochs >= 2 * _VALIDATIONS:
        said["check_val_every_n_epoch"] = Said(epochs // _VALIDATIONS)
    return said


def learning_rate(name: str) -> float:
    """Return Adam's rate at its highest."""
    return _RATES.get(name, _RATE)


def patience(trainer: Section) -> int:
    """Return the validations without a better one after which a fit ends."""
    apart = int(trainer.get("check_val_every_n_epoch", Said(1)).value)
    return max(int(trainer["max_epochs"].value) // apart // 2, 3)


def _length(arranged: Arranged, steps: int) -> Any:
    """Return so many steps as `freq` and `max_gap` take them."""
    assert arranged.step is not None
    long = steps * arranged.step
    if not arranged.is_date:
        return int(long) if float(long).is_integer() else float(f"{long:.12g}")
    for unit, seconds in (("D", DAY), ("h", HOUR), ("min", 60.0), ("s", 1.0)):
        if long % seconds == 0:
            return f"{int(long // seconds)}{unit}"
    return f"{round(long * 1000)}ms"


def spacing(arranged: Arranged) -> str:
    """Return how far rows are apart, in words."""
    if arranged.step is None:
        return "a single row"
    how = "" if arranged.is_even else ", but for gaps" if arranged.has_gaps else ", unevenly"
    return f"{length_text(arranged.step, arranged.is_date)} apart{how}"

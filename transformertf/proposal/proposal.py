"""From what was seen and what is wished to a whole configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transformertf.data.reading import column_key
from transformertf.errors import InputError, nearest
from transformertf.proposal import settings
from transformertf.proposal.lengths import Lengths, find_lengths
from transformertf.proposal.looking import Seen
from transformertf.proposal.roles import (
    Answers,
    Given,
    Roles,
    find_roles,
    find_target,
    refuse_infinite,
)
from transformertf.proposal.series import Arranged, arrange
from transformertf.proposal.settings import Said
from transformertf.proposal.text import as_yaml


@dataclass(frozen=True)
class Wishes:
    """What the user has said; None where nothing.

    Attributes:
        paths: files as they are to stand in the configuration.
        given: roles of columns.
        ids: columns that tell series apart.
        time: time column.
        zone: time zone by whose clocks dates are written.
        horizon: steps ahead.
        context: steps of the past; 0 for a model that sees no target.
        model: name of the model.
    """

    paths: Sequence[str]
    given: Given = field(default_factory=Given)
    ids: list[str] | None = None
    time: str | None = None
    zone: str | None = None
    horizon: int | None = None
    context: int | None = None
    model: str | None = None


@dataclass(frozen=True)
class Proposal:
    """A configuration with its reasons.

    Attributes:
        text: the configuration in YAML.
        roles: the columns by role.
        lengths: context and horizon.
        model: name of the model.
        leaks: what is said of columns that are the target in disguise.
    """

    text: str
    roles: Roles
    lengths: Lengths
    model: str
    leaks: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return what is taken for what, and what is left out."""
        roles, lengths = self.roles, self.lengths
        named = {"known": roles.known, "past": roles.past, "static": roles.static}
        parts = [f"{what} {', '.join(names)}" for what, names in named.items() if names]
        parts.append(f"{lengths.context} + {lengths.horizon} steps")
        return [*self.leaks, "; ".join([f"target {roles.target}", *parts, self.model])]


def propose(seen: Seen, wishes: Wishes, answers: Answers, name: str = "my.yml") -> Proposal:
    """Return the configuration that is proposed for files.

    Args:
        seen: what was seen of them.
        wishes: what the user has said.
        answers: says what is meant by a proposal.
        name: of the file that it is for.

    Raises:
        InputError: a column that is named is not there, or the series are too short.
    """
    wishes = _named(wishes, seen.columns)
    _check_model(wishes.model)
    arranged = arrange(seen, wishes.time, wishes.ids, wishes.zone)
    target = find_target(arranged, wishes.given.target, answers)
    draft = find_lengths(arranged, target, 0, wishes.context or None, wishes.horizon)
    roles = find_roles(arranged, target, wishes.given, draft.horizon, answers)
    refuse_infinite(arranged, roles.used)
    context = wishes.context or None
    lengths = find_lengths(arranged, target, roles.ahead, context, wishes.horizon)
    lengths = _asked(lengths, arranged, target, wishes, answers)
    model = _model(arranged, roles, wishes, answers)
    tree = _tree(arranged, roles, lengths, model, wishes)
    text = as_yaml(_head(arranged, lengths, name), tree)
    leaks = [n for n in roles.left_out if roles.why[n].startswith("leak")]
    told = tuple(f"{name!r} is left out: {roles.why[name]}" for name in leaks)
    return Proposal(text, roles, lengths, model.value, told)


def _asked(
    proposed: Lengths, arranged: Arranged, target: str, wishes: Wishes, answers: Answers
) -> Lengths:
    """Return the lengths that are meant by those proposed, where they were not given."""
    horizon = wishes.horizon or answers.number("horizon", proposed.horizon)
    context = proposed.context
    if wishes.context is None:
        context = answers.number("context", context)
    if (context, horizon) == (proposed.context, proposed.horizon):
        return proposed
    return find_lengths(arranged, target, 0, context, horizon)


def _model(arranged: Arranged, roles: Roles, wishes: Wishes, answers: Answers) -> Said:
    """Return the model: the one given, or what is answered to the one proposed.

    Raises:
        InputError: it would have no input.
    """
    model = settings.choose_model(arranged, roles, wishes.context)
    if wishes.model is not None:
        model = Said(wishes.model, "as given")
    elif wishes.context != 0:
        chosen = answers.model(model.value, list(settings.SIZES))
        model = model if chosen == model.value else Said(chosen, "as answered")
    if model.value in settings.SEQUENCES and not (roles.known or roles.past):
        raise InputError(
            f"{model.value}: no covariate is left that the target could be told from; name them in "
            "--known, or take another model"
        )
    return model


def _check_model(name: str | None) -> None:
    if name is not None and name not in settings.SIZES:
        raise InputError(f"--model {name}: no such model; {nearest(name, settings.SIZES)}")


def _named(wishes: Wishes, columns: list[str]) -> Wishes:
    """Return wishes with the names of columns as they were seen.

    Raises:
        InputError: a column is not there, or has two roles.
    """
    given, taken = wishes.given, dict[str, str]()

    def named(flag: str, names: Sequence[str] | None) -> list[str] | None:
        if names is None:
            return None
        found = [column_key(name) for name in names]
        for name in found:
            if name not in columns:
                raise InputError(f"--{flag} {name}: no such column; {nearest(name, columns)}")
            other = taken.setdefault(name, flag)
            # an id may tell something of its series, too
            if other != flag and (other, flag) != ("static", "series-id"):
                raise InputError(f"--{flag} {name}: has the role of --{other} already; give it one")
        return found

    def one(flag: str, name: str | None) -> str | None:
        return None if name is None else (named(flag, [name]) or [""])[0]

    return replace(
        wishes,
        given=Given(
            one("target", given.target), named("known", given.known), named("past", given.past),
            named("static", given.static),
        ),
        ids=named("series-id", wishes.ids),
        time=one("time", wishes.time),
    )  # fmt: skip


def _head(arranged: Arranged, lengths: Lengths, name: str) -> list[str]:
    seen = arranged.seen
    files = seen.files[0] if len(seen.files) == 1 else f"{len(seen.files)} files"
    count = len(arranged.starts)
    series = "one series" if count == 1 else f"{count} series"
    looked = "" if seen.whole else f", of which {len(arranged.order)} were looked at"
    line = f"Proposed by `transformertf init` for {files}: {arranged.total} rows{looked}, {series}"
    told = [f"{line}."]
    if arranged.stamps is not None and len(arranged.stamps):
        step = settings.spacing(arranged)
        told.append(f"{arranged.time}: {arranged.stamps.min()} to {arranged.stamps.max()}, {step}.")
    season = f" --season {lengths.season}" if lengths.season > 1 else ""
    return [
        *told,
        "Change what you know better; each line says why it is there.",
        "",
        f"  transformertf check --config {name}",
        f"  transformertf fit --config {name}",
        f"  transformertf evaluate --config {name} --ckpt_path best{season}",
    ]


def _tree(
    arranged: Arranged, roles: Roles, lengths: Lengths, model: Said, wishes: Wishes
) -> dict[str, Any]:
    shares = settings.split(arranged, lengths)
    is_sequence = model.value in settings.SEQUENCES
    if is_sequence:
        trainer = settings.training_along(arranged, shares)
        own = _sequence_data(arranged, roles, lengths, shares)
    else:
        windows = settings.count_windows(arranged, lengths, shares)
        apart = settings.stride(windows, lengths.season)
        trainer = settings.training(model.value, lengths, windows // (apart.value if apart else 1))
        own = _window_data(arranged, roles, lengths, apart, shares)
    stopping = {"monitor": "validation/loss", "patience": settings.patience(trainer)}
    callbacks = [{"class_path": "EarlyStopping", "init_args": stopping}]
    rate = settings.learning_rate(model.value)
    kind = "TimeSeriesDataModule" if is_sequence else "EncoderDecoderDataModule"
    files = {"train_df_paths": Said(wishes.paths[0] if len(wishes.paths) == 1 else wishes.paths)}
    if arranged.seen.csv:
        files["csv"] = Said(arranged.seen.csv, "as the files are written")
    return {
        "seed_everything": Said(42),
        "num_threads": Said(1, "a small recurrent model gains nothing from more"),
        "model": settings.model_section(model, arranged, roles),
        "optimizer": {"class_path": Said("Adam"), "init_args": {"lr": Said(rate)}},
        "lr_scheduler": Said("CosineWithWarmup", "up in the first steps, then down to nothing"),
        "data": {
            "class_path": Said(kind),
            "init_args": {**_columns(arranged, roles, wishes.zone), **files, **shares, **own},
        },
        "trainer": {**trainer, "gradient_clip_val": Said(1.0), "callbacks": Said(callbacks)},
    }


def _columns(arranged: Arranged, roles: Roles, zone: str | None) -> dict[str, Any]:
    """Return the roles of the columns."""
    why = roles.why
    said: dict[str, Any] = {"target_covariate": Said(roles.target)}
    for key, names in (
        ("known_covariates", roles.known),
        ("known_past_covariates", roles.past),
        ("static_covariates", roles.static),
    ):
        if names:
            said[key] = Said(list(names), _reasons(names, why))
        if names and key == "known_past_covariates":
            said["# past"] = ["what is known ahead among these belongs into known_covariates"]
    if roles.categories:
        said["categorical_covariates"] = Said(list(roles.categories), "kinds, no quantities")
    if arranged.ids:
        said["series_id"] = Said(list(arranged.ids), "tells the series of the table apart")
    if arranged.time is not None:
        said["time_column"] = Said(arranged.time)
    if zone is not None:
        said["time_zone"] = Said(zone, "as given")
    left = [f"left out: {name} ({why[name]})" for name in roles.left_out]
    return said | ({"# left out": left} if left else {})


def _reasons(names: Sequence[str], why: Mapping[str, str]) -> str:
    """Return why columns have a role, the names of those of one reason together."""
    groups: dict[str, list[str]] = {}
    for name in names:
        if name in why:
            groups.setdefault(why[name], []).append(name)
    if len(groups) == 1 and len(names) == len(next(iter(groups.values()))):
        return next(iter(groups))
    return "; ".join(f"{', '.join(own)}: {reason}" for reason, own in groups.items())


def _window_data(
    arranged: Arranged, roles: Roles, lengths: Lengths, apart: Said | None, shares: dict[str, Said]
) -> dict[str, Said]:
    """Return what windows of context and horizon want, `apart` rows between them."""
    missing = settings.gaps(arranged, roles, lengths.horizon)
    optional = {
        "calendar_features": settings.calendar(arranged, lengths.context),
        "target_lags": settings.lags(arranged, roles.target, lengths),
        "normalize": settings.scaling(arranged, roles),
        "drop_short_series": settings.shortest(arranged, lengths, missing, shares),
        "stride": apart,
    }
    return {
        **missing,
        **{key: said for key, said in optional.items() if said is not None},
        "ctxt_seq_len": Said(lengths.context, lengths.why_context),
        "tgt_seq_len": Said(lengths.horizon, lengths.why_horizon),
        "batch_size": Said(settings.BATCH),
    }


def _sequence_data(
    arranged: Arranged, roles: Roles, lengths: Lengths, shares: dict[str, Said]
) -> dict[str, Said]:
    """Return what sequences want whose state is carried along runs."""
    said = settings.gaps(arranged, roles, lengths.horizon)
    if arranged.time is not None:
        said["time_format"] = Said("relative", "runs may be longer than those in training")
    return {
        **said,
        "carry_state": Said(True, "the state goes along whole runs, however long the memory"),
        "batch_size": Said(settings.lanes(arranged, shares), "runs at the same time"),
        "seq_len": Said(133, "steps that a gradient reaches back at most"),
        "min_seq_len": Said(67, "and at least"),
        "randomize_seq_len": Said("batch", "so that a run is not always cut at the same rows"),
    }

"""The command that goes all the way of a fit up to its first step, and tells what it found."""

import argparse
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from transformertf.batch import Batch
from transformertf.cli import runs
from transformertf.cli.agreement import AlreadyTrainedError
from transformertf.cli.experiment import fitted_data
from transformertf.cli.fit import compose_fit, prepare_fit
from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.cli.mistakes import Given, find_mistakes
from transformertf.cli.options import EPOCHS
from transformertf.cli.parts import parameters_of
from transformertf.cli.screen import say, tell
from transformertf.cli.trial import Trial, try_steps
from transformertf.data import summary_of
from transformertf.data.reading import expand_paths
from transformertf.data.windows import OWN_PATHS
from transformertf.errors import InputError
from transformertf.evaluation import naive_errors
from transformertf.wording import counted, length, number, size, table

# characters of a line
_WIDTH = 88
# of lengths of time, which are estimates
DIGITS = 2
# inputs and target of a batch, whose shapes are shown
_SHOWN = (
    "encoder_input", "encoder_categories", "decoder_input", "decoder_categories", "input",
    "categories", "static_input", "static_categories", "target",
)  # fmt: skip


def check(options: argparse.Namespace, flags: Sequence[str]) -> None:
    """Print every mistake in what a fit is given; without any, what the fit would be.

    Raises:
        InputError: there is a mistake.
    """
    attempt = _Attempt(options)
    try:
        findings = find_mistakes(
            Given(tuple(options.config), tuple(flags)), attempt, attempt.files_read
        )
    except AlreadyTrainedError as error:
        say(f"nothing to do: {error}")
        return
    if findings.lines:
        for line in findings.lines:
            tell(line)
        count = counted(len(findings.lines), "mistake")
        which = "them" if len(findings.lines) > 1 else "it"
        rest = "" if findings.whole else f"; what depends on {which} was not looked at"
        raise InputError(f"{count}{rest}; mend, and check again")
    for line in report(attempt.cli):
        print(line)


class _Attempt:
    """Goes as far as a fit does before its first step; writes nothing.

    Args:
        options: of the command.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._cli: ForecastCLI | None = None

    @property
    def cli(self) -> ForecastCLI:
        """What the last attempt built."""
        assert self._cli is not None
        return self._cli

    def __call__(self, given: Given) -> None:
        """Compose, build, read, and look at what a fit looks at.

        Raises:
            InputError: the first mistake.
        """
        self._cli = None
        options = Namespace(**{**vars(self._options), "config": list(given.files)})
        name, cli, source, checkpoint, _ = compose_fit(options, given.flags)
        parent = None if options.refit_scaling else checkpoint or source
        # no such folder is made
        folder = runs.ROOT / (name or cli.model_name) / "version_0"
        self._cli = cli
        cli.build(None if parent is None else fitted_data(parent), folder)
        prepare_fit(cli, source, checkpoint)
        cli.make_trainer([], logger=False, default_root_dir=folder)
        _refuse_rare_validation(cli)
        if _has_test(cli):
            cli.set_up("test")

    def files_read(self) -> Mapping[str, Sequence[Path]]:
        """Return the data files of the last attempt by argument, as far as it came to them."""
        data = getattr(self._cli, "datamodule", None)
        found: dict[str, list[Path]] = {}
        for argument in OWN_PATHS.values():
            given = None if data is None else data.hparams.get(argument)
            try:
                found[argument] = [] if given is None else expand_paths(given, argument)
            except InputError:  # was told
                found[argument] = []
        return found


def _refuse_rare_validation(cli: ForecastCLI) -> None:
    """Refuse what Lightning refuses once it trains: to validate after more batches than there are.

    Raises:
        InputError: names both.
    """
    trainer = cli.config["trainer"]
    interval = trainer["val_check_interval"]
    stage = summary_of(cli.datamodule, cli.trainer).stages[0]
    batches = _limited(stage.batches or 0, trainer["limit_train_batches"])
    anywhere = trainer["check_val_every_n_epoch"] is None
    if isinstance(interval, int) and interval > batches and not anywhere:
        raise InputError(
            f"trainer.val_check_interval is {interval}, but an epoch has {batches} batches; lower "
            "it, or set trainer.check_val_every_n_epoch to null"
        )


def _has_test(cli: ForecastCLI) -> bool:
    data = cli.datamodule
    return data.hparams[OWN_PATHS["test"]] is not None or data.stages.split.keeps("test")


def report(cli: ForecastCLI) -> list[str]:
    """Return the lines that tell what a fit would be.

    Args:
        cli: built, its data set up for a fit. Afterwards its data is let go of.
    """
    data, model = cli.datamodule, cli.model
    summary = summary_of(data, cli.trainer)
    counts = {stage.stage: stage.batches or 0 for stage in summary.stages}
    loader = data.train_dataloader()
    batch = next(iter(map(loader.dataset.__getitem__, loader.sampler)))
    errors = list(_to_beat(cli))
    trial = try_steps(cli)  # reads the data anew, and lets go of it
    every, trains = parameters_of(model)
    frozen = "" if trains == every else f", {trains:,} of them train"
    shapes = wrap(", ".join(_shapes(batch)), _WIDTH, break_on_hyphens=False)
    rows = [
        *zip(("batch", *[""] * len(shapes)), shapes, strict=False),
        ("model", f"{cli.model_name}, {every:,} parameters{frozen}"),
        ("memory", f"{size(trial.memory)} at the peak of a step, on {trial.device}"),
        *_lengths(cli.config["trainer"], trial, counts["train"], counts.get("validation", 0)),
    ]
    return [*summary.lines(), *(f"{name:<10}  {text}" for name, text in rows), *errors]


def _shapes(batch: Batch) -> Iterator[str]:
    tensors: Mapping[str, Any] = batch
    for name in _SHOWN:
        if name in tensors:
            yield f"{name} {' x '.join(map(str, tensors[name].shape))}"


def _lengths(
    trainer: Mapping[str, Any], trial: Trial, batches: int, validations: int
) -> Iterator[tuple[str, str]]:
    """Yield how many steps a fit has, and how long they take.

    Args:
        trainer: its arguments.
        trial: what a batch takes.
        batches: of a training epoch, as the data has them.
        validations: batches of a validation, likewise.
    """
    batches = _limited(batches, trainer["limit_train_batches"])
    if not batches:
        yield "steps", "none: trainer.limit_train_batches leaves no batch"
        return
    steps = -(-batches // (trainer["accumulate_grad_batches"] or 1))
    total = _total(trainer, steps)
    epoch = batches * trial.step
    epoch += _limited(validations, trainer["limit_val_batches"]) * trial.validation
    times = f"{length(trial.step, DIGITS)} a batch, {length(epoch, DIGITS)} an epoch"
    if total is None:
        yield "steps", f"{steps:,} an epoch, without an end"
    else:
        epochs = -(-total // steps)
        yield "steps", f"{steps:,} an epoch, {total:,} in {counted(epochs, 'epoch')}"
        times += f", about {length(epoch * total / steps, DIGITS)} in all"
    if trainer["max_time"] is not None:
        times += f", at most {trainer['max_time']} by max_time"
    yield "time", times


def _total(trainer: Mapping[str, Any], steps: int) -> int | None:
    """Return the optimizer steps of a fit with so many in an epoch; None without an end."""
    epochs, most = trainer["max_epochs"], trainer["max_steps"]
    most = None if most in (None, -1) else most
    if epochs is None and most is None and trainer["max_time"] is None:
        epochs = EPOCHS
    ends = [most, None if epochs in (None, -1) else steps * epochs]
    return min((end for end in ends if end is not None), default=None)


def _limited(batches: int, limit: float | None) -> int:
    """Return how many of the batches a limit leaves: a number of them, or a share."""
    if limit is None:
        return batches
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def _to_beat(cli: ForecastCLI) -> Iterator[str]:
    """Yield a table of the errors of forecasts that need no model."""
    errors = naive_errors(cli.datamodule, loss_steps=cli.model.loss_steps)
    if not errors:
        yield "to beat     nothing to validate on: give data.val_fraction or data.val_df_paths"
        return
    target = cli.datamodule.columns.target
    rows = [("", "MAE", "RMSE")]
    for name, found in errors.items():
        rows.append((name.replace("_", " "), number(found["MAE"]), number(found["RMSE"])))
    head, *lines = table(rows)
    yield f"to beat     {head}   of {target} in validation"
    yield from (f"{'':<12}{line}" for line in lines)

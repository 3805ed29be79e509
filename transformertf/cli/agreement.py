"""What must agree before anything runs; what differs is refused, or only told.

A checkpoint with the configuration that it is used with; where a fit goes on from it, the training
as well; and what looks at a value while a fit runs with the values that the fit logs.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from torch.optim.lr_scheduler import ReduceLROnPlateau

from transformertf.callbacks import AVERAGING
from transformertf.checkpoint import TRAINING, Checkpoint, blamed, unshared
from transformertf.cli.lightning_cli import LARGEST_SEED, ForecastCLI
from transformertf.cli.screen import say
from transformertf.data import ARGUMENTS, as_list
from transformertf.errors import InputError
from transformertf.models import DEFAULT_OPTIMIZER, changed_settings, refuse_endless, renew

_NONE = "none"
# what gives the weights their meaning
MUST_AGREE = [name for name, row in ARGUMENTS.items() if row.after_fit == "fixed"]
# what may be other than in the fit without changing a forecast
MAY_DIFFER = [name for name, row in ARGUMENTS.items() if row.after_fit == "free"]


def require_agreement(checkpoint: Checkpoint, cli: ForecastCLI, untold: Collection[str]) -> None:
    """Refuse another model or data of another meaning, and tell what else differs.

    Raises:
        InputError: the weights do not fit, or would mean something else.
    """
    refuse_other_data(checkpoint, cli)
    checkpoint.refuse_other(cli.model)
    _say_differences(checkpoint, cli, untold)


def refuse_other_data(checkpoint: Checkpoint, cli: ForecastCLI) -> None:
    """Refuse settings of the data under which the checkpoint's weights mean something else.

    Nothing is said of data of another class: that is told of the model.

    Args:
        checkpoint: what was trained.
        cli: has made the data module.

    Raises:
        InputError: names the setting, both values, where this one is from, and the remedy.
    """
    stored, own = checkpoint.data, cli.datamodule.hparams
    if stored["class_path"] != own["_class_path"]:
        return
    for name in (*MUST_AGREE, "time_column"):
        before, now = (_shown(name, given.get(name)) for given in (stored["init_args"], own))
        # another time column is told, but with none there is one feature less
        if before != now and (name in MUST_AGREE or _NONE in (before, now)):
            source, remedy = _source(f"data.init_args.{name}", checkpoint, cli)
            raise InputError(
                f"{name} is {now}{source} and {before} in the checkpoint {checkpoint.path}; "
                f"{remedy}, or train again"
            )


def _shown(name: str, value: Any) -> str:
    """Return the value of an argument as text, the same of all that mean the same."""
    if ARGUMENTS[name].names is not None:
        return ", ".join(map(repr, as_list(value))) or _NONE
    return _NONE if value is None else str(value)


def _source(path: str, checkpoint: Checkpoint, cli: ForecastCLI) -> tuple[str, str]:
    """Return where a value is from, and how to leave it out."""
    source = cli.composer.where(path)
    if not source or source == f" in {checkpoint.path}":  # a null, or the default
        return "", "leave it as it was"
    if not cli.is_trained:
        return source, "give it as it was"
    flag = source.removeprefix(" in ") if cli.composer.is_typed(path) else "--config"
    return source, f"leave {flag} out"


def _say_differences(checkpoint: Checkpoint, cli: ForecastCLI, untold: Collection[str]) -> None:
    """Tell which settings of the checkpoint are not kept."""
    for section, stored, own in (
        ("model", checkpoint.model["init_args"], dict(cli.model.hparams)),
        ("data", checkpoint.data["init_args"], dict(cli.datamodule.hparams)),
    ):
        for name, value in stored.items():
            if name not in untold and name in own and own[name] != value:
                say(f"{section}.{name} is {own[name]} now, {value} in the checkpoint")


# under another one of these, which is told, others of the same rows are trained on, or weigh more
OTHER_ROWS = (
    "val_fraction", "test_fraction", "val_blocks", "split_by", "drop_short_series",
    "weight_covariate",
)  # fmt: skip


class AlreadyTrainedError(Exception):
    """The checkpoint to resume has already trained for as long as was asked."""


def prepare_resume(checkpoint: Checkpoint, cli: ForecastCLI) -> None:
    """Check that a fit can go on from the checkpoint, and tell what is given anew.

    Raises:
        AlreadyTrainedError: there is nothing left to train.
        InputError: as `require_agreement`, or the state of the training cannot go on.
    """
    when = ("lr_scheduler_interval", "lr_scheduler_monitor")
    require_agreement(checkpoint, cli, untold=(*TRAINING, *when))
    # so that files are read as they were
    with blamed(checkpoint.place):
        cli.datamodule.load_state_dict(checkpoint.data_state)
    _refuse_finished(checkpoint, cli)
    with blamed(checkpoint.place):
        _renew(checkpoint, cli)
        _keep_seed(checkpoint, cli)


def require_same_rows(checkpoint: Checkpoint, cli: ForecastCLI) -> None:
    """Refuse to go on with other training data than that of the checkpoint.

    Args:
        checkpoint: which a fit goes on from.
        cli: set up to fit.

    Raises:
        InputError: tells what there was and what there is.
    """
    stored, data = checkpoint.data_state.get("content"), cli.datamodule
    if stored is None:  # an earlier version wrote it
        return
    told = checkpoint.data["init_args"]
    differ = {name for name in told if name in data.hparams and told[name] != data.hparams[name]}
    if differ & set(OTHER_ROWS):
        return
    with blamed(checkpoint.place):
        data.load_state_dict(checkpoint.data_state)  # so that the same series are held out
        now = data.training_content()
        before = type(now)(**stored)
    if differ & {"time_column", "time_zone"}:
        now = now._replace(time=before.time)
    if now == before:
        return
    files = data.hparams["train_df_paths"]
    found = f"other {now} than" if str(now) == str(before) else f"{now} now,"
    raise InputError(
        f"data.train_df_paths {files!s:.200}: {found} the {before} that the checkpoint "
        f"{checkpoint.path} was trained on, from which a fit can go on only with the same; give "
        "those, or start from its weights and scaling on other data with "
        f"--transfer-ckpt {checkpoint.path}"
    )


def _renew(checkpoint: Checkpoint, cli: ForecastCLI) -> None:
    """Tell which settings of optimizer and scheduler are given anew; refuse what cannot go on."""
    stored, own = checkpoint.content["hyper_parameters"], cli.model.hparams
    for key in TRAINING:
        before, now = ((given.get(key) or {}).get("class_path") for given in (stored, own))
        default = key == "optimizer" and before is None and _is_default(checkpoint, now)
        if before != now and not default:
            raise InputError(
                f"{key} is {now} now, {before} in the checkpoint: its state cannot go on; keep it, "
                "or start from the weights alone with --transfer-ckpt"
            )
    for name, (before, now) in changed_settings(stored, own).items():
        say(f"{name} is {now} now, {before} in the checkpoint")
    decay, averaging = cli.config["ema"], checkpoint.content.get(AVERAGING, {})
    if decay != averaging.get("decay", decay):
        say(f"ema is {decay} now, {averaging['decay']} in the checkpoint")
    # of no use here, but it is refused before anything is written
    renew(unshared(checkpoint.content), own, cli.model.configure_optimizers)


def _is_default(checkpoint: Checkpoint, optimizer: str | None) -> bool:
    """Whether an optimizer is the one that a model has without one, and the checkpoint has it."""
    default: Any = DEFAULT_OPTIMIZER
    group = checkpoint.content["optimizer_states"][0]["param_groups"][0]
    rate = group.get("initial_lr", group["lr"])
    is_default: bool = "betas" in group and {"lr": rate} == default["init_args"]
    return is_default and optimizer == default["class_path"]


def _keep_seed(checkpoint: Checkpoint, cli: ForecastCLI) -> None:
    """Write down the seed that runs: order, lengths and random numbers go on with their states."""
    given, stored = cli.config["seed_everything"], checkpoint.data_state["seed"]
    if type(given) is int and given != stored:
        known = stored <= LARGEST_SEED  # else it was drawn, and nobody can give it
        cli.config["seed_everything"] = stored if known else False
        what = f"stays {stored}" if known else "takes no part"
        say(f"seed_everything {what}: the random numbers go on as in the checkpoint")


def _watches_on(checkpoint: Checkpoint, stopping: EarlyStopping) -> bool:
    """Whether a callback that stopped a fit has more patience now."""
    state = checkpoint.content["callbacks"].get(stopping.state_key)
    reason = EarlyStoppingReason.PATIENCE_EXHAUSTED.value
    return bool(
        state is not None
        and state["stopping_reason"] == reason
        and stopping.patience > state["wait_count"]
    )


def _refuse_finished(checkpoint: Checkpoint, cli: ForecastCLI) -> None:
    """Refuse to go on where the checkpoint has trained for long enough, or was stopped early."""
    trainer = cli.config["trainer"]
    epochs, steps = trainer["max_epochs"], trainer["max_steps"]
    if (
        0 <= (-1 if epochs is None else epochs) <= checkpoint.epochs
        or 0 <= steps <= checkpoint.steps
    ):
        raise AlreadyTrainedError(
            f"{checkpoint.path} has trained {checkpoint.epochs} epochs already; raise "
            "--trainer.max_epochs (or max_steps) to go on"
        )
    # a callback that asks too early is not heard
    enough = checkpoint.epochs >= (trainer["min_epochs"] or 0) and checkpoint.steps >= (
        trainer["min_steps"] or 0
    )
    stops = any(
        isinstance(item, EarlyStopping) and not _watches_on(checkpoint, item)
        for item in cli.own_callbacks
    )
    if checkpoint.stopped_early and enough and stops:
        raise AlreadyTrainedError(
            f"{checkpoint.path} was stopped early after {checkpoint.epochs} epochs; leave "
            "EarlyStopping out to go on, or raise its patience"
        )


# whose classes log nothing of their own but the rate of learning, `lr-...`
_KNOWN = ("transformertf", "lightning")


def monitored(cli: ForecastCLI) -> str:
    """Return the logged value that tells which epoch of a fit is the best."""
    return "validation/loss" if _validates(cli) else "train/loss"


def refuse_clock(cli: ForecastCLI, optimizers: Any) -> None:
    """Refuse a schedule over the whole fit where only time bounds it, see `refuse_endless`.

    Args:
        cli: of a fit.
        optimizers: as `configure_optimizers` gives them.
    """
    trainer, scheduler = cli.config["trainer"], _scheduler(optimizers).get("scheduler")
    has_time = trainer["max_time"] is not None
    refuse_endless(scheduler, trainer["max_epochs"], trainer["max_steps"], has_time)


def refuse_still(optimizers: Any) -> None:
    """Refuse periods of 0 steps: torch divides by them once the schedule moves on.

    Raises:
        InputError: names the argument.
    """
    scheduler = _scheduler(optimizers).get("scheduler")
    for name in ("step_size", "T_max", "T_0"):
        period = getattr(scheduler, name, 1)
        if isinstance(period, int) and period < 1:
            raise InputError(f"lr_scheduler.{name} must be at least 1, found {period}")


def _scheduler(optimizers: Any) -> dict[str, Any]:
    return optimizers.get("lr_scheduler", {}) if isinstance(optimizers, dict) else {}


def refuse_unlogged(cli: ForecastCLI, optimizers: Any) -> None:
    """Refuse what looks at a value that is never logged: Lightning finds out after an epoch.

    Args:
        cli: of a fit.
        optimizers: as `configure_optimizers` gives them.

    Raises:
        InputError: names the callback or the scheduler, and what is logged.
    """
    callbacks = cli.own_callbacks
    if any(
        type(item).__module__.partition(".")[0] not in _KNOWN for item in (cli.model, *callbacks)
    ):
        return  # what they log, nobody knows
    looking = [(type(item).__name__, getattr(item, "monitor", None)) for item in callbacks]
    config = _scheduler(optimizers)
    if isinstance(config.get("scheduler"), ReduceLROnPlateau):
        if _validates_by_time(cli) and config["monitor"].startswith("validation/"):
            raise InputError(
                f"ReduceLROnPlateau monitors {config['monitor']!r}, which with a time as "
                "trainer.val_check_interval is not there after each epoch; monitor train/loss, or "
                "take another lr_scheduler"
            )
        looking.append(("ReduceLROnPlateau", config["monitor"]))
    logged = _logged(cli)
    for name, value in looking:
        if value is not None and value not in logged and not value.startswith("lr-"):
            without = "" if _validates(cli) else ", without a validation"
            raise InputError(
                f"{name} monitors {value!r}, which is not logged; this fit logs "
                f"{', '.join(logged)}{without}"
            )


def refuse_no_validation(cli: ForecastCLI) -> None:
    """Refuse times to validate at where nothing validates: no best epoch would be kept.

    Args:
        cli: of a fit.

    Raises:
        InputError: names what to set.
    """
    if _validates_by_time(cli) and not _validates(cli):
        raise InputError(
            "trainer.val_check_interval is a time, but this fit has nothing to validate on, and "
            "best weights would not be looked for; give data.val_df_paths or data.val_fraction, or "
            "leave it out"
        )


def _validates_by_time(cli: ForecastCLI) -> bool:
    return isinstance(cli.config["trainer"]["val_check_interval"], str | dict | timedelta)


def _logged(cli: ForecastCLI) -> list[str]:
    """Return the names of what a model of ours logs in a fit."""
    names = ["loss", "train/loss"]
    if cli.model.log_grad_norm:
        names.append("train/grad_norm")
    if _validates(cli):
        names += ["validation/loss", *map(str, cli.model.validation_metrics)]
    return names


def _validates(cli: ForecastCLI) -> bool:
    limit = cli.config["trainer"]["limit_val_batches"]
    return cli.datamodule.has_validation and limit != 0

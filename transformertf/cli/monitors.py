"""What a fit logs, and what callbacks and schedulers look at among it."""

from typing import Any

from torch.optim.lr_scheduler import ReduceLROnPlateau

from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.errors import InputError

# whose classes log nothing of their own but the rate of learning, `lr-...`
_KNOWN = ("transformertf", "lightning")


def monitored(cli: ForecastCLI) -> str:
    """Return the logged value that tells which epoch of a fit is the best."""
    return "validation/loss" if _validates(cli) else "train/loss"


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
    config = optimizers.get("lr_scheduler", {}) if isinstance(optimizers, dict) else {}
    if isinstance(config.get("scheduler"), ReduceLROnPlateau):
        looking.append(("ReduceLROnPlateau", config["monitor"]))
    logged = _logged(cli)
    for name, value in looking:
        if value is not None and value not in logged and not value.startswith("lr-"):
            without = "" if _validates(cli) else ", without a validation"
            raise InputError(
                f"{name} monitors {value!r}, which is not logged; this fit logs "
                f"{', '.join(logged)}{without}"
            )


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

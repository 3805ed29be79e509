"""Settings of optimizer and scheduler that are given anew where a fit goes on.

Lightning restores settings with the state, so that what is given then would not be what runs.
"""

import contextlib
import copy
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from transformertf.class_paths import find_object
from transformertf.errors import InputError

# what a module has without an optimizer of its own
DEFAULT_OPTIMIZER = {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-3}}
# what ReduceLROnPlateau has seen of the value that it looks at
_SEEN = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
Settings = Mapping[str, Any]


def changed_settings(stored: Settings, own: Settings) -> dict[str, tuple[Any, Any]]:
    """Return what is given anew, and as what: `optimizer.lr` and the values before and now.

    Args:
        stored: a checkpoint's hyper-parameters.
        own: those of the module that goes on; an optimizer that is none of a configuration is
            None there, and nothing is known of it.
    """
    changed = {}
    for key in ("optimizer", "lr_scheduler"):
        before, now = (_filled(given.get(key)) for given in (stored, own))
        if now is None:
            continue
        before = _filled(DEFAULT_OPTIMIZER) if before is None and key == "optimizer" else before
        for name, value in now.items():
            if before is not None and before.get(name, value) != value:
                changed[f"{key}.{name}"] = before[name], value
    for name in ("interval", "monitor") if own.get("lr_scheduler") is not None else ():
        key = f"lr_scheduler_{name}"
        if stored.get(key, own[key]) != own[key]:
            changed[f"lr_scheduler.{name}"] = stored[key], own[key]
    return changed


def _filled(described: Any) -> dict[str, Any] | None:
    """Return the arguments of a class, defaults too, as a configuration says them."""
    if not isinstance(described, Mapping):
        return None
    found = find_object(described["class_path"], "class_path")
    taken = inspect.signature(found).parameters.values() if isinstance(found, type) else ()
    defaults = {p.name: p.default for p in taken if p.default is not p.empty}
    filled: dict[str, Any] = _as_lists({**defaults, **(described.get("init_args") or {})})
    return filled


def _as_lists(node: Any) -> Any:
    if isinstance(node, list | tuple):
        return [_as_lists(item) for item in node]
    if isinstance(node, Mapping):
        return {key: _as_lists(value) for key, value in node.items()}
    return node


def renew(checkpoint: dict[str, Any], own: Settings, make: Callable[[], Any]) -> None:
    """Bring what is given anew into the states that a fit is about to go on with.

    The learning rate becomes what the schedule as it is now has at this place. What cannot be
    known ahead, how often `ReduceLROnPlateau` has lowered it, stays, unless the rate is given anew.

    Args:
        checkpoint: as Lightning has read it; changed in place, and only where something is given
            anew.
        own: hyper-parameters of the module.
        make: its `configure_optimizers`.

    Raises:
        InputError: a setting wants a state that the optimizer did not keep.
    """
    changed = changed_settings(checkpoint["hyper_parameters"], own)
    if not changed or not checkpoint.get("optimizer_states"):
        return
    made = make()
    optimizer = made["optimizer"] if isinstance(made, dict) else made
    config = made["lr_scheduler"] if isinstance(made, dict) else {}
    scheduler = config.get("scheduler")
    state, groups = checkpoint["optimizer_states"][0], optimizer.param_groups
    if isinstance(scheduler, ReduceLROnPlateau):
        if "optimizer.lr" not in changed:
            for group, stored in zip(groups, state["param_groups"], strict=True):
                group["lr"] = stored["lr"]
        seen, renewed = checkpoint["lr_schedulers"][0], scheduler.state_dict()
        if not {"lr_scheduler.mode", "lr_scheduler.monitor"} & set(changed):
            renewed |= {name: seen[name] for name in _SEEN}
        renewed["_last_lr"] = [group["lr"] for group in groups]
        checkpoint["lr_schedulers"][0] = renewed
    elif scheduler is not None:
        _advance(scheduler, _place(checkpoint, config["interval"], changed))
        checkpoint["lr_schedulers"][0] = scheduler.state_dict()
    for group, stored in zip(groups, state["param_groups"], strict=True):
        stored.update({name: value for name, value in group.items() if name != "params"})
    _require_state(optimizer, state, [name for name in changed if name.startswith("optimizer.")])


def _place(checkpoint: dict[str, Any], interval: str, changed: Mapping[str, Any]) -> int:
    """Return how often the scheduler has advanced, or would have by another interval."""
    if "lr_scheduler.interval" in changed:
        if interval == "step":
            return int(checkpoint["global_step"])
        loops = checkpoint["loops"]["fit_loop"]
        under_way = not loops["epoch_loop.batch_progress"]["is_last_batch"]
        return int(loops["epoch_progress"]["current"]["ready"]) - under_way
    state = checkpoint["lr_schedulers"][0]
    while "last_epoch" not in state:  # of several at once
        state = state["_schedulers"][0]
    return int(state["last_epoch"])


def _advance(scheduler: LRScheduler, times: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the optimizer takes no step
        for _ in range(times):
            scheduler.step()


def _require_state(optimizer: torch.optim.Optimizer, state: Settings, changed: list[str]) -> None:
    """Try a step with the state, on copies of the parameters."""
    tried = copy.deepcopy(optimizer)
    tried.load_state_dict(copy.deepcopy(dict(state)))
    for group in tried.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    try:
        with contextlib.suppress(AssertionError):  # of settings for another device
            tried.step(lambda: 0.0)
    except KeyError as error:
        raise InputError(
            f"{', '.join(changed)}: wants {error} of each parameter, which the optimizer did not "
            "keep so far; leave it as it was, or start from the weights alone with --transfer-ckpt"
        ) from error

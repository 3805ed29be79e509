"""Arguments that all data modules share, and what they may be."""

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

from transformertf.errors import InputError, at_least_one, nearest

Paths = list[str] | str | None
Stage = Literal["train", "validation", "test"]
SplitBy = Literal["time", "series"]
DownsampleMethod = Literal["interval", "average", "median"]
# what may be missing: nothing; the target, and past covariates with it, at the end; the target
# anywhere, or its whole column
Missing = Literal["nothing", "future", "target"]
Impute = Literal["last", "interpolate"]
TimeFormat = Literal["absolute", "relative"]
Storage = Literal["auto", "memory", "mmap"]
RandomLengths = bool | Literal["batch"]
Distributed = Literal["auto", False]
# the values of each argument that is one of a few
Choices = Mapping[str, tuple[object, ...]]
CHOICES: Choices = {
    "randomize_seq_len": (True, False, "batch"),
    "downsample_method": get_args(DownsampleMethod),
    "time_format": get_args(TimeFormat),
    "split_by": get_args(SplitBy),
    "missing": ("error", "mask"),
    "impute": get_args(Impute),
    "storage": get_args(Storage),
    "device_resident": (True, False, "auto"),
    "dtype": ("float32", "float64"),
    "distributed": get_args(Distributed),
}


# more than any machine has cores for
MOST_WORKERS = 1024


def check_arguments(given: Mapping[str, Any], choices: Choices) -> None:
    """Refuse values that an argument cannot have, and arguments that exclude each other.

    Raises:
        InputError: there is such a value, or such a pair.
    """
    for name, known in choices.items():
        if given[name] not in known:
            hint = nearest(str(given[name]), [str(choice) for choice in known])
            raise InputError(f"{name} must not be {given[name]!r}; {hint}")
    for name in ("num_workers", "noise_std"):
        if given[name] < 0:
            raise InputError(f"{name} must be at least 0, found {given[name]}")
    if given["num_workers"] > MOST_WORKERS:
        raise InputError(
            f"num_workers must be at most {MOST_WORKERS}, found {given['num_workers']}: each is a "
            "process"
        )
    if not math.isfinite(given["noise_std"]):
        raise InputError(f"noise_std must be a finite number, found {given['noise_std']}")
    at_least_one(**{name: given[name] for name in ("stride", "downsample", "batch_size")})
    for own, share in (("val_df_paths", "val_fraction"), ("test_df_paths", "test_fraction")):
        if given[own] is not None and given[share] is not None:
            raise InputError(f"{own} and {share} are both given; give one of them")

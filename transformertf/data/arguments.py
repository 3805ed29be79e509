"""Arguments of the data modules: their types, and what there is to know of each beside it.

Type, default and meaning of an argument stand where it is declared: in the base what both data
modules take, in a data module what only that one takes. All else stands in `ARGUMENTS`.
"""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypedDict, Union, get_args, get_origin

from transformertf.batch import Stage as Stage
from transformertf.errors import LARGEST, InputError, nearest

Paths = list[str] | str | None
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
Balance = Literal["series"]
Dtype = Literal["float32", "float64"]
Normalize = bool | Literal["global", "series", "window"]
# a column of another name, and what makes its numbers those of the unit wanted
Rescaled = TypedDict("Rescaled", {"from": str, "scale": float}, total=False)
Rename = dict[str, str | Rescaled]
# of an argument after the fit: it gives the weights their meaning and stays as it was; it may be
# another, which is reported; or another without a word, for no forecast depends on it
AfterFit = Literal["fixed", "reported", "free"]


class Csv(TypedDict, total=False):
    """How csv files are written, where that is not as usual."""

    sep: str
    decimal: str
    thousands: str
    comment: str
    skiprows: int | list[int]
    encoding: str


@dataclass(frozen=True)
class Bounds:
    """The smallest and the largest number that an argument can be, and why none is larger."""

    least: float
    most: float
    reason: str = ""

    def check(self, name: str, value: float) -> None:
        """Refuse a number out of bounds, or none at all."""
        if value < self.least:
            raise InputError(f"{name} must be at least {self.least}, found {value}")
        if value > self.most:
            raise InputError(f"{name} must be at most {self.most}, found {value}{self.reason}")
        if not math.isfinite(value):
            raise InputError(f"{name} must be a finite number, found {value}")


@dataclass(frozen=True)
class WholeFiles:
    """Of an argument that takes whole files: what it is without it, and what to do instead."""

    without: Any
    instead: str


@dataclass(frozen=True)
class Argument:
    """What there is to know of an argument, beside its type, default and meaning.

    Attributes:
        after_fit: whether it may be another than in the fit.
        names: it takes a name, or one or a list of them, which mean the same; text, whatever else
            a name may look like.
        bounds: of a number.
        whole_files: why a session of new rows cannot have it.
    """

    after_fit: AfterFit
    names: Literal["one", "several"] | None = None
    bounds: Bounds | None = None
    whole_files: WholeFiles | None = None


COUNT = Bounds(1, LARGEST)
# more than any machine has cores for
WORKERS = Bounds(0, 1024, ": each is a process")
# more than there are origins to choose an epoch by
BLOCKS = Bounds(1, 1000)
ARGUMENTS: Mapping[str, Argument] = {
    "target_covariate": Argument("fixed", names="one"),
    "known_covariates": Argument("fixed", names="several"),
    "known_past_covariates": Argument("fixed", names="several"),
    "static_covariates": Argument("fixed", names="several"),
    "categorical_covariates": Argument("fixed", names="several"),
    "calendar_features": Argument("fixed", names="several"),
    "target_lags": Argument("fixed"),
    "difference_covariates": Argument("fixed", names="several"),
    "series_id": Argument("fixed", names="several"),
    "weight_covariate": Argument("reported", names="one"),
    "balance": Argument("reported"),
    "train_df_paths": Argument("free"),
    "val_df_paths": Argument("free"),
    "test_df_paths": Argument("free"),
    "predict_df_paths": Argument("free"),
    "future_df_paths": Argument("free"),
    "csv": Argument("free"),
    "rename": Argument("reported"),
    "val_fraction": Argument("reported"),
    "test_fraction": Argument("reported"),
    "val_blocks": Argument("reported", bounds=BLOCKS),
    "split_by": Argument("reported"),
    "drop_short_series": Argument("free"),
    "sort": Argument("free"),
    "missing": Argument("fixed"),
    "impute": Argument("fixed"),
    "freq": Argument("fixed", whole_files=WholeFiles(None, "give rows at that distance")),
    # beyond half a step a stamp would be nearer to the place of another
    "freq_tolerance": Argument("free", bounds=Bounds(0, 0.49)),
    "max_gap": Argument("free", whole_files=WholeFiles(None, "begin a session anew after a gap")),
    "normalize": Argument("fixed"),
    "extra_transforms": Argument("fixed"),
    "target_depends_on": Argument("fixed", names="one"),
    "ctxt_seq_len": Argument("reported"),
    "tgt_seq_len": Argument("reported"),
    "min_ctxt_seq_len": Argument("reported"),
    "min_tgt_seq_len": Argument("reported"),
    "seq_len": Argument("reported"),
    "min_seq_len": Argument("reported"),
    "randomize_seq_len": Argument("reported"),
    "bucket_by_length": Argument("reported"),
    "encoder_alignment": Argument("free"),
    "decoder_alignment": Argument("free"),
    "alignment": Argument("free"),
    "stride": Argument("reported", bounds=COUNT),
    "downsample": Argument(
        "fixed", bounds=COUNT, whole_files=WholeFiles(1, "thin the rows before")
    ),
    "downsample_method": Argument("fixed"),
    "time_column": Argument("reported", names="one"),
    "time_zone": Argument("reported"),
    "time_format": Argument("fixed"),
    "add_target_to_past": Argument("fixed"),
    "mask_encoder_features": Argument("fixed", names="several"),
    "noise_std": Argument("free", bounds=Bounds(0, math.inf)),
    "washout": Argument("reported", bounds=Bounds(0, LARGEST)),
    "carry_state": Argument("reported"),
    "fresh_starts": Argument("reported", bounds=Bounds(0, 1)),
    "storage": Argument("free"),
    "device_resident": Argument("free"),
    "origin": Argument("free"),
    "batch_size": Argument("free", bounds=COUNT),
    "num_workers": Argument("free", bounds=WORKERS),
    "shuffle": Argument("reported"),
    "dtype": Argument("reported"),
    "distributed": Argument("free"),
}


def check_arguments(arguments: Mapping[str, Any], signature: inspect.Signature) -> None:
    """Refuse values that an argument cannot have, and arguments that exclude each other.

    Args:
        arguments: of a data module, all of them.
        signature: of its constructor, with the types.

    Raises:
        InputError: there is such a value, or such a pair.
    """
    for name, parameter in signature.parameters.items():
        choices = choices_of(parameter.annotation)
        if choices and name in arguments and arguments[name] not in choices:
            hint = nearest(str(arguments[name]), [str(choice) for choice in choices])
            raise InputError(f"{name} must not be {arguments[name]!r}; {hint}")
    for name, row in ARGUMENTS.items():
        if row.bounds is not None and name in arguments:
            row.bounds.check(name, arguments[name])
    for files, share in (("val_df_paths", "val_fraction"), ("test_df_paths", "test_fraction")):
        if arguments[files] is not None and arguments[share] is not None:
            raise InputError(f"{files} and {share} are both given; give one of them")


def choices_of(kind: Any) -> tuple[object, ...]:
    """Return the values that a type with literals has; none where it has any others."""
    parts = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    literals = [part for part in parts if get_origin(part) is Literal]
    if not literals or any(part not in (bool, NoneType, *literals) for part in parts):
        return ()
    values = {bool: (True, False), NoneType: (None,)}
    return tuple(value for part in parts for value in values.get(part) or get_args(part))


def whole_signature(cls: type) -> inspect.Signature:
    """Return what a constructor takes, with what it passes on to those of its bases."""
    found: dict[str, inspect.Parameter] = {}
    by_position = True
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        _, *parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        kinds = {parameter.kind for parameter in parameters}
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            if not by_position:
                parameter = parameter.replace(kind=parameter.KEYWORD_ONLY)
            found.setdefault(parameter.name, parameter)
        by_position &= inspect.Parameter.VAR_POSITIONAL in kinds
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    ordered = sorted(found.values(), key=lambda p: (p.kind, p.default is not p.empty))
    return inspect.Signature(ordered)

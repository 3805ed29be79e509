"""What a model must know of the data, and a model that knows it."""

from inspect import signature
from typing import Any, TypeVar

import torch

from transformertf.errors import InputError

Model = TypeVar("Model", bound=torch.nn.Module)
# arguments of models, where they take them, and the property of a data module that tells each,
# where it has that
TOLD_BY_DATA = {
    "num_past_features": "num_past_known_covariates",
    "num_future_features": "num_future_known_covariates",
    "num_features": "num_features",
    "num_static_features": "num_static_features",
    "static_category_sizes": "static_category_sizes",
    "past_category_sizes": "past_category_sizes",
    "future_category_sizes": "future_category_sizes",
    "category_sizes": "category_sizes",
    "ctxt_seq_len": "ctxt_seq_len",
    "tgt_seq_len": "tgt_seq_len",
}


def sized_by(cls: type[Model], data: Any, /, **own: Any) -> Model:
    """Return a model whose sizes are those of a data module, for a trainer of one's own.

    Args:
        cls: the model's class.
        data: a data module; of categories it reads the training files, or has been set up.
        **own: further arguments of the model.

    Raises:
        InputError: batches of another kind than the model takes, or a size that data tells.
    """
    taken = signature(cls).parameters
    if getattr(cls, "takes", None) != getattr(data, "gives", None):
        raise InputError(
            f"{cls.__name__}.for_data: expected a data module whose batches it takes, found "
            f"{type(data).__name__}; give the other data module"
        )
    told = {name: teller for name, teller in TOLD_BY_DATA.items()
            if name in taken and hasattr(type(data), teller)}  # fmt: skip
    for name in own:
        if name in told:
            raise InputError(f"{cls.__name__}.for_data: the data tells {name}; leave it out")
    return cls(**{name: getattr(data, teller) for name, teller in told.items()}, **own)

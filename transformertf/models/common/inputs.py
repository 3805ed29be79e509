"""What a model reads beside the real features of each step: what is static, and categories.

B batch, T steps of one side of a batch, S static features, Cs static categories, C categories of a
step.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch

from transformertf.batch import Batch, BatchKind, prefixes_of, sides
from transformertf.errors import InputError, at_least_one
from transformertf.models.common.layout import bring_first
from transformertf.nn import D_CATEGORY, WideInput

# the categories of each side of a batch: a model's argument that tells their sizes, and their key
STEP_CATEGORIES: dict[BatchKind, dict[str, str]] = {
    "windows": {
        "past_category_sizes": "encoder_categories",
        "future_category_sizes": "decoder_categories",
    },
    "sequences": {"category_sizes": "categories"},
}
# what a network calls the number of features of each side
STEP_FEATURES: dict[BatchKind, tuple[str, ...]] = {
    "windows": ("num_past_features", "num_future_features"),
    "sequences": ("num_features",),
}
# what a network for windows calls its inputs
NAMES = ("static", "static_categories", "past_categories", "future_categories")


class Covariates(NamedTuple):
    """What a batch holds beside real features of each step; None of what it does not have.

    Attributes:
        static: (B, S) float.
        static_categories: (B, Cs) int64.
        categories: (B, T, C) int64 of each side, data first and zero on padding.
    """

    static: torch.Tensor | None
    static_categories: torch.Tensor | None
    categories: list[torch.Tensor | None]

    def by_name(self) -> dict[str, torch.Tensor | None]:
        """Return them, of a batch of windows, by the names that networks have for them."""
        return dict(
            zip(NAMES, (self.static, self.static_categories, *self.categories), strict=True)
        )


@dataclass(frozen=True)
class CovariateSizes:
    """How many static features there are, and how many codes each category has.

    Attributes:
        num_static_features: static features S.
        static_category_sizes: number of codes of each static category.
        category_sizes: of each category of a step, for each side by the name of its argument.

    Raises:
        InputError: a size is below 1.
    """

    num_static_features: int
    static_category_sizes: list[int]
    category_sizes: dict[str, list[int]]

    def __post_init__(self) -> None:
        if self.num_static_features < 0:
            raise InputError(
                f"num_static_features must be at least 0, found {self.num_static_features}"
            )
        lists = {"static_category_sizes": self.static_category_sizes, **self.category_sizes}
        at_least_one(**{name: min(sizes, default=1) for name, sizes in lists.items()})

    @property
    def of_sides(self) -> list[list[int]]:
        """Sizes of the categories of a step, for each side of a batch."""
        return list(self.category_sizes.values())

    def check(
        self,
        static: torch.Tensor | None,
        static_categories: torch.Tensor | None,
        *categories: torch.Tensor | None,
        names: Iterable[str] = NAMES,
    ) -> None:
        """Refuse inputs of other widths.

        Args:
            static: (B, S) or None.
            static_categories: (B, Cs) or None.
            categories: (B, T, C) or None, of each side.
            names: under which the user knows each of these.

        Raises:
            InputError: names the input and the argument that says otherwise.
        """
        expected = {
            "num_static_features": self.num_static_features,
            "static_category_sizes": len(self.static_category_sizes),
            **{name: len(sizes) for name, sizes in self.category_sizes.items()},
        }
        given = (static, static_categories, *categories)
        for name, values, (argument, columns) in zip(names, given, expected.items(), strict=True):
            found = 0 if values is None else values.size(-1)
            if found != columns:
                raise InputError(
                    f"{name} must have {columns} columns, as {argument} says, found {found}; give "
                    f"the data that the model was built for, or build a model for this data"
                )


def sizes_for(
    kind: BatchKind,
    num_static_features: int,
    static_category_sizes: Sequence[int],
    **category_sizes: Sequence[int],
) -> CovariateSizes:
    """Return the sizes for batches of a kind, from the arguments of a model.

    Raises:
        InputError: categories of a side that such batches do not have, or a size below 1.
    """
    own = STEP_CATEGORIES[kind]
    for name, sizes in category_sizes.items():
        if name not in own and sizes:
            raise InputError(
                f"{name} is {list(sizes)}, but a model that takes {kind} wants {' and '.join(own)};"
                " give the sizes there"
            )
    each = {name: list(category_sizes[name]) for name in own}
    return CovariateSizes(num_static_features, list(static_category_sizes), each)


class WideSides(torch.nn.Module):
    """The inputs of each side of a batch, widened by what else it holds; see `WideInput`.

    Args:
        sizes: what else there is.
        d_category: width of a category's embedding.
    """

    def __init__(self, sizes: CovariateSizes, d_category: int) -> None:
        super().__init__()
        at_least_one(d_category=d_category)
        wide = [
            WideInput(sizes.num_static_features, [*own, *sizes.static_category_sizes], d_category)
            for own in sizes.of_sides
        ]
        self.added = [side.added for side in wide]
        self.sides = torch.nn.ModuleList(wide)

    def forward(self, inputs: Sequence[torch.Tensor], covariates: Covariates) -> list[torch.Tensor]:
        """Widen the inputs (B, T, F) of each side."""
        static, static_categories, categories = covariates
        return [
            widen(values, codes, static, static_categories)
            for widen, values, codes in zip(self.sides, inputs, categories, strict=True)
        ]

    def widths(self, *features: int) -> list[int]:
        """Return how many features each side has once widened, from how many it has."""
        return [width + added for width, added in zip(features, self.added, strict=True)]


def widening_for(sizes: CovariateSizes, d_category: int, selects: bool) -> WideSides | None:
    """Return what widens the inputs of a network; None for one that selects variables itself.

    Raises:
        InputError: `d_category` is given to one that selects variables, or is below 1.
    """
    if not selects:
        return WideSides(sizes, d_category)
    if d_category != D_CATEGORY:
        raise InputError(
            f"d_category is {d_category}, but a model that selects variables embeds all of them in "
            "d_hidden_continuous features; set that, and leave d_category out"
        )
    return None


def in_precision_of(
    network: torch.nn.Module, inputs: Sequence[torch.Tensor], covariates: Covariates
) -> tuple[list[torch.Tensor], Covariates]:
    """Return what a network reads in the precision of its weights.

    What the data was read in, and what it is computed in, are two choices. All else of a batch
    keeps its digits: forecasts come back with it, and are measured on it.

    Args:
        network: as it computes.
        inputs: (B, T, F) of each side.
        covariates: what else there is.
    """
    dtype = next((weight.dtype for weight in network.parameters()), None)
    static = covariates.static
    if static is not None:
        covariates = covariates._replace(static=static.to(dtype or static.dtype))
    return [values.to(dtype or values.dtype) for values in inputs], covariates


def take_covariates(batch: Batch, sizes: CovariateSizes, kind: BatchKind) -> Covariates:
    """Return what a batch holds for a model of some sizes.

    Raises:
        InputError: the batch lacks some of it, or has what the model was not built for.
    """
    # a key that is a variable is more than a typed dictionary knows of
    values = cast(Mapping[str, torch.Tensor], batch)
    keys = ["static_input", "static_categories", *STEP_CATEGORIES[kind].values()]
    static, static_categories, *categories = (values.get(key) for key in keys)
    sizes.check(static, static_categories, *categories, names=[f"batch: {key}" for key in keys])
    first = [
        None if codes is None else bring_first(side._replace(inputs=codes))
        for codes, side in zip(categories, sides(batch), strict=True)
    ]
    return Covariates(static, static_categories, first)


def check_features(batch: Batch, kind: BatchKind, arguments: Mapping[str, Any]) -> None:
    """Refuse a batch whose real features are not those that a model was built for.

    Args:
        batch: a whole one.
        kind: batches that the model takes.
        arguments: of the model, where `STEP_FEATURES` has the number of features of each side.

    Raises:
        InputError: names the side and the argument that says otherwise.
    """
    names = zip(STEP_FEATURES[kind], prefixes_of(batch), sides(batch), strict=True)
    for argument, prefix, side in names:
        # a network of one's own need not say how many it takes
        found, expected = side.inputs.size(-1), arguments.get(argument)
        if expected not in (None, found):
            raise InputError(
                f"batch: {prefix}input must have {expected} features, as {argument} says, found "
                f"{found}; give the data that the model was built for, or build a model for it"
            )


def check_source(
    source: object,
    takes: BatchKind,
    prediction_type: str,
    season: int | None,
    model: str,
    carries: bool = True,
) -> None:
    """Refuse a data module whose batches are not those that a model wants.

    Args:
        source: the data module, or None.
        takes: batches that the model takes.
        prediction_type: what its outputs mean.
        season: steps of the season that they count from, where they do.
        model: name of its class.
        carries: whether its network has a state that can be carried from batch to batch.

    Raises:
        InputError: batches of another kind, or without the history that changes count from, or with
            contexts that are all shorter than a season, or that go on with those before.
    """
    if getattr(source, "gives", takes) != takes:
        raise InputError(
            f"{model} wants batches of {takes}, which {type(source).__name__} does not make; give "
            "it the other data module"
        )
    given = getattr(source, "hparams", {})
    if given.get("carry_state") and not carries:
        raise InputError(
            f"data.carry_state: {model} has no state to carry from batch to batch; leave it out, "
            "or take LSTM or GRU"
        )
    from_history = prediction_type in ("delta", "seasonal")
    if from_history and not given.get("add_target_to_past", True):
        raise InputError(
            f"prediction_type {prediction_type!r} counts from the target's values, which the "
            "encoder does not get: set data.add_target_to_past to true, or prediction_type to "
            "'point'"
        )
    if season is not None and given.get("ctxt_seq_len", season) < season:
        raise InputError(
            f"season is {season}, but contexts have {given['ctxt_seq_len']} steps: set "
            "data.ctxt_seq_len to a season at least"
        )

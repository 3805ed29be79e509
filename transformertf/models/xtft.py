"""The lean temporal fusion transformer: selection, recurrence and attention, no static path.

After Lim, Arik, Loeff and Pfister, "Temporal Fusion Transformers for interpretable multi-horizon
time series forecasting", 2021. Left out: the static encoders and all that they feed. So variables
are weighed by what they are alone, the LSTM starts from zeros, and attention sees context and
horizon as the recurrence leaves them. What is static is a further variable of every step.
"""

from collections.abc import Callable

import torch

from transformertf.models.base import ForecastModule
from transformertf.models.building import built_from
from transformertf.models.common import Covariates, ForecastOutput
from transformertf.models.fusion_model import FusionModel, Selected
from transformertf.nn import VariableSelection, join_static


class xTFTModel(FusionModel):  # noqa: N801  the name by which users know it
    """The network of Lim et al. 2021 less its static path; arguments are those of `FusionModel`.

    The weights are of a step's own real variables, the static ones, its own categories, the static
    ones.
    """

    enriches = False

    def make_selection(
        self,
        select: Callable[..., VariableSelection],
        num_past_features: int,
        num_future_features: int,
    ) -> None:
        """Make a selection for each side, from the static variables, too."""
        real, codes = self.sizes.num_static_features, self.sizes.static_category_sizes
        past_sizes, future_sizes = self.sizes.of_sides
        self.past_selection = select(num_past_features + real, category_sizes=[*past_sizes, *codes])
        self.future_selection = select(
            num_future_features + real, category_sizes=[*future_sizes, *codes]
        )

    def select(
        self,
        past: torch.Tensor,
        future: torch.Tensor,
        covariates: Covariates,
        encoder_lengths: torch.Tensor | None,
    ) -> Selected:
        """Select from the variables of each step and the static ones."""
        static, static_categories, (past_categories, future_categories) = covariates
        past, encoder_weights = self.past_selection(
            join_static(past, static, past.size(1)),
            categories=join_static(past_categories, static_categories, past.size(1)),
        )  # (B, Tc, D)
        future, decoder_weights = self.future_selection(
            join_static(future, static, future.size(1)),
            categories=join_static(future_categories, static_categories, future.size(1)),
        )  # (B, Td, D)
        weights: ForecastOutput = {
            "encoder_weights": encoder_weights,
            "decoder_weights": decoder_weights,
        }
        return Selected(past, future, weights)


class xTFT(ForecastModule):  # noqa: N801  the name by which users know it
    """The lean temporal fusion transformer on batches; see `xTFTModel`."""

    interpretable = True
    selects = True

    @built_from(xTFTModel)
    def __init__(self) -> None:
        """Take the network's arguments, and by name those of `ForecastModule`."""

"""Weights of pytorch-forecasting's temporal fusion transformer, loaded into ours."""

from collections.abc import Iterable, Mapping, Sequence

import torch

from transformertf.errors import InputError
from transformertf.models.pf_tft import PFTemporalFusionTransformerModel

# the parts of a gated residual network, ours and theirs
_GATE = {"gate.linear": "glu.fc", "norm": "add_norm.norm"}
_GRN = {
    "input": "fc1",
    "context": "context",
    "hidden": "fc2",
    "skip.scale": "resample_norm.mask",
    "skip_norm": "resample_norm.norm",
    **{f"output.{ours}": f"gate_norm.{theirs}" for ours, theirs in _GATE.items()},
}
# our selections and theirs
_SELECTIONS = {
    "static_selection": "static_variable_selection",
    "past_selection": "encoder_variable_selection",
    "future_selection": "decoder_variable_selection",
}
# our module -> theirs, and how parts within are named where that differs. A star stands for each
# variable, or each head, which ours hold in one tensor.
_MODULES: dict[str, tuple[str, Mapping[str, str]]] = {
    "selection_context": ("static_context_variable_selection", _GRN),
    "hidden_context": ("static_context_initial_hidden_lstm", _GRN),
    "cell_context": ("static_context_initial_cell_lstm", _GRN),
    "enrichment_context": ("static_context_enrichment", _GRN),
    "fusion.encoder": ("lstm_encoder", {}),
    "fusion.decoder": ("lstm_decoder", {}),
    "fusion.local_skip.gate.linear": ("post_lstm_gate_encoder.fc", {}),
    "fusion.local_skip.norm": ("post_lstm_add_norm_encoder.norm", {}),
    "fusion.enrichment": ("static_enrichment", _GRN),
    "fusion.attention.query": ("multihead_attn.q_layers.*", {}),
    "fusion.attention.key": ("multihead_attn.k_layers.*", {}),
    "fusion.attention.value": ("multihead_attn.v_layer", {}),
    "fusion.attention.output": ("multihead_attn.w_h", {}),
    "fusion.attention_skip": ("post_attn_gate_norm", _GATE),
    "fusion.feed_forward": ("pos_wise_ff", _GRN),
    "fusion.output_skip": ("pre_output_gate_norm", _GATE),
    "head": ("output_layer", {}),
}
for _ours, _theirs in _SELECTIONS.items():
    _MODULES[f"{_ours}.embedding"] = (f"{_theirs}.prescalers.*", {})
    _MODULES[f"{_ours}.encoding"] = (f"{_theirs}.single_variable_grns.*", _GRN)
    _MODULES[f"{_ours}.weighing"] = (f"{_theirs}.flattened_grn", _GRN)
# second names under which their state dict holds the same weights, and the first ones
_SECOND_NAMES = {
    "post_lstm_gate_decoder.": ["post_lstm_gate_encoder."],
    "post_lstm_add_norm_decoder.": ["post_lstm_add_norm_encoder."],
    "prescalers.": [f"{theirs}.prescalers." for theirs in _SELECTIONS.values()],
    "shared_single_variable_grns.": [
        f"{theirs}.single_variable_grns." for theirs in _SELECTIONS.values()
    ],
}


def load_pytorch_forecasting(
    model: PFTemporalFusionTransformerModel,
    state_dict: Mapping[str, torch.Tensor],
    past: Sequence[str],
    future: Sequence[str],
    static: Sequence[str] = (),
) -> None:
    """Load the weights of a trained `TemporalFusionTransformer` of pytorch-forecasting 1.8.

    The names tell which of their variables our features are, in the order of our features. It
    must be theirs too, for the weights of the selection depend on it. `causal_attention` leaves
    no trace in a state dict: build the model with their value. What their state dict leaves to the
    data set, the scaling of inputs and output, is not loaded.

    Args:
        model: built with their sizes; the `model` of a `PFTemporalFusionTransformer`.
        state_dict: of their model, also as `state_dict` in its Lightning checkpoint.
        past: their `time_varying_reals_encoder`, one name for each past feature.
        future: their `time_varying_reals_decoder`, one name for each future feature.
        static: their `static_reals`, one name for each static feature.

    Raises:
        InputError: variables, shapes or names of weights differ; the model is left as it was.
    """
    variables = dict(zip(_SELECTIONS, (static, past, future), strict=True))
    for ours, names in variables.items():
        selection = getattr(model, ours)
        features = 0 if selection is None else selection.num_real
        if selection is not None and selection.categories is not None:
            raise InputError(
                f"the {ours} of the model has categories, and only weights of real variables can "
                "be loaded; build it without category sizes"
            )
        _check_variables(features, state_dict, ours, names)
    weights = model.state_dict()
    heads = model.fusion.attention.num_heads
    sources = {name: _their_names(name, variables, heads) for name in weights}
    wanted = [source for parts in sources.values() for source in parts]
    missing = [source for source in wanted if source not in state_dict]
    left_over = [
        name for name in state_dict if name not in wanted and not _repeats(name, state_dict, wanted)
    ]
    if missing or left_over:
        raise InputError(
            "the state dict is not of a TemporalFusionTransformer of the model's sizes and of real "
            f"variables only: missing {_few(missing)}; left over {_few(left_over)}"
        )
    for name, weight in weights.items():
        for source in sources[name]:
            _check_shape(source, state_dict[source], weight, len(sources[name]))
    model.load_state_dict(
        {
            name: torch.stack([state_dict[source] for source in sources[name]]).reshape_as(weight)
            for name, weight in weights.items()
        }
    )


def _check_variables(
    features: int, state_dict: Mapping[str, torch.Tensor], ours: str, names: Sequence[str]
) -> None:
    """Refuse names that are not those of one of their selections, or not as many as ours."""
    prefix = f"{_SELECTIONS[ours]}.single_variable_grns."
    keys = (key.removeprefix(prefix) for key in state_dict if key.startswith(prefix))
    found = list(dict.fromkeys(key.split(".")[0] for key in keys))  # a state dict keeps the order
    argument = ours.removesuffix("_selection")
    if found != list(names):
        raise InputError(
            f"{argument} must name the variables of {_SELECTIONS[ours]} in their order, {found}, "
            f"found {list(names)}; order the features of the data so too"
        )
    if len(names) != features:
        raise InputError(
            f"{argument} has {len(names)} variables, but the model {features} features; build it "
            f"with num_{argument}_features {len(names)}"
        )


def _their_names(name: str, variables: Mapping[str, Sequence[str]], num_heads: int) -> list[str]:
    """Return the names under which their state dict holds our weight, in parts where ours joins."""
    module = max((ours for ours in _MODULES if name.startswith(f"{ours}.")), key=len)
    theirs, parts = _MODULES[module]
    rest = name.removeprefix(f"{module}.")
    for part, their_part in parts.items():
        if f"{rest}.".startswith(f"{part}."):
            rest = their_part + rest.removeprefix(part)
            break
    pattern = f"{theirs}.{rest}"
    if "*" not in pattern:
        return [pattern]
    each: Iterable[object] = variables.get(module.split(".")[0], range(num_heads))
    return [pattern.replace("*", str(one)) for one in each]


def _check_shape(source: str, part: torch.Tensor, weight: torch.Tensor, parts: int) -> None:
    """Refuse one of their weights that does not make its share of ours."""
    # biases of heads stand one after the other in ours
    same_inputs = part.ndim == 1 or part.size(-1) == weight.size(-1)
    if not same_inputs or part.numel() * parts != weight.numel():
        raise InputError(
            f"{source} of the state dict has shape {tuple(part.shape)}, of which {parts} do not "
            f"make {tuple(weight.shape)}: build the model with their sizes"
        )


def _repeats(name: str, state_dict: Mapping[str, torch.Tensor], wanted: Sequence[str]) -> bool:
    """Whether a weight is one of the wanted ones under a second name."""
    firsts = (
        first + name.removeprefix(second)
        for second, prefixes in _SECOND_NAMES.items()
        for first in prefixes
        if name.startswith(second)
    )
    known = (first for first in firsts if first in wanted and first in state_dict)
    return any(state_dict[first].equal(state_dict[name]) for first in known)


def _few(names: Sequence[str]) -> str:
    """Return up to four names, and how many more there are."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return (", ".join(names[:4]) or "nothing") + more

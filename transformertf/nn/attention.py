"""Attention over a ragged context and horizon: its masks, and the two kinds of several heads.

B batch, Tc context steps, Td horizon steps, Tq queries, Tk keys, D model width, H heads,
E = D / H width of a head. A mask (B, 1, Tq, Tk) is boolean, True where a query takes a key in, as
`torch.nn.functional.scaled_dot_product_attention` wants it; B is 1 where all rows share it.

Context and horizon are padded each on its own, so the keys of a horizon stand as
[context, pad, horizon, pad], the padding first on a side whose alignment is "right".
"""

import torch

from transformertf.errors import InputError, at_least_one, probability
from transformertf.utils.sequence import Alignment, check_sequences, data_mask


def horizon_attention_mask(
    encoder_lengths: torch.Tensor | None,
    decoder_lengths: torch.Tensor | None,
    encoder_steps: int,
    decoder_steps: int,
    *,
    encoder_alignment: Alignment = "left",
    decoder_alignment: Alignment = "left",
    causal: bool = True,
    sees_itself: bool = True,
    device: torch.device | str | None = None,
) -> torch.Tensor | None:
    """Return the mask of horizon queries over context and horizon keys.

    A key takes part where it is data; the rows of padded queries are all False. Nothing here
    waits for the lengths.

    Args:
        encoder_lengths: (B,) int64 data steps of the context; None where all rows are full.
        decoder_lengths: (B,) int64 data steps of the horizon; None where all rows are full.
        encoder_steps: padded steps Tc of the context.
        decoder_steps: padded steps Td of the horizon.
        encoder_alignment: end of the padded context at which the data lies.
        decoder_alignment: end of the padded horizon at which the data lies.
        causal: whether a horizon step sees the horizon only up to itself.
        sees_itself: whether it then sees itself, or only the steps before.
        device: where the mask shall lie if no lengths are given; it lies with them otherwise.

    Returns:
        (B, 1, Td, Tc + Td), True where a key takes part; B is 1 without lengths. None where
        nothing is masked: no lengths and not causal.
    """
    mask = None
    given = decoder_lengths if encoder_lengths is None else encoder_lengths
    if given is not None:
        device = given.device
        if encoder_lengths is None:
            encoder_lengths = torch.full_like(given, encoder_steps)
        if decoder_lengths is None:
            decoder_lengths = torch.full_like(given, decoder_steps)
        context = data_mask(encoder_lengths, encoder_steps, encoder_alignment)
        horizon = data_mask(decoder_lengths, decoder_steps, decoder_alignment)
        keys = torch.cat([context, horizon], dim=1)
        mask = horizon.unsqueeze(2) & keys.unsqueeze(1)  # (B, Td, Tc + Td)
    if causal:
        # the context stands before the horizon: one order in time for all keys
        position = torch.arange(encoder_steps + decoder_steps, device=device)
        last = position[encoder_steps:] - (0 if sees_itself else 1)
        seen = position <= last.unsqueeze(1)  # (Td, Tc + Td)
        mask = seen.unsqueeze(0) if mask is None else mask & seen
    return None if mask is None else mask.unsqueeze(1)


def self_attention_mask(
    lengths: torch.Tensor | None,
    steps: int,
    *,
    alignment: Alignment = "left",
    causal: bool = False,
    device: torch.device | str | None = None,
) -> torch.Tensor | None:
    """Return the mask of a sequence over itself: a horizon without a context.

    Args:
        lengths: (B,) int64 data steps; None where all rows are full.
        steps: padded steps T.
        alignment: end of the padded sequence at which the data lies.
        causal: whether a step sees only up to itself.
        device: where the mask shall lie if no lengths are given; it lies with them otherwise.

    Returns:
        (B, 1, T, T), True where a key takes part; B is 1 without lengths. None where nothing
        is masked: no lengths and not causal.
    """
    return horizon_attention_mask(
        None, lengths, 0, steps, decoder_alignment=alignment, causal=causal, device=device
    )


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None = None,
    dropout: float = 0.0,
    *,
    need_weights: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Scaled dot-product attention, Vaswani et al. 2017, eq. 1: softmax(Q K' / sqrt(E)) V.

    A query whose keys are all masked gets zeros, for weights too, and gives no gradient.

    Args:
        query: (B, H, Tq, E).
        key: (B, H, Tk, E).
        value: (B, H, Tk, E).
        mask: (B, 1, Tq, Tk), True where a key takes part; None where all do.
        dropout: probability of dropping a weight, 0 to 1, in force whenever it is above 0.
        need_weights: whether the weights are read; slower, the fused kernels keep none.

    Returns:
        (B, H, Tq, E), and the weights (B, H, Tq, Tk) before dropout, None if not needed.
    """
    # in an exported graph a query whose keys are all masked would get NaN
    if not need_weights and not torch.compiler.is_exporting():
        attended = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout
        )
        return attended, None
    # scaled before the product, which half precision could not hold
    scores = (query * query.size(-1) ** -0.5) @ key.transpose(-2, -1)
    if mask is None:
        weights = scores.softmax(dim=-1)
    else:
        # the lowest finite number, not -inf: a softmax over nothing but -inf is NaN, and stops
        # a trainer that detects anomalies. Beside data it gives exactly 0; the second fill is
        # for rows without data, which come out even
        hidden = ~mask
        weights = scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(dim=-1)
        weights = weights.masked_fill(hidden, 0.0)
    return torch.nn.functional.dropout(weights, dropout) @ value, weights


class _Attention(torch.nn.Module):
    """What both kinds share; they differ in the width of the values and in how heads are merged."""

    def __init__(
        self, d_model: int, num_heads: int, dropout: float, value_heads: int, output_bias: bool
    ) -> None:
        at_least_one(d_model=d_model, num_heads=num_heads)
        probability(dropout=dropout)
        if d_model % num_heads:
            larger = d_model + num_heads - d_model % num_heads
            raise InputError(
                f"{type(self).__name__}: d_model must be a multiple of num_heads {num_heads}, "
                f"found {d_model}; take d_model {larger} or another number of heads"
            )
        super().__init__()
        self.d_model = d_model
        self.num_heads = num_heads
        self.d_head = d_model // num_heads
        self.dropout = dropout
        self.output_dropout = 0.0
        self.query = torch.nn.Linear(d_model, d_model)
        self.key = torch.nn.Linear(d_model, d_model)
        self.value = torch.nn.Linear(d_model, value_heads * self.d_head)
        self.output = torch.nn.Linear(value_heads * self.d_head, d_model, bias=output_bias)

    def _merge(self, heads: torch.Tensor) -> torch.Tensor:
        """Merge what the heads found (B, H, Tq, E) to what the output is made of (B, Tq, ...)."""
        raise NotImplementedError

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None = None,
        *,
        need_weights: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attend.

        Masked keys and values must be finite, as must their products with the queries: they
        weigh 0, and 0 * NaN is NaN. Queries that attend nothing may hold anything.

        Args:
            query: (B, Tq, D).
            key: (B, Tk, D).
            value: (B, Tk, D).
            mask: boolean (B, 1, Tq, Tk), True where a key takes part, as the functions of this
                module make it; None where all do.
            need_weights: whether the weights are read; slower.

        Returns:
            output (B, Tq, D), for a query that attends nothing the output's bias alone; and the
            weights (B, Tq, Tk) before dropout, averaged over heads, or None if not needed. They
            add up to 1 over the keys, to 0 for a query that attends nothing.

        Raises:
            InputError: a sequence is packed, or the mask is not a boolean one of four dimensions.
        """
        self._check(mask, query=query, key=key, value=value)
        if mask is not None:
            # garbage in a padded query times garbage in a padded key may overflow, and inf
            # against the mask's -inf is NaN; to blank keys and values too would cost far more
            query = torch.where(mask.any(dim=-1).transpose(1, 2), query, 0.0)
        heads, weights = attend(
            self._split(self.query(query)),
            self._split(self.key(key)),
            self._split(self.value(value)),
            mask,
            self.dropout if self.training else 0.0,
            need_weights=need_weights,
        )
        output: torch.Tensor = self._drop(self.output(self._merge(self._drop(heads))))
        return output, None if weights is None else weights.mean(dim=1)

    def _check(self, mask: torch.Tensor | None, **sequences: torch.Tensor) -> None:
        name = type(self).__name__
        for role, sequence in sequences.items():
            check_sequences(sequence, None, f"{name}: {role}", "a mask made from the lengths")
        # other dtypes and shapes would broadcast or add to the scores without a word
        if mask is not None and (mask.dtype != torch.bool or mask.dim() != 4 or mask.size(1) != 1):
            raise InputError(
                f"{name}: mask must be boolean (B, 1, Tq, Tk), found {mask.dtype} "
                f"{tuple(mask.shape)}; make it with horizon_attention_mask or self_attention_mask"
            )

    def _drop(self, values: torch.Tensor) -> torch.Tensor:
        """Drop what attention found, where not its weights are dropped."""
        if not self.training or self.output_dropout == 0:
            return values
        return torch.nn.functional.dropout(values, self.output_dropout)

    def _split(self, projected: torch.Tensor) -> torch.Tensor:
        """Split (B, T, n E) into heads (B, H, T, E), where n is H, or 1 to be shared by all."""
        heads = projected.reshape(*projected.shape[:2], -1, self.d_head)
        return heads.transpose(1, 2).expand(-1, self.num_heads, -1, -1)


class MultiHeadAttention(_Attention):
    """Multi-head attention, Vaswani et al. 2017, section 3.2.2.

    Departure: the projections have biases, as in `torch.nn.MultiheadAttention`.

    Args:
        d_model: width D of queries, keys, values and output; a multiple of `num_heads`.
        num_heads: number of heads H.
        dropout: probability of dropping an attention weight while training, 0 to 1.
    """

    def __init__(self, d_model: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__(d_model, num_heads, dropout, value_heads=num_heads, output_bias=True)

    def _merge(self, heads: torch.Tensor) -> torch.Tensor:
        return heads.transpose(1, 2).flatten(2)


class InterpretableMultiHeadAttention(_Attention):
    """Interpretable multi-head attention, Lim et al. 2021, eq. 13 to 16.

    Each head has its own queries and keys; all share one projection of the values, so that the
    weights averaged over heads are the weights of the output.

    Departure: queries, keys and values are projected with biases, as usual in public
    implementations; the output is not.

    Args:
        d_model: width D of queries, keys, values and output; a multiple of `num_heads`.
        num_heads: number of heads H.
        dropout: probability of dropping an attention weight while training, 0 to 1.
        output_dropout: probability of dropping what a head finds, and then what the output is,
            while training, 0 to 1.
    """

    def __init__(
        self, d_model: int, num_heads: int, dropout: float = 0.0, output_dropout: float = 0.0
    ) -> None:
        super().__init__(d_model, num_heads, dropout, value_heads=1, output_bias=False)
        probability(output_dropout=output_dropout)
        self.output_dropout = output_dropout

    def _merge(self, heads: torch.Tensor) -> torch.Tensor:
        return heads.mean(dim=1)

"""Time a training step of every model; write docs/benchmarks/models.md.

    python scripts/bench_models.py                  our models
    python scripts/bench_models.py --peers          and pytorch-forecasting's TFT (extra `bench`)

One process times all models in turns: ratios hold on a busy machine, milliseconds do not.
"""

import argparse
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from benchmarking import describe_machine, markdown_table, peak_memory, time_interleaved

from transformertf.batch import Batch
from transformertf.models import (
    AttentionLSTM,
    EncoderDecoderLSTM,
    ForecastModule,
    PFTemporalFusionTransformer,
    TemporalFusionTransformer,
    TransformerLSTM,
    xTFT,
)
from transformertf.nn import QuantileLoss

OUTPUT = Path(__file__).parent.parent / "docs" / "benchmarks" / "models.md"
CONTEXT, HORIZON, BATCH, PAST, FUTURE, WIDTH, HEADS = 168, 24, 64, 6, 3, 32, 4
FUSION = {
    "ctxt_seq_len": CONTEXT,
    "tgt_seq_len": HORIZON,
    "d_model": WIDTH,
    "num_heads": HEADS,
    "num_lstm_layers": 1,
}
MODELS: dict[str, Callable[..., ForecastModule]] = {
    "EncoderDecoderLSTM": partial(
        EncoderDecoderLSTM,
        d_encoder=WIDTH,
        d_decoder=WIDTH,
        num_encoder_layers=1,
        num_decoder_layers=1,
    ),
    "AttentionLSTM": partial(AttentionLSTM, d_model=WIDTH, num_heads=HEADS, num_layers=1),
    "TransformerLSTM": partial(
        TransformerLSTM, d_model=WIDTH, num_heads=HEADS, num_layers=1, num_transformer_blocks=1
    ),
    "TemporalFusionTransformer": partial(TemporalFusionTransformer, **FUSION),
    "PFTemporalFusionTransformer": partial(PFTemporalFusionTransformer, **FUSION),
    "xTFT": partial(xTFT, **FUSION),
}
COMPILED = ("TemporalFusionTransformer", "PFTemporalFusionTransformer", "xTFT")
PEER = "pytorch-forecasting TFT"
PAGE = """# The models

Written by `scripts/bench_models.py`. {machine}

One training step (forward, quantile loss, backward, Adam) at {context} + {horizon} steps, {past}
past and {future} future columns, width {width}, {heads} heads, one recurrent layer, seven
quantiles, dropout 0.1, batches of {batch}. Medians of candidates timed in turns in one process;
peak memory is what five steps add to a fresh process.

{table}
"""


def make_batch() -> Batch:
    """Return a batch of full windows of noise."""
    torch.manual_seed(0)
    full = {
        side: torch.ones(BATCH, steps, dtype=torch.bool)
        for side, steps in (("encoder", CONTEXT), ("decoder", HORIZON))
    }
    return Batch(
        encoder_input=torch.randn(BATCH, CONTEXT, PAST),
        encoder_lengths=torch.full((BATCH,), CONTEXT),
        encoder_mask=full["encoder"],
        decoder_input=torch.randn(BATCH, HORIZON, FUTURE),
        decoder_lengths=torch.full((BATCH,), HORIZON),
        decoder_mask=full["decoder"],
        target=torch.randn(BATCH, HORIZON, 1),
        target_mask=full["decoder"],
    )


def make_peer() -> tuple[torch.nn.Module, Callable[[], torch.Tensor]]:
    """Return pytorch-forecasting's TFT of the same sizes, and its forward on such a batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports
        from pytorch_forecasting import TemporalFusionTransformer as Peer

        names = [f"x{number}" for number in range(PAST)]
        module = Peer(
            hidden_size=WIDTH,
            hidden_continuous_size=8,
            attention_head_size=HEADS,
            lstm_layers=1,
            output_size=7,
            dropout=0.1,
            x_reals=names,
            time_varying_reals_encoder=names,
            time_varying_reals_decoder=names[:FUTURE],
            causal_attention=True,
        )
    batch = make_batch()
    future = torch.zeros(BATCH, HORIZON, PAST)
    future[..., :FUTURE] = batch["decoder_input"]
    inputs = {
        "encoder_lengths": batch["encoder_lengths"],
        "decoder_lengths": batch["decoder_lengths"],
        "encoder_cont": batch["encoder_input"],
        "decoder_cont": future,
        "encoder_cat": torch.zeros(BATCH, CONTEXT, 0, dtype=torch.long),
        "decoder_cat": torch.zeros(BATCH, HORIZON, 0, dtype=torch.long),
        "target_scale": torch.tensor([[0.0, 1.0]]).expand(BATCH, 2),
    }
    module.transform_output = lambda prediction, target_scale: prediction
    return module, lambda: module(inputs)["prediction"]


def prepare(name: str, repeats: int = 1) -> Callable[[], None]:
    """Return training steps of a model by its name; "… compiled" compiles it."""
    torch.manual_seed(0)
    batch, criterion = make_batch(), QuantileLoss()
    if name == PEER:
        module, forward = make_peer()
    else:
        own = MODELS[name.removesuffix(" compiled")](PAST, FUTURE, criterion=QuantileLoss())
        if name.endswith(" compiled"):
            own.model.compile(dynamic=True)
        module, forward = own, lambda: own(batch)["output"]
    optimizer = torch.optim.Adam(module.parameters())

    def run() -> None:
        for _ in range(repeats):
            optimizer.zero_grad()
            output = forward()
            criterion(output, batch["target"].expand_as(output)).mean().backward()
            optimizer.step()

    return run


def parameters(name: str) -> int:
    """Return the number of parameters of a model by its name."""
    if name == PEER:
        module = make_peer()[0]
    else:
        module = MODELS[name.removesuffix(" compiled")](PAST, FUTURE, criterion=QuantileLoss())
    return sum(weight.numel() for weight in module.parameters())


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", action="store_true", help="time pytorch-forecasting too")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--seconds", type=float, default=120.0, help="time to spend on rounds")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="page to write")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    names = [*MODELS, *(f"{name} compiled" for name in COMPILED)]
    names += [PEER] if arguments.peers else []
    times = time_interleaved({name: prepare(name) for name in names}, arguments.seconds)
    rows = []
    for name in names:
        seconds = times[name]
        ratio = f"{times[PEER] / seconds:.2f}" if arguments.peers else "not measured"
        memory = f"{peak_memory(prepare, name, 5):.0f}"
        rows.append(
            [
                name,
                f"{seconds * 1e3:.0f}",
                f"{BATCH / seconds:.0f}",
                ratio,
                parameters(name),
                memory,
            ]
        )
        print(" | ".join(str(cell) for cell in rows[-1]), flush=True)
    table = markdown_table(
        ["model", "step, ms", "samples/s", f"times {PEER}", "parameters", "peak memory, MB"], rows
    )
    packages = ["pytorch-forecasting"] if arguments.peers else []
    page = PAGE.format(
        machine=describe_machine(*packages),
        context=CONTEXT,
        horizon=HORIZON,
        past=PAST,
        future=FUTURE,
        width=WIDTH,
        heads=HEADS,
        batch=BATCH,
        table=table,
    )
    arguments.output.write_text(page)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()

"""The candidates of `models.py`: our models and the temporal fusion transformers of others.

A task is a module, as it is when its fit begins, and its loss on one batch that lies on the device.
Of the peers' training steps is left out what goes around that:

- pytorch-forecasting: `transform_output`, which scales the forecast back, is an identity.
- darts: nothing; it scales nothing by default.
- neuralforecast: cutting the windows out of the series and the scaler on them.

All networks get six variables in the past and three in the future, but they are not the same
network:

- pytorch-forecasting: that of our PFTemporalFusionTransformer, except that past and future share
  the embedding of a variable.
- darts: pytorch-forecasting's, written anew; as large and with the same sharing.
- neuralforecast: embeds a variable in the full width, where the others take a quarter of it, and
  attends from all steps of past and future, where the others attend from the future only: more
  work. Without static variables it has no static encoders, which the others run on one row for
  each window: a little less.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from transformertf.batch import Batch
from transformertf.models import (
    GRU,
    LSTM,
    AttentionLSTM,
    EncoderDecoderLSTM,
    ForecastModule,
    PFTemporalFusionTransformer,
    TemporalFusionTransformer,
    TransformerLSTM,
    xTFT,
)
from transformertf.nn import QuantileLoss

CONTEXT, HORIZON, BATCH, PAST, FUTURE, WIDTH, HEADS = 168, 24, 64, 6, 3, 32, 4
CONTINUOUS, DROPOUT = 8, 0.1
LEVELS = [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98]
FUSION: dict[str, Any] = {
    "num_past_features": PAST,
    "num_future_features": FUTURE,
    "ctxt_seq_len": CONTEXT,
    "tgt_seq_len": HORIZON,
    "d_model": WIDTH,
    "d_hidden_continuous": CONTINUOUS,
    "num_heads": HEADS,
    "num_lstm_layers": 1,
}
SEQUENCES: dict[str, Callable[..., ForecastModule]] = {
    cls.__name__: partial(cls, PAST, d_model=WIDTH, num_layers=1) for cls in (LSTM, GRU)
}
TRANSFORMERS: dict[str, Callable[..., ForecastModule]] = {
    cls.__name__: partial(cls, **FUSION)
    for cls in (TemporalFusionTransformer, PFTemporalFusionTransformer, xTFT)
}
MODELS: dict[str, Callable[..., ForecastModule]] = {
    "EncoderDecoderLSTM": partial(
        EncoderDecoderLSTM,
        PAST,
        FUTURE,
        d_encoder=WIDTH,
        d_decoder=WIDTH,
        num_encoder_layers=1,
        num_decoder_layers=1,
    ),
    "AttentionLSTM": partial(
        AttentionLSTM, PAST, FUTURE, d_model=WIDTH, num_heads=HEADS, num_layers=1
    ),
    "TransformerLSTM": partial(
        TransformerLSTM,
        PAST,
        FUTURE,
        d_model=WIDTH,
        num_heads=HEADS,
        num_layers=1,
        num_transformer_blocks=1,
    ),
    **TRANSFORMERS,
    **{
        f"{name}-compiled": partial(make, compile_model=True) for name, make in TRANSFORMERS.items()
    },
    **SEQUENCES,
}
REFERENCE = "pytorch-forecasting"


def make_batch(device: str) -> Batch:
    """Return a batch of full windows of noise."""
    context, horizon = (
        torch.ones(BATCH, steps, dtype=torch.bool, device=device) for steps in (CONTEXT, HORIZON)
    )
    return Batch(
        encoder_input=torch.randn(BATCH, CONTEXT, PAST, device=device),
        encoder_lengths=context.sum(dim=1),
        encoder_mask=context,
        decoder_input=torch.randn(BATCH, HORIZON, FUTURE, device=device),
        decoder_lengths=horizon.sum(dim=1),
        decoder_mask=horizon,
        target=torch.randn(BATCH, HORIZON, 1, device=device),
        target_mask=horizon,
    )


def make_sequences(device: str) -> Batch:
    """Return a batch of full sequences of noise."""
    mask = torch.ones(BATCH, CONTEXT, dtype=torch.bool, device=device)
    return Batch(
        input=torch.randn(BATCH, CONTEXT, PAST, device=device),
        lengths=mask.sum(dim=1),
        mask=mask,
        target=torch.randn(BATCH, CONTEXT, 1, device=device),
        target_mask=mask,
    )


# a module with its optimizer, and its loss on a batch
Task = tuple[Any, Callable[[], torch.Tensor]]


def our_task(name: str, device: str) -> Task:
    """Return one of our modules, ready to be fitted, and its loss on a batch."""
    module = MODELS[name](dropout=DROPOUT, criterion=QuantileLoss(LEVELS)).to(device)
    # what the trainer calls; it compiles
    module.setup("fit")
    batch = make_sequences(device) if name in SEQUENCES else make_batch(device)
    return module, lambda: module.calc_loss(module(batch)["output"], batch)


def pytorch_forecasting_task(device: str) -> Task:
    """Return pytorch-forecasting's TFT and its loss, called as its `step` does."""
    from pytorch_forecasting import QuantileLoss as TheirLoss
    from pytorch_forecasting import TemporalFusionTransformer as Theirs

    names = [f"x{number}" for number in range(PAST)]
    module = Theirs(
        hidden_size=WIDTH,
        hidden_continuous_size=CONTINUOUS,
        attention_head_size=HEADS,
        lstm_layers=1,
        output_size=len(LEVELS),
        loss=TheirLoss(LEVELS),
        dropout=DROPOUT,
        x_reals=names,
        time_varying_reals_encoder=names,
        time_varying_reals_decoder=names[:FUTURE],
        causal_attention=True,
    ).to(device)
    module.transform_output = lambda prediction, target_scale: prediction
    batch = make_batch(device)
    future = torch.zeros(BATCH, HORIZON, PAST, device=device)
    future[..., :FUTURE] = batch["decoder_input"]
    categories = torch.zeros(BATCH, CONTEXT, 0, dtype=torch.long, device=device)
    inputs = {
        "encoder_lengths": batch["encoder_lengths"],
        "decoder_lengths": batch["decoder_lengths"],
        "encoder_cont": batch["encoder_input"],
        "decoder_cont": future,
        "encoder_cat": categories,
        "decoder_cat": categories[:, :HORIZON],
        "target_scale": torch.tensor([[0.0, 1.0]], device=device).expand(BATCH, 2),
    }
    # the target and no weights
    outcome = batch["target"].squeeze(-1), None
    return module, lambda: module.loss(module(inputs)["prediction"], outcome)


def darts_task(device: str) -> Task:
    """Return darts' TFT and its loss, called as its `training_step` does."""
    from darts.models import TFTModel
    from darts.utils.data.torch_datasets.utils import TorchTrainingBatch, TorchTrainingSample
    from darts.utils.likelihood_models.torch import QuantileRegression

    batch = make_batch(device)
    past = batch["encoder_input"]
    features = {
        "past_target": past[..., -1:],
        "past_covariates": past[..., FUTURE:-1],
        "historic_future_covariates": past[..., :FUTURE],
        "future_covariates": batch["decoder_input"],
        "future_target": batch["target"],
    }
    model = TFTModel(
        CONTEXT,
        HORIZON,
        hidden_size=WIDTH,
        hidden_continuous_size=CONTINUOUS,
        num_attention_heads=HEADS,
        lstm_layers=1,
        dropout=DROPOUT,
        likelihood=QuantileRegression(LEVELS),
    )
    sample = {name: values[0].cpu().numpy() for name, values in features.items()}
    # its fit builds the network so, from the first sample of the data
    module = model._create_model(TorchTrainingSample(**sample)).to(device)
    given = TorchTrainingBatch(**features)

    def loss() -> torch.Tensor:
        output = module(given.to_module_input())
        found: torch.Tensor = module._compute_loss(
            output, given.future_target, module.train_criterion, given.sample_weight
        )
        return found

    return module, loss


def neuralforecast_task(device: str) -> Task:
    """Return neuralforecast's TFT and its loss, called as its `training_step` does."""
    from neuralforecast.losses.pytorch import MQLoss
    from neuralforecast.models import TFT as Theirs  # noqa: N811

    module = Theirs(
        h=HORIZON,
        input_size=CONTEXT,
        futr_exog_list=[f"known{number}" for number in range(FUTURE)],
        # the target is a past variable too
        hist_exog_list=[f"past{number}" for number in range(PAST - FUTURE - 1)],
        hidden_size=WIDTH,
        n_head=HEADS,
        n_rnn_layers=1,
        dropout=DROPOUT,
        loss=MQLoss(quantiles=LEVELS),
    ).to(device)
    batch = make_batch(device)
    past, target = batch["encoder_input"], batch["target"]
    windows = {
        "insample_y": past[..., -1:],
        "insample_mask": torch.ones_like(past[..., -1:]),
        "futr_exog": torch.cat([past[..., :FUTURE], batch["decoder_input"]], dim=1),
        "hist_exog": past[..., FUTURE:-1],
        "stat_exog": None,
    }
    observed = torch.ones_like(target)

    def loss() -> torch.Tensor:
        output = module.loss.domain_map(module(windows))
        found: torch.Tensor = module.loss(
            y=target, y_hat=output, y_insample=windows["insample_y"], mask=observed
        )
        return found

    return module, loss


# by the name to install; the module to import has underscores
PEERS: dict[str, Callable[[str], Task]] = {
    REFERENCE: pytorch_forecasting_task,
    "darts": darts_task,
    "neuralforecast": neuralforecast_task,
}

"""The shared base of all forecasters: steps, loss, point forecast, metrics, optimizer."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, ClassVar, Literal

import lightning
import torch
import torchmetrics
from torch import distributed
from torch.optim.lr_scheduler import LRScheduler

from transformertf import __version__
from transformertf.batch import Batch, BatchSource
from transformertf.errors import InputError, NonFiniteLossError, nearest
from transformertf.hyperparameters import describe
from transformertf.models.layout import ForecastOutput, put_back
from transformertf.nn.losses import MSELoss, QuantileLoss, elementwise, median, quantile_levels
from transformertf.nn.recurrent import Packing
from transformertf.utils.sequence import create_padding_mask, first_data_step, shift_rows

OptimizerCallable = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]
LRSchedulerCallable = Callable[[torch.optim.Optimizer], LRScheduler]

# loss, series and origin
WindowLoss = tuple[float, int, int]

STAGES = ("train", "validation", "test")
METRICS: dict[str, Callable[[], torchmetrics.Metric]] = {
    "MAE": torchmetrics.MeanAbsoluteError,
    "MAPE": torchmetrics.MeanAbsolutePercentageError,
    "MSE": torchmetrics.MeanSquaredError,
    "RMSE": partial(torchmetrics.MeanSquaredError, squared=False),
    "SMAPE": torchmetrics.SymmetricMeanAbsolutePercentageError,
}


class ForecastModule(lightning.LightningModule):
    """Training, validation, test and prediction of a forecaster.

    B batch, Td horizon steps, Q outputs of each step (1, or the quantiles). A subclass sets
    `model`, which maps data-first context and horizon with their lengths to a `ForecastOutput`.

    Args:
        output_dim: outputs of each step; follows the criterion where it is left at its default.
        criterion: elementwise loss, any torch loss included. Default: `MSELoss` for one output,
            `QuantileLoss` for the seven of its default levels.
        use_loss_masking: leave padding out of the loss. False weighs padding as data and is
            there for comparison only.
        packing: how recurrences treat ragged rows; "auto" takes the fastest exact way.
        logging_metrics: names of metrics to log for validation and test, in original units:
            MAE, MAPE, MSE, RMSE, SMAPE.
        optimizer: makes the optimizer of the parameters. Default: Adam with learning rate 1e-3.
        lr_scheduler: makes the learning-rate scheduler of the optimizer. Default: none.
        lr_scheduler_interval: whether the scheduler advances every "epoch" or every "step".
        lr_scheduler_monitor: logged value given to a scheduler that looks at one.
    """

    model: torch.nn.Module
    # whether `model` takes `need_weights` and gives weights to look at
    interpretable: ClassVar[bool] = False

    def __init__(
        self,
        output_dim: int = 1,
        criterion: torch.nn.Module | None = None,
        use_loss_masking: bool = True,
        packing: Packing = "auto",
        logging_metrics: Sequence[str] = ("MAE", "RMSE"),
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_scheduler_interval: Literal["epoch", "step"] = "epoch",
        lr_scheduler_monitor: str = "validation/loss",
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False, ignore=["criterion"])
        for name in ("optimizer", "lr_scheduler"):
            # from YAML they are class_path and init_args; a function cannot be kept
            if callable(self.hparams.get(name)):
                self.hparams[name] = None
        default_dim = inspect.signature(type(self)).parameters["output_dim"].default
        self.criterion, self.output_dim = _match_criterion(criterion, output_dim, default_dim)
        self.hparams.update(describe(self, output_dim=self.output_dim, criterion=self.criterion))
        self.use_loss_masking = use_loss_masking
        self.packing = packing
        metrics: dict[str, torchmetrics.Metric | torchmetrics.MetricCollection] = {
            name: _make_metric(name) for name in logging_metrics
        }
        self.validation_metrics = torchmetrics.MetricCollection(metrics, prefix="validation/")
        if not torch.backends.mps.is_available():
            # errors may be tiny beside the target's level; mps alone has no double
            self.validation_metrics.set_dtype(torch.float64)
        self.test_metrics = self.validation_metrics.clone(prefix="test/")
        self.losses = torch.nn.ModuleDict(
            {f"{stage}_loss": torchmetrics.MeanMetric() for stage in STAGES}
        )
        self._make_optimizer = optimizer or partial(torch.optim.Adam, lr=1e-3)
        self._make_scheduler = lr_scheduler
        self._scheduler_options = {
            "interval": lr_scheduler_interval,
            "monitor": lr_scheduler_monitor,
        }

    def forecast(self, batch: Batch, need_weights: bool = False) -> ForecastOutput:
        """Run `model`; `output` (B, Td, Q) in the units of the batch's inputs.

        The model wants data first. Where it lies is read from the masks, and what comes out goes
        back to where the data lay.

        Args:
            batch: with inputs, lengths and masks.
            need_weights: ask an interpretable model for its weights.
        """
        encoder_mask, decoder_mask = batch["encoder_mask"], batch["decoder_mask"]
        encoder_lengths, decoder_lengths = batch["encoder_lengths"], batch["decoder_lengths"]
        options = {"need_weights": True} if need_weights and self.interpretable else {}
        past = shift_rows(
            batch["encoder_input"],
            first_data_step(encoder_mask),
            create_padding_mask(encoder_lengths, encoder_mask.size(1)),
        )
        future = shift_rows(
            batch["decoder_input"],
            first_data_step(decoder_mask),
            create_padding_mask(decoder_lengths, decoder_mask.size(1)),
        )
        result = self.model(past, future, encoder_lengths, decoder_lengths, **options)
        return put_back(result, encoder_mask, decoder_mask)

    def forward(self, batch: Batch, need_weights: bool | None = None) -> ForecastOutput:
        """Forecast a batch; `output` (B, Td, Q) in globally scaled units of the target.

        Args:
            batch: with inputs, lengths and masks.
            need_weights: ask an interpretable model for its weights too. They cost time;
                default: only outside training.
        """
        result = self.forecast(batch, not self.training if need_weights is None else need_weights)
        if "window_loc" in batch:
            loc, scale = batch["window_loc"].view(-1, 1, 1), batch["window_scale"].view(-1, 1, 1)
            output = result["output"] * scale + loc
            result["output"] = torch.where(batch["decoder_mask"].unsqueeze(-1), output, 0.0)
        return result

    @property
    def quantiles(self) -> list[float] | None:
        """Levels of the outputs, or None where there is one point forecast."""
        return quantile_levels(self.criterion)

    def point_forecast(self, output: torch.Tensor) -> torch.Tensor:
        """Return the point forecast (B, Td, 1) of outputs (B, Td, Q): the 0.5 quantile.

        Quantiles trained side by side can cross; they are brought in order first, which is
        never worse (Chernozhukov, Fernandez-Val and Galichon 2010).
        """
        levels = self.quantiles
        return output if levels is None else median(output.sort(dim=-1).values, levels)

    def calc_loss(self, output: ForecastOutput | torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the mean loss over data elements and quantiles: sum(w l) / sum(w).

        Padding and unobserved targets take no part: they are replaced before the criterion, so
        that no value in them, NaN included, reaches the loss or a gradient.

        In training on several ranks the sums run over all of them, and so all must call this
        together: each gets the same loss, and a gradient whose mean over the ranks, as
        `DistributedDataParallel` takes it, is that of one process with all their rows.

        Args:
            output: forward's result or its `output` (B, Td, Q).
            batch: with `target` and `target_mask`, and `weight` where windows are weighted.

        Returns:
            Scalar; 0 where the batch holds no observed target.
        """
        values = output["output"] if isinstance(output, Mapping) else output
        losses, weight = self._weighted_loss(values, batch)
        loss, total = losses.sum(), weight.sum() * values.size(-1)
        if self._ranks_step_together():
            return _mean_over_ranks(loss, total)
        mean: torch.Tensor = loss / torch.where(total > 0, total, 1.0)
        return mean

    def _ranks_step_together(self) -> bool:
        """Whether several ranks train: in evaluation one may have more batches than another."""
        # a trainer also trains a module that is in evaluation mode
        trains = self.training or (self._trainer is not None and self._trainer.training)
        initialized = distributed.is_available() and distributed.is_initialized()
        return trains and initialized and distributed.get_world_size() > 1

    def _weighted_loss(
        self, values: torch.Tensor, batch: Batch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return losses (B, Td, Q) times their weights, and the weights (B, Td, 1)."""
        if values.dtype in (torch.float16, torch.bfloat16):
            values = values.float()  # the criterion, and sums over many steps, want the digits
        mask = batch["target_mask"].unsqueeze(-1)
        # 1 and not 0 as the stand-in: relative losses divide by the target
        target = torch.where(mask, batch["target"].to(values.dtype), 1.0)
        if self.use_loss_masking:
            values = torch.where(mask, values, 1.0)
        else:
            target, mask = torch.where(mask, target, 0.0), torch.ones_like(mask)
        loss: torch.Tensor = self.criterion(values, target.expand_as(values))
        weight = mask.to(loss.dtype)
        if "weight" in batch:
            weight = weight * batch["weight"].view(-1, 1, 1)
        # what has weight 0 takes no part, whatever its loss
        return torch.where(weight > 0, loss, 0.0) * weight, weight

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch and log `train/loss`."""
        output = self(batch, need_weights=False)["output"]
        loss = self.calc_loss(output, batch)
        if not torch.isfinite(loss):
            raise NonFiniteLossError(self._describe_non_finite(output, batch, loss))
        self._log_loss("train", loss, batch)
        self.log("loss", loss, prog_bar=True, logger=False, batch_size=1)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log `validation/loss` in the loss's units and the metrics in original units."""
        self._evaluate(batch, "validation", self.validation_metrics)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log `test/loss` in the loss's units and the metrics in original units."""
        self._evaluate(batch, "test", self.test_metrics)

    def predict_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Return forecasts (B, Td, Q) in original units."""
        return self._to_original(self(batch, need_weights=False)["output"], batch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note the version that wrote the checkpoint."""
        checkpoint["transformertf_version"] = __version__

    def configure_optimizers(self) -> Any:
        """Return the optimizer, with its scheduler where there is one."""
        optimizer = self._make_optimizer(self.parameters())
        if self._make_scheduler is None:
            return optimizer
        scheduler = {"scheduler": self._make_scheduler(optimizer), **self._scheduler_options}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def _evaluate(self, batch: Batch, stage: str, metrics: torchmetrics.MetricCollection) -> None:
        if "target" not in batch:
            return
        output = self(batch, need_weights=False)["output"]
        self._log_loss(stage, self.calc_loss(output, batch), batch)
        mask = batch["target_mask"]
        point = self._to_original(self.point_forecast(output), batch)
        target = self._to_original(batch["target"], batch)
        metrics.update(point[mask], target[mask])
        self.log_dict(metrics, prog_bar=True)

    def _log_loss(self, stage: str, loss: torch.Tensor, batch: Batch) -> None:
        """Log the mean over the epoch, exact whatever the batches: sum(w l) / sum(w)."""
        weight = batch["target_mask"].sum(dim=1)
        if "weight" in batch:
            weight = weight * batch["weight"]
        metric = self.losses[f"{stage}_loss"]
        assert isinstance(metric, torchmetrics.MeanMetric)
        metric.update(loss.detach(), weight.sum())
        self.log(f"{stage}/loss", metric, on_step=False, on_epoch=True, prog_bar=True)

    def _to_original(self, values: torch.Tensor, batch: Batch) -> torch.Tensor:
        source = self._source()
        return values if source is None else source.inverse_transform_target(values, batch)

    def _source(self) -> BatchSource | None:
        """Return the data module of the running trainer, where there is one."""
        source = getattr(self._trainer, "datamodule", None)
        return source if isinstance(source, BatchSource) else None

    def _describe_non_finite(self, output: torch.Tensor, batch: Batch, loss: torch.Tensor) -> str:
        losses, _ = self._weighted_loss(output.detach(), batch)
        places = batch["series"].tolist(), batch["origin"].tolist()
        windows = list(zip(losses.sum(dim=(1, 2)).tolist(), *places, strict=True))
        if self._ranks_step_together():
            windows = _gather(windows)
        bad = [window for window in windows if not math.isfinite(window[0])]
        # each may be finite where their sum is not
        bad = bad or [max(windows, key=itemgetter(0))]
        names = [self._describe_window(series, origin) for _, series, origin in bad[:3]]
        return (
            f"the training loss is {loss.item()} in epoch {self.current_epoch}, step "
            f"{self.global_step} ({len(bad)} of {len(windows)} windows: {'; '.join(names)}): "
            "lower the learning rate, or clip gradients with trainer.gradient_clip_val"
        )

    def _describe_window(self, series: int, origin: int) -> str:
        source = self._source()
        if source is None:
            return f"series {series}, origin row {origin}"
        return source.describe_training_window(series, origin)


def _mean_over_ranks(loss: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """Return sum of losses / sum of weights over all ranks, from the two sums of each.

    The gradient is that of this rank's part, times the number of ranks: averaging gradients
    over the ranks divides by it.
    """
    sums = torch.stack([loss.detach(), total])
    distributed.all_reduce(sums)
    whole, total = sums
    total = torch.where(total > 0, total, 1.0)
    # the value stays the same on all ranks, to the bit: they agree on whether it is finite
    part = (loss - loss.detach()) * (distributed.get_world_size() / total)
    mean: torch.Tensor = whole / total + part
    return mean


def _gather(rows: list[WindowLoss]) -> list[WindowLoss]:
    """Return the rows of all ranks, in the order of the ranks."""
    parts: list[list[WindowLoss]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(parts, rows)
    return [row for part in parts for row in part]


def _make_metric(name: str) -> torchmetrics.Metric:
    if name not in METRICS:
        raise InputError(f"logging_metrics: unknown metric {name!r}; {nearest(name, METRICS)}")
    return METRICS[name]()


def _match_criterion(
    criterion: torch.nn.Module | None, output_dim: int, default_dim: int
) -> tuple[torch.nn.Module, int]:
    """Return the elementwise criterion and the outputs it wants.

    An `output_dim` other than the model's default was the user's choice and must agree.
    """
    if criterion is None:
        criterion = MSELoss() if output_dim == 1 else QuantileLoss()
    levels = quantile_levels(criterion)
    wanted = 1 if levels is None else len(levels)
    criterion = elementwise(criterion, wanted)
    if output_dim not in (wanted, default_dim):
        raise InputError(
            f"output_dim is {output_dim}, but the criterion {type(criterion).__name__} wants "
            f"{wanted}: leave output_dim out, or give a criterion with {output_dim} outputs"
        )
    return criterion, wanted

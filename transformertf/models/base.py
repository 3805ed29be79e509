"""The shared base of all forecasters: steps, loss, point forecast, metrics, optimizer."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, ClassVar, Literal, get_args

import lightning
import torch
import torchmetrics
from torch.optim.lr_scheduler import LRScheduler

from transformertf import __version__
from transformertf.batch import Batch, BatchKind, BatchSource, sides
from transformertf.errors import InputError, NonFiniteLossError, nearest
from transformertf.hyperparameters import describe
from transformertf.models.layout import ForecastOutput, bring_first, put_back
from transformertf.models.loss import (
    at_least_single,
    gather_windows,
    match_criterion,
    mean_over_ranks,
    several_ranks,
    weighted_losses,
)
from transformertf.models.optimisation import (
    call_for_all_shapes,
    compile_in_place,
    freeze_all_but,
    gradient_norm,
)
from transformertf.models.outputs import last_context_value, rising_quantiles
from transformertf.nn.losses import median, quantile_levels
from transformertf.nn.recurrent import Packing

PredictionType = Literal["point", "delta"]
OptimizerCallable = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]
LRSchedulerCallable = Callable[[torch.optim.Optimizer], LRScheduler]

# the arguments that give a network's outputs their meaning
MEANING = ("prediction_type", "monotone")
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
    `model`, which maps data-first context and horizon and their lengths, or a data-first sequence
    and its lengths, to a `ForecastOutput`. What its outputs mean, `prediction_type` and `monotone`
    say.

    `setup`, which the trainer calls, freezes and compiles; so neither is done to a module that
    was only built. Without a trainer call `setup("fit")`; `configure_optimizers` freezes too.

    Args:
        output_dim: outputs of each step; follows the criterion where it is left at its default.
        criterion: elementwise loss, any torch loss included. Default: `MSELoss` for one output,
            `QuantileLoss` for the seven of its default levels.
        use_loss_masking: leave padding out of the loss. False weighs padding as data and is
            there for comparison only.
        packing: how recurrences treat ragged rows; "auto" takes the fastest exact way.
        prediction_type: "point" takes the network's outputs as values of the target, "delta" as
            its change since the last context step, which the target's history must hold.
        monotone: make quantiles that cannot cross: the one nearest to the median, and distances
            from each to the next.
        trainable_parameters: patterns of parameter names, such as `model.head.*`; all others are
            frozen. Default: all train.
        compile_model: fit with a compiled network, once for all lengths and batch sizes; what
            only forecasts runs without the wait for a compiler.
        log_grad_norm: log the norm of the whole gradient of each step, before clipping, as
            `train/grad_norm`.
        logging_metrics: names of metrics to log for validation and test, in original units:
            MAE, MAPE, MSE, RMSE, SMAPE.
        optimizer: makes the optimizer of the parameters. Default: Adam with learning rate 1e-3.
        lr_scheduler: makes the learning-rate scheduler of the optimizer. Default: none.
        lr_scheduler_interval: whether the scheduler advances every "epoch" or every "step".
        lr_scheduler_monitor: logged value given to a scheduler that looks at one.
    """

    model: torch.nn.Module
    # batches that `model` wants
    takes: ClassVar[BatchKind] = "windows"
    # whether `model` takes `need_weights` and gives weights to look at
    interpretable: ClassVar[bool] = False

    def __init__(
        self,
        output_dim: int = 1,
        criterion: torch.nn.Module | None = None,
        use_loss_masking: bool = True,
        packing: Packing = "auto",
        prediction_type: PredictionType = "point",
        monotone: bool = False,
        trainable_parameters: Sequence[str] | None = None,
        compile_model: bool = False,
        log_grad_norm: bool = False,
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
        self.criterion, self.output_dim = match_criterion(criterion, output_dim, default_dim)
        self.hparams.update(describe(self, output_dim=self.output_dim, criterion=self.criterion))
        self.use_loss_masking = use_loss_masking
        self.packing = packing
        if prediction_type not in get_args(PredictionType):
            hint = nearest(prediction_type, get_args(PredictionType))
            raise InputError(f"prediction_type must not be {prediction_type!r}; {hint}")
        if prediction_type == "delta" and self.takes == "sequences":
            raise InputError(
                "prediction_type 'delta' counts from the target's last value in a context, which "
                f"{type(self).__name__} does not read; leave it at 'point'"
            )
        if monotone and self.quantiles is None:
            raise InputError(
                f"monotone wants quantiles, but the criterion is {type(self.criterion).__name__}; "
                "give the criterion QuantileLoss, or leave monotone out"
            )
        self.prediction_type = prediction_type
        self.monotone = monotone
        if isinstance(trainable_parameters, str):
            trainable_parameters = [trainable_parameters]
        self.trainable_parameters = trainable_parameters and list(trainable_parameters)
        self.hparams["trainable_parameters"] = self.trainable_parameters
        self.compile_model = compile_model
        self.log_grad_norm = log_grad_norm
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
        back to where the data lay. Half-precision outputs become single ones.

        Args:
            batch: with inputs, lengths and masks.
            need_weights: ask an interpretable model for its weights.
        """
        given = sides(batch)
        inputs, lengths = [bring_first(side) for side in given], [side.lengths for side in given]
        options = {"need_weights": True} if need_weights and self.interpretable else {}
        result: ForecastOutput = call_for_all_shapes(self.model, *inputs, *lengths, **options)
        output = at_least_single(result["output"])
        if self.monotone:
            assert self.quantiles is not None
            output = rising_quantiles(output, self.quantiles)
        if self.prediction_type == "delta":
            output = output + last_context_value(inputs[0], lengths[0])
        result["output"] = output
        return put_back(result, given[0].mask, given[-1].mask)

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
        losses, weight = self._weighted_losses(values, batch)
        loss, total = losses.sum(), weight.sum() * values.size(-1)
        if self._ranks_step_together():
            return mean_over_ranks(loss, total)
        mean: torch.Tensor = loss / torch.where(total > 0, total, 1.0)
        return mean

    def _ranks_step_together(self) -> bool:
        """Whether several ranks train: in evaluation one may have more batches than another."""
        # a trainer also trains a module that is in evaluation mode
        trains = self.training or (self._trainer is not None and self._trainer.training)
        return trains and several_ranks()

    def _weighted_losses(
        self, values: torch.Tensor, batch: Batch
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return losses (B, Td, Q) times their weights, and the weights (B, Td, 1)."""
        return weighted_losses(self.criterion, values, batch, self.use_loss_masking)

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

    def setup(self, stage: str) -> None:
        """Prepare the network for a stage; a fit freezes parameters and compiles.

        Raises:
            InputError: a pattern of `trainable_parameters` matches nothing, or the batches are of
                another kind or lack the history that changes are counted from.
        """
        source = self._source()
        if getattr(source, "gives", self.takes) != self.takes:
            raise InputError(
                f"{type(self).__name__} wants batches of {self.takes}, which "
                f"{type(source).__name__} does not make; give it the other data module"
            )
        given = getattr(source, "hparams", {})
        if self.prediction_type == "delta" and not given.get("add_target_to_past", True):
            raise InputError(
                "prediction_type 'delta' counts from the target's last value, which the encoder "
                "does not get: set data.add_target_to_past to true, or prediction_type to 'point'"
            )
        if stage == "fit":
            self._freeze()
            if self.compile_model:
                device = self._trainer.strategy.root_device if self._trainer else self.device
                compile_in_place(self.model, device.type)

    def _freeze(self) -> None:
        if self.trainable_parameters is not None:
            freeze_all_but(self, self.trainable_parameters)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the norm of the gradient, which is not clipped yet."""
        if self.log_grad_norm:
            self.log("train/grad_norm", gradient_norm(self.parameters()))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note the version that wrote the checkpoint."""
        checkpoint["transformertf_version"] = __version__

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights that mean something else, and an optimizer of other parameters.

        Raises:
            InputError: names the argument that differs.
        """
        stored = checkpoint.get("hyper_parameters", {})
        resumes = self._trainer is not None and self._trainer.state.fn == "fit"
        for name in (*MEANING, "trainable_parameters") if resumes else MEANING:
            default = inspect.signature(ForecastModule).parameters[name].default
            before, now = stored.get(name, default), getattr(self, name)
            if before != now:
                raise InputError(
                    f"{name} is {now!r}, but the checkpoint was trained with {before!r}; leave it "
                    "as it was, or start anew from the weights alone"
                )

    def configure_optimizers(self) -> Any:
        """Return the optimizer of what trains, with its scheduler where there is one."""
        self._freeze()
        optimizer = self._make_optimizer([p for p in self.parameters() if p.requires_grad])
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
        losses, _ = self._weighted_losses(output.detach(), batch)
        places = batch["series"].tolist(), batch["origin"].tolist()
        windows = list(zip(losses.sum(dim=(1, 2)).tolist(), *places, strict=True))
        if self._ranks_step_together():
            windows = gather_windows(windows)
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


def _make_metric(name: str) -> torchmetrics.Metric:
    if name not in METRICS:
        raise InputError(f"logging_metrics: unknown metric {name!r}; {nearest(name, METRICS)}")
    return METRICS[name]()

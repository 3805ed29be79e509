"""The shared base of all forecasters: steps, loss, point forecast, metrics, optimizer."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, Self

import lightning
import torch
import torchmetrics

from transformertf.batch import Batch, BatchKind, BatchSource, check_batch, sides
from transformertf.checkpoint import CHECKPOINT_FORMAT, describe
from transformertf.models.common import (
    MEANING,
    Accumulation,
    CarriedStates,
    Carries,
    ForecastOutput,
    LossSteps,
    LRSchedulerCallable,
    MeanLosses,
    NonFinite,
    OnNonFinite,
    OptimizerCallable,
    PredictionType,
    Reading,
    Ridge,
    WayBack,
    actual_of,
    at_least_single,
    baseline_of,
    bring_first,
    call_for_all_shapes,
    check_features,
    check_horizon,
    check_source,
    check_steps_of_loss,
    compile_in_place,
    complete,
    describe_non_finite,
    fit_ridge,
    follow_fit,
    freeze_all_but,
    gradient_norm,
    in_precision_of,
    keeping_digits,
    loss_weight,
    make_metrics,
    make_optimizers,
    match_criterion,
    mean_over_ranks,
    outputs_of,
    prepare_ridge,
    put_back,
    refuse_other_values,
    refuse_unknown,
    renew,
    sized_by,
    sizes_for,
    take_covariates,
    take_precision,
    weigh_steps,
    weighted_losses,
    widening_for,
    zero_with_zero_gradient,
)
from transformertf.nn import D_CATEGORY, Packing, linked
from transformertf.processes import is_distributed
from transformertf.stage import Stage
from transformertf.version import __version__


class ForecastModule(lightning.LightningModule):
    """Training, validation, test and prediction of a forecaster.

    B batch, Td horizon steps, P outputs of each step (1, the quantiles, or the parameters of a
    distribution), Q numbers that a forecast shows of each step (1, or the quantiles). A subclass
    sets `model`, which maps data-first context and horizon and their lengths, or a data-first
    sequence and its lengths, to a `ForecastOutput`. What its outputs mean, `criterion`,
    `prediction_type` and `monotone` say.

    `setup`, which the trainer calls, freezes and compiles; so neither is done to a module that
    was only built. Without a trainer call `setup("fit")`; `configure_optimizers` freezes too.

    Args:
        output_dim: outputs of each step; follows the criterion where it is left at its default.
        criterion: elementwise loss, any torch loss included. Default: `MSELoss` for one output,
            `QuantileLoss` for the seven of its default levels.
        use_loss_masking: leave padding out of the loss. False weighs padding as data and is
            there for comparison only.
        loss_steps: steps of each forecast that count in the loss and the metrics logged beside it:
            a list of their numbers, from 1, or "last" for the last data step of each row; of a
            sequence in pieces, that of the last piece. Default: all.
        packing: how recurrences treat ragged rows; "auto" takes the fastest exact way.
        prediction_type: "point" takes the network's outputs as values of the target, "delta" as
            its change since the last context step, "seasonal" as that since the same step of the
            context's last season, or since its last step where the context is shorter: for both the
            target's history must be in the context. "ridge" takes them as what a ridge regression
            leaves, which is fitted to the training windows as a fit begins.
        season: steps of a season, for "seasonal" alone.
        ridge_context: context steps that the regression reads, for "ridge" alone. Default: all, or
            as many as keep what it reads of a window below 2000 numbers.
        monotone: make quantiles that cannot cross: the one nearest to the median, and distances
            from each to the next.
        trainable_parameters: patterns of parameter names, such as `model.head.*`; all others are
            frozen. Default: all train.
        compile_model: fit with a compiled network, once for all lengths and batch sizes; what
            only forecasts runs without the wait for a compiler.
        log_grad_norm: log the norm of the whole gradient of each step, before clipping, as
            `train/grad_norm`.
        on_nonfinite: "stop" at a batch whose loss or gradient is not finite, or "skip" it; then
            `train/skipped` is their number in each epoch.
        logging_metrics: names of metrics to log for validation and test, in original units:
            MAE, MAPE, MSE, RMSE, sMAPE.
        optimizer: makes the optimizer of the parameters. Default: Adam with learning rate 1e-3.
        lr_scheduler: makes the learning-rate scheduler of the optimizer. Default: none.
        lr_scheduler_interval: whether the scheduler advances every "epoch" or every "step".
        lr_scheduler_monitor: logged value given to a scheduler that looks at one.
        num_static_features: features constant within a series; linked from the data. A model
            without a static path gets them on every step, and static categories likewise.
        static_category_sizes: number of codes of each static category; linked from the data.
        past_category_sizes: likewise of each category of a context step.
        future_category_sizes: likewise of each category of a horizon step.
        category_sizes: likewise of each category of a step of a sequence.
        d_category: width of a category's embedding, whatever its codes. A model that selects
            variables embeds all of them in a width of its own and refuses another value.
    """

    model: torch.nn.Module
    # batches that `model` wants
    takes: ClassVar[BatchKind] = "windows"
    # whether `model` takes `need_weights` and gives weights to look at
    interpretable: ClassVar[bool] = False
    # whether `model` takes statics and categories as they are; others get them as features
    selects: ClassVar[bool] = False
    # what a trainer's predict makes of a batch, in the place of what is shown of it
    predicts: Callable[[Batch], Any] | None = None

    def __init__(
        self,
        output_dim: int = 1,
        criterion: torch.nn.Module | None = None,
        use_loss_masking: bool = True,
        loss_steps: Literal["last"] | list[int] | None = None,
        packing: Packing = "auto",
        prediction_type: PredictionType = "point",
        season: int | None = None,
        ridge_context: int | None = None,
        monotone: bool = False,
        trainable_parameters: Sequence[str] | None = None,
        compile_model: bool = False,
        log_grad_norm: bool = False,
        on_nonfinite: OnNonFinite = "stop",
        logging_metrics: Sequence[str] = ("MAE", "RMSE"),
        optimizer: OptimizerCallable | None = None,
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_scheduler_interval: Literal["epoch", "step"] = "epoch",
        lr_scheduler_monitor: str = "validation/loss",
        num_static_features: int = 0,
        static_category_sizes: Sequence[int] = (),
        past_category_sizes: Sequence[int] = (),
        future_category_sizes: Sequence[int] = (),
        category_sizes: Sequence[int] = (),
        d_category: int = D_CATEGORY,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False, ignore=["criterion"])
        for name in ("optimizer", "lr_scheduler"):
            # from YAML they are class_path and init_args; a function cannot be kept
            if callable(self.hparams.get(name)):
                self.hparams[name] = None
        default_dim = inspect.signature(type(self)).parameters["output_dim"].default
        given, self.output_dim = match_criterion(criterion, output_dim, default_dim)
        self.criterion = linked(given)
        category_lists = {
            "static_category_sizes": static_category_sizes,
            "past_category_sizes": past_category_sizes,
            "future_category_sizes": future_category_sizes,
            "category_sizes": category_sizes,
        }
        self.sizes = sizes_for(self.takes, num_static_features, **category_lists)
        self.widening = widening_for(self.sizes, d_category, self.selects)
        self.hparams.update(
            describe(self, output_dim=self.output_dim, criterion=given, **category_lists)
        )
        self.use_loss_masking, self.packing = use_loss_masking, packing
        self.loss_steps: LossSteps = check_steps_of_loss(loss_steps)
        self.baseline = baseline_of(
            prediction_type, season, ridge_context, type(self).__name__, self.takes
        )
        moved = self.baseline is not None
        self.outputs = outputs_of(self.criterion, moved, monotone, use_loss_masking)
        self.way_back = WayBack(self.outputs)
        self.prediction_type, self.monotone = prediction_type, monotone
        self.season, self.ridge_context = season, ridge_context
        if isinstance(trainable_parameters, str):
            trainable_parameters = [trainable_parameters]
        self.trainable_parameters = trainable_parameters and list(trainable_parameters)
        self.hparams["trainable_parameters"] = self.trainable_parameters
        self.compile_model, self.log_grad_norm = compile_model, log_grad_norm
        self.validation_metrics = make_metrics(logging_metrics, "validation")
        self.test_metrics = make_metrics(logging_metrics, "test")
        self.carried = CarriedStates()
        self._accumulation = Accumulation()
        self._looked = False
        self.losses = MeanLosses(("train", "validation", "test"))
        self._nonfinite = NonFinite(on_nonfinite, self.losses)
        self._make_optimizers = partial(
            make_optimizers,
            make_optimizer=optimizer,
            make_scheduler=lr_scheduler,
            interval=lr_scheduler_interval,
            monitor=lr_scheduler_monitor,
        )

    @classmethod
    def for_data(cls, data: object, **own: Any) -> Self:
        """Return a model whose sizes are those of a data module, see `sized_by`."""
        return sized_by(cls, data, **own)

    def forecast(
        self,
        batch: Batch,
        need_weights: bool = False,
        run: Callable[..., ForecastOutput] | None = None,
    ) -> ForecastOutput:
        """Run `model`; `output` (B, Td, P) in the units of the batch's inputs.

        The model wants data first. Where it lies is read from the masks, and what comes out goes
        back to where the data lay. Half-precision outputs become single ones.

        Args:
            batch: with inputs, lengths and masks.
            need_weights: ask an interpretable model for its weights.
            run: called in the place of `model`, which a stream carries a state through.
        """
        batch = self._whole(batch)
        given = sides(batch)
        inputs, lengths = [*map(bring_first, given)], [side.lengths for side in given]
        covariates = take_covariates(batch, self.sizes, self.takes)
        read, covariates = in_precision_of(self.model, inputs, covariates)
        options: dict[str, Any] = {"need_weights": need_weights} if self.interpretable else {}
        if self.widening is None:
            options |= covariates.by_name()
        wide = read if self.widening is None else self.widening(read, covariates)
        run = run or partial(call_for_all_shapes, self.model)
        result = run(*wide, *lengths, **options)
        output = at_least_single(result["output"])
        by = None
        if self.baseline is not None:
            (past, future), (past_lengths, future_lengths) = inputs, lengths
            static = batch.get("static_input")
            by = self.baseline(Reading(past, past_lengths, future, future_lengths, static))
        result["output"] = self.outputs.of_target(output, by)
        return put_back(result, given[0].mask, given[-1].mask)

    def forward(self, batch: Batch, need_weights: bool | None = None) -> ForecastOutput:
        """Forecast a batch; `output` (B, Td, P) in the units of the batch's target.

        Sequences that go on with those of the batches before take up their states.

        Args:
            batch: with inputs, lengths and masks.
            need_weights: ask an interpretable model for its weights too. They cost time;
                default: only outside training.
        """
        batch = self._whole(batch)
        weights = not self.training if need_weights is None else need_weights
        result = self.forecast(batch, weights, self.carried.run(self.model, batch))
        result["output"] = self.outputs.undo_window(result["output"], batch)
        return result

    @property
    def training_metrics(self) -> dict[str, torchmetrics.Metric]:
        """Metrics that add up over a training epoch, by the names they are logged under."""
        return {"train/loss": self.losses.of("train")}

    @property
    def quantiles(self) -> list[float] | None:
        """Levels of what is shown, or None where there is one point forecast."""
        return self.outputs.levels

    def decode(self, output: torch.Tensor) -> torch.Tensor:
        """Return what is shown (B, Td, Q) of outputs (B, Td, P): a distribution's quantiles."""
        return self.outputs.shown(output)

    def draw(self, output: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        """Return the quantile (B, K, Td) of outputs (B, Td, P) at levels (B, K, Td).

        Raises:
            InputError: the outputs are a point forecast.
        """
        return self.outputs.draw(output, levels)

    def point_forecast(self, output: torch.Tensor) -> torch.Tensor:
        """Return the point forecast (B, Td, 1) of outputs (B, Td, P): the median, or the number."""
        return self.outputs.point(output)

    def calc_loss(self, output: ForecastOutput | torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the mean loss over data elements, and quantiles: sum(w l) / sum(w).

        Padding and unobserved targets take no part: they are replaced before the criterion, so
        that no value in them, NaN included, reaches the loss or a gradient.

        In training on several ranks the sums run over all of them, and so all must call this
        together: each gets the same loss, and a gradient whose mean over the ranks, as
        `DistributedDataParallel` takes it, is that of one process with all their rows.

        Args:
            output: forward's result or its `output` (B, Td, P).
            batch: with `target` and `target_mask`, and `weight` where some weigh more than others.

        Returns:
            Scalar; 0 where the batch holds no observed target.
        """
        batch = self._weighed(batch)
        values = output["output"] if isinstance(output, Mapping) else output
        losses, weight = weighted_losses(self.criterion, values, batch, self.use_loss_masking)
        loss, total = losses.sum(), weight.sum() * losses.size(-1)
        if self._ranks_step_together():
            return mean_over_ranks(loss, total)
        mean: torch.Tensor = loss / torch.where(total > 0, total, 1.0)
        return mean

    def _ranks_step_together(self) -> bool:
        """Whether several ranks train: in evaluation one may have more batches than another."""
        # a trainer also trains a module that is in evaluation mode
        trains = self.training or (self._trainer is not None and self._trainer.training)
        return trains and is_distributed()

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch and log `train/loss`; 0 where the batch is left out."""
        batch = self._weighed(batch)
        self.outputs.check_target(batch, self._describe_window)
        output = self(batch, need_weights=False)["output"]
        loss = self.calc_loss(output, batch)
        weight = loss_weight(batch, self.use_loss_masking)
        describe = partial(self._describe_windows, output.detach(), batch, self._describe_window)
        if not self._nonfinite.take(loss, weight, describe):
            return zero_with_zero_gradient(self.parameters())
        self._accumulation.take(weight, self._trainer, self._ranks_step_together())
        self._log_mean_loss("train")
        self.log("loss", loss, prog_bar=True, logger=False, batch_size=1)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log `validation/loss` in the loss's units and the metrics in original units."""
        self._evaluate(batch, "validation", self.validation_metrics)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log `test/loss` in the loss's units and the metrics in original units."""
        self._evaluate(batch, "test", self.test_metrics)

    def predict_step(self, batch: Batch, batch_idx: int) -> Any:
        """Return forecasts (B, Td, Q) in original units, or what `predicts` makes of the batch."""
        return self.shown(batch)[1] if self.predicts is None else self.predicts(batch)

    def shown(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return point forecasts (B, Td, 1) and the numbers (B, Td, Q) shown, in original units."""
        batch = self._whole(batch)
        output = self(batch, need_weights=False)["output"]
        return self.way_back(output, batch, self._source())

    def setup(self, stage: str) -> None:
        """Prepare the network for a stage; a fit freezes parameters and compiles.

        Raises:
            InputError: a pattern of `trainable_parameters` matches nothing, no forecast reaches one
                of `loss_steps`, or batches are not such as outputs and criterion want.
        """
        carries = isinstance(self.model, Carries)
        meaning = self.prediction_type, self.season
        check_source(self._source(), self.takes, *meaning, type(self).__name__, carries)
        if stage != "predict":
            check_horizon(self.loss_steps, self._source(), self.takes)
        take_precision(self, self._trainer)
        if stage == "fit":
            self.outputs.take_units(self._source())
            self.way_back.refuse(self._source())
            if isinstance(self.baseline, Ridge):
                prepare_ridge(self.baseline, self._source(), self._trainer)
            freeze_all_but(self, self.trainable_parameters)
            if self.compile_model:
                device = self._trainer.strategy.root_device if self._trainer else self.device
                compile_in_place(self.model, device.type)

    def on_fit_start(self) -> None:
        """Fit a ridge regression, where no checkpoint gave one."""
        if isinstance(self.baseline, Ridge):
            fit_ridge(self.baseline, self._source())

    def on_train_start(self) -> None:
        """Tell a schedule over the whole fit how many steps that has."""
        follow_fit(self.trainer)

    def on_before_zero_grad(self, optimizer: torch.optim.Optimizer) -> None:
        """Begin the gradient of another step."""
        self._accumulation.begin()

    def backward(self, loss: torch.Tensor, *args: Any, **options: Any) -> None:
        """Add a batch to the gradient, the mean over the data elements of a step's batches."""
        super().backward(self._accumulation.share(loss, self.parameters()), *args, **options)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the norm of the gradient, which is not clipped yet, where a step follows."""
        if self.log_grad_norm and self._nonfinite.steps:
            self.log("train/grad_norm", gradient_norm(self.parameters()))

    def configure_gradient_clipping(self, *args: Any, **options: Any) -> None:
        """Clip the gradients of a step; torch refuses to clip where there are none."""
        if self._nonfinite.steps:
            super().configure_gradient_clipping(*args, **options)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Any:
        """Change types and devices; what criterion and baseline compute with keeps its digits."""
        kept = [part for part in (self.criterion, self.baseline) if part is not None]
        exact = {id(each) for part in kept for each in (*part.parameters(), *part.buffers())}
        keep = keeping_digits(fn)
        apply: Callable[..., Any] = super()._apply
        return apply(lambda each: (keep if id(each) in exact else fn)(each), recurse)

    def configure_callbacks(self) -> list[lightning.Callback]:
        """Return what keeps the weights from what is not finite."""
        return [self._nonfinite]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note the format of the checkpoint, and the version that wrote it."""
        checkpoint["transformertf_format"] = CHECKPOINT_FORMAT
        checkpoint["transformertf_version"] = __version__
        self.outputs.keep_units(checkpoint["state_dict"])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse weights that mean something else; let a fit go on with settings given anew.

        Raises:
            InputError: names an argument that differs or is unknown, or a setting without state.
        """
        stored = checkpoint.get("hyper_parameters", {})
        if self._trainer is None:
            # Lightning passes on what the signature has, and says nothing of the rest
            refuse_unknown(type(self), [name for name in stored if not name.startswith("_")])
        resumes = self._trainer is not None and self._trainer.state.fn == "fit"
        names = (*MEANING, "trainable_parameters") if resumes else MEANING
        refuse_other_values(names, self, stored, ForecastModule)
        self.outputs.refuse_other_meaning(stored)
        if resumes:
            renew(checkpoint, self.hparams, self.configure_optimizers)

    def configure_optimizers(self) -> Any:
        """Return the optimizer of what trains, with its scheduler where there is one."""
        freeze_all_but(self, self.trainable_parameters)
        return self._make_optimizers([p for p in self.parameters() if p.requires_grad])

    def _evaluate(self, batch: Batch, stage: Stage, metrics: torchmetrics.MetricCollection) -> None:
        if "target" not in batch:
            return
        batch = self._weighed(batch)
        place = partial("{} data, series {}, origin row {}".format, stage)
        self.outputs.check_target(batch, place)
        output = self(batch, need_weights=False)["output"]
        loss = self.calc_loss(output, batch)
        self._nonfinite.look(loss, partial(self._describe_windows, output, batch, place))
        self.losses.of(stage).update(loss, loss_weight(batch, self.use_loss_masking))
        self._log_mean_loss(stage)
        source = self._source()
        point = self.way_back(output, batch, source)[0][..., 0]
        target, mask = actual_of(source, batch, stage, point)
        metrics.update(point[mask], target[mask])
        self.log_dict(metrics, prog_bar=True)

    def _whole(self, batch: Batch) -> Batch:
        """Return a batch with all its masks and lengths; the first one is looked at, once."""
        batch = complete(batch)
        # in a compiled graph there are no values to look at
        if not torch.compiler.is_compiling() and not self._looked:
            check_batch(batch)
            check_features(batch, self.takes, self.hparams)
            self._looked = True
        return batch

    def _weighed(self, batch: Batch) -> Batch:
        """Return a whole batch in which the steps of the loss alone have weight."""
        return weigh_steps(self._whole(batch), self.loss_steps)

    def _log_mean_loss(self, stage: str) -> None:
        mean = self.losses.of(stage)
        self.log(f"{stage}/loss", mean, on_step=False, on_epoch=True, prog_bar=True)

    def _source(self) -> BatchSource | None:
        """Return the data module of the running trainer, where there is one."""
        source = getattr(self._trainer, "datamodule", None)
        return source if isinstance(source, BatchSource) else None

    def _describe_windows(
        self, output: torch.Tensor, batch: Batch, place: Callable[[int, int], str]
    ) -> str:
        losses, _ = weighted_losses(self.criterion, output, batch, self.use_loss_masking)
        return describe_non_finite(losses, batch, self._ranks_step_together(), place)

    def _describe_window(self, series: int, origin: int) -> str:
        source, words = self._source(), "series {}, origin row {}".format
        return (words if source is None else source.describe_training_window)(series, origin)

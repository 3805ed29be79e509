"""What the shared base of the models is made of: inputs, layout, outputs, loss, optimisation."""

from transformertf.models.common.accumulation import Accumulation
from transformertf.models.common.baseline import baseline_of
from transformertf.models.common.carrying import CarriedStates, Carries
from transformertf.models.common.fit_schedules import (
    CosineWithWarmup,
    OneCycle,
    follow_fit,
    refuse_endless,
)
from transformertf.models.common.inputs import (
    STEP_FEATURES,
    Covariates,
    CovariateSizes,
    check_features,
    check_source,
    in_precision_of,
    sizes_for,
    take_covariates,
    widening_for,
)
from transformertf.models.common.layout import (
    ForecastOutput,
    Padding,
    bring_first,
    check_steps,
    check_windows,
    complete,
    put_back,
)
from transformertf.models.common.loss import (
    MeanLosses,
    actual_of,
    at_least_single,
    keeping_digits,
    loss_weight,
    make_metrics,
    match_criterion,
    mean_over_ranks,
    weighted_losses,
)
from transformertf.models.common.loss_steps import (
    LossSteps,
    check_horizon,
    check_steps_of_loss,
    weigh_steps,
)
from transformertf.models.common.nonfinite import (
    NonFinite,
    OnNonFinite,
    describe_non_finite,
    zero_with_zero_gradient,
)
from transformertf.models.common.optimisation import (
    LRSchedulerCallable,
    OptimizerCallable,
    call_for_all_shapes,
    compile_in_place,
    freeze_all_but,
    gradient_norm,
    make_optimizers,
    precision_of,
    take_precision,
)
from transformertf.models.common.outputs import (
    MEANING,
    PredictionType,
    outputs_of,
    refuse_other_values,
    refuse_unknown,
)
from transformertf.models.common.renewal import DEFAULT_OPTIMIZER, changed_settings, renew
from transformertf.models.common.ridge import Reading, Ridge, fit_ridge, prepare_ridge
from transformertf.models.common.schedules import ChainedScheduler, SequentialLR
from transformertf.models.common.sizing import TOLD_BY_DATA, sized_by
from transformertf.models.common.way_back import WayBack

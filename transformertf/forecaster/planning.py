"""What if: forecasts of a plan, beside those of what is planned."""

from collections.abc import Mapping
from functools import partial

import pandas as pd

from transformertf.data import EncoderDecoderDataModule, Series, WindowDataModule
from transformertf.data.reading import Change, change_rows, check_changes
from transformertf.errors import InputError


def check_plan(module: WindowDataModule, changes: Mapping[str, Change]) -> EncoderDecoderDataModule:
    """Return the data module, where its model can be asked what the changes would do.

    Raises:
        InputError: a model of sequences, or changes of what is not known ahead.
    """
    if not isinstance(module, EncoderDecoderDataModule):
        raise InputError("what_if wants a model with a horizon; change the rows, and predict")
    check_changes(module.columns, changes)
    return module


def goes_on(module: EncoderDecoderDataModule) -> bool:
    """Whether rows without a target follow the last one of some series."""
    return any(len(one) > one.observed for one in module.predict_series)


def plan(module: EncoderDecoderDataModule, changes: Mapping[str, Change], steps: int) -> None:
    """Have a data module forecast what would be with other known covariates.

    Contexts stay as they are, for they have happened.

    Args:
        module: has what is to forecast.
        changes: by column.
        steps: of each forecast.

    Raises:
        InputError: more than one forecast of a series, whose horizons are contexts of others.
    """
    series, begins = module.predict_series, dict[str, int]()
    for run in module.predict_windows().runs:
        name = series[run.series].name
        if run.count > 1 or name in begins:
            raise InputError(
                f"what_if: origin {module.hparams['origin']} gives several forecasts of series "
                f"{name!r}, of which one's horizon is another one's past; set origin to last, end "
                "or a time"
            )
        begins[name] = run.origin + 1
    module.stages.revise = partial(_changed, module, changes, begins, steps)


def _changed(
    module: EncoderDecoderDataModule,
    changes: Mapping[str, Change],
    begins: Mapping[str, int],
    steps: int,
    series: list[Series],
) -> list[Series]:
    """Return the series with changed horizons; what is not forecast stays."""
    made = []
    for one in series:
        begin = begins.get(one.name, len(one))
        rows = slice(begin, min(begin + steps, len(one)))
        changed = change_rows(one, module.columns, changes, rows) if begin < len(one) else one
        made.append(changed)
    return made


def beside(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Return forecasts, and beside them those of the changed plan as `what_if`."""
    told = [name for name in after.columns if name == "prediction" or name.startswith("q")]
    new = {name: "what_if" if name == "prediction" else f"what_if_{name}" for name in told}
    return before.join(after[told].rename(columns=new))

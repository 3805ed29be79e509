"""What users read of a forecaster in a notebook."""

from transformertf.checkpoint import Checkpoint
from transformertf.data import as_list
from transformertf.models import ForecastModule

# what is said of columns, and the arguments that name them
ROLES = {
    "known": "known_covariates",
    "past": "known_past_covariates",
    "static": "static_covariates",
    "series": "series_id",
    "time": "time_column",
}


def summary(checkpoint: Checkpoint, model: ForecastModule) -> dict[str, str]:
    """Return what a checkpoint's forecaster is, by what is said of it; "" where there is nothing.

    Args:
        checkpoint: read.
        model: made of it.
    """
    given = checkpoint.data["init_args"]
    lengths = [given[name] for name in ("ctxt_seq_len", "tgt_seq_len", "seq_len") if name in given]
    return {
        "model": type(model).__name__,
        "target": str(given["target_covariate"]),
        **{key: ", ".join(as_list(given.get(name))) for key, name in ROLES.items()},
        "steps": f"{' + '.join(map(str, lengths))} steps",
        "weights": f"{sum(weight.numel() for weight in model.parameters()):,}",
        "checkpoint": str(checkpoint.path),
    }

"""Series to the windows that are trained on or forecast: index arithmetic, integers only.

    Series -> Part -> Windows -> Request

`stages` says which rows are for what, `windows` cuts them, `origins` says where forecasts start,
and `sampler` in which order windows become batches.
"""

from transformertf.data.windows.origins import Origin, OriginLike, origin_text
from transformertf.data.windows.sampler import BatchSampler, RankShare, Request
from transformertf.data.windows.stages import (
    FRACTIONS,
    FUTURE_PATHS,
    OWN_PATHS,
    PREDICT_PATHS,
    Fractions,
    Stages,
)
from transformertf.data.windows.windows import (
    Part,
    Run,
    WindowLimits,
    Windows,
    consecutive,
    sliding,
)

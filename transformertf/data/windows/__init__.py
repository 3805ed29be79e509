"""Series to the windows that are trained on or forecast: index arithmetic, integers only.

    Series -> Part -> Windows -> Request

`stages` says which rows are for what, `windows` cuts them, `origins` says where forecasts start,
`sampler` in which order windows become batches, `lanes` how rows of a batch go along whole runs,
`balance` what windows of each series weigh, and `trained` which rows were trained on.
"""

from transformertf.data.windows.balance import balanced
from transformertf.data.windows.content import Content
from transformertf.data.windows.lanes import LaneSampler
from transformertf.data.windows.origins import Origin, OriginLike, origin_text
from transformertf.data.windows.sampler import (
    BatchSampler,
    EpochSampler,
    RankShare,
    Request,
    SeriesSampler,
)
from transformertf.data.windows.stages import (
    FUTURE_PATHS,
    OWN_PATHS,
    PREDICT_PATHS,
    SHARES,
    Split,
    Stages,
)
from transformertf.data.windows.trained import (
    Spans,
    TrainedRows,
    count_rows,
    rows_in_training,
    seen_in_fit,
    trained_spans,
)
from transformertf.data.windows.windows import (
    Ends,
    Part,
    Run,
    WindowLimits,
    Windows,
    consecutive,
    sliding,
    whole_run,
)

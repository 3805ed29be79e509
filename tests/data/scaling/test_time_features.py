"""The time feature and its scale."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests.data.spans import spans_before
from transformertf.data.columns import Columns
from transformertf.data.scaling.chains import TIME
from transformertf.data.scaling.scaling import Scaling
from transformertf.data.series import Series
from transformertf.data.windows.windows import Run, Windows
from transformertf.errors import InputError

COLUMNS = Columns((), (), "y", "t")
CONTEXT, HORIZON = 6, 3
RNG = np.random.default_rng(0)
ROWS = 60
# sampling of each file: steps between its time stamps
SAMPLINGS = {
    "regular": [np.full(ROWS, 0.25)],
    "jittered": [0.25 + RNG.uniform(-0.02, 0.02, ROWS)],
    "irregular": [RNG.exponential(3.0, ROWS) + 1e-3],
    "rates": [np.full(ROWS, 0.1), np.full(ROWS, 60.0)],
}


def make_series(steps, dates=False):
    result = []
    for place, step in enumerate(steps):
        stamps = 1e6 + np.cumsum(step)
        time = pd.to_datetime(stamps, unit="s") if dates else pd.Index(stamps)
        result.append(Series(f"s{place}", np.ones((len(step), 1)), time, len(step)))
    return result


def make_windows(series):
    count = ROWS - CONTEXT - HORIZON + 1
    return Windows([Run(i, CONTEXT - 1, 1, count, CONTEXT, HORIZON) for i in range(len(series))])


def fitted(steps, time_format, extra=None, dates=False):
    series = make_series(steps, dates)
    scaling = Scaling(COLUMNS, True, time_format, extra)
    scaling.fit(series, spans_before(series), make_windows(series))
    return scaling


def window_times(steps, time_format):
    """Return what the feature is made of, of all training windows."""
    times = []
    for step in steps:
        stamps = np.cumsum(step)
        for origin in range(CONTEXT - 1, ROWS - HORIZON):
            rows = stamps[origin - CONTEXT + 1 : origin + HORIZON + 1]
            times.append(rows - rows[0] if time_format == "absolute" else np.diff(rows))
    return np.array(times)


@pytest.mark.parametrize("dates", [False, True], ids=["number", "date"])
@pytest.mark.parametrize("time_format", ["absolute", "relative"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_feature_has_rms_one_over_the_training_windows(sampling, time_format, dates):
    steps = SAMPLINGS[sampling]
    scaling = fitted(steps, time_format, dates=dates)
    times = torch.from_numpy(window_times(steps, time_format))
    feature = scaling.transform_time(times)
    assert bool(torch.isfinite(feature).all())
    # stamps of dates are whole nanoseconds, those of numbers have the rounding of 1e6
    assert float(feature.square().mean().sqrt()) == pytest.approx(1.0, rel=1e-6)
    assert scaling.time_kind == ("date" if dates else "number")
    if sampling != "regular" or time_format == "absolute":
        assert float(feature.std()) > 0.02


def test_extra_transforms_come_before_the_scale():
    steps = SAMPLINGS["rates"]
    scaling = fitted(steps, "absolute", {TIME: ["Log1pTransform", "MaxScaler"]})
    times = window_times(steps, "absolute")
    logs = np.log1p(times) / np.log1p(times).max()
    expected = logs / np.sqrt(np.mean(np.square(logs)))
    found = scaling.transform_time(torch.from_numpy(times).float())
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    state = scaling.state_dict()
    other = Scaling(COLUMNS, True, "absolute", {TIME: ["Log1pTransform", "MaxScaler"]})
    other.load_state_dict(state)
    assert torch.equal(other.transform_time(torch.from_numpy(times).float()), found)
    with pytest.raises(InputError, match=r"'__time__': .* the state is that of Log1p"):
        Scaling(COLUMNS, True, "absolute").load_state_dict(state)


def test_a_transform_that_refuses_time_says_where():
    with pytest.raises(InputError, match=r"^extra_transforms: '__time__': LogTransform takes val"):
        fitted(SAMPLINGS["regular"], "absolute", {TIME: "LogTransform"})
    fitted(SAMPLINGS["regular"], "relative", {TIME: "LogTransform"})


def test_the_scale_of_many_windows_is_a_sample_of_them():
    rows = 3000
    series = [Series("a", np.ones((rows, 1)), pd.Index(np.arange(rows) * 0.25), rows)]
    scaling = Scaling(COLUMNS, True, "absolute")
    scaling.fit(series, spans_before(series), Windows([Run(0, 4, 1, rows - 7, 5, 3)]))
    assert scaling.time_scale == pytest.approx(0.25 * np.sqrt(np.mean(np.arange(8) ** 2)))


def test_one_row_windows_leave_time_as_it_is():
    scaling = Scaling(COLUMNS, True, "relative")
    series = [Series("a", np.eye(2, 1), pd.Index([0.0, 1.0]), 2)]
    scaling.fit(series, spans_before(series), Windows([Run(0, 0, 1, 1, 1, 0)]))
    assert scaling.time_scale == 1.0
    assert scaling.transform_time(torch.tensor([2.0])).tolist() == [2.0]


def test_time_stamps_of_another_kind_are_refused():
    scaling = fitted(SAMPLINGS["regular"], "absolute")
    scaling.check_time(make_series(SAMPLINGS["rates"]))
    with pytest.raises(InputError, match="series 's0': time column 't' holds dates, in training"):
        scaling.check_time(make_series(SAMPLINGS["regular"], dates=True))
    Scaling(COLUMNS, True, "absolute").check_time(make_series(SAMPLINGS["regular"], dates=True))

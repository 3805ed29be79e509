"""What if: other known covariates in the horizon, and nothing else."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.forecaster.conftest import HORIZON, make_frame
from transformertf import Forecaster
from transformertf.errors import InputError


def planned() -> pd.DataFrame:
    """Return rows whose target is not known in the last ones."""
    frame = make_frame()
    frame.loc[ahead(frame), ["y", "p"]] = np.nan
    return frame


def ahead(frame: pd.DataFrame) -> pd.Series:
    """Return which rows are the horizon."""
    return frame.groupby("unit").cumcount(ascending=False) < HORIZON


def by_hand(frame, name, change):
    rows = ahead(frame)
    values = (
        frame.loc[rows]
        .groupby("unit", group_keys=False)[name]
        .apply(lambda own: pd.Series(change(own.to_numpy()), own.index))
    )
    return frame.assign(**{name: frame[name].where(~rows, values)})


CHANGES = {
    "a value": (0.5, lambda x: np.full(len(x), 0.5)),
    "a function": (lambda x: 2 * x, lambda x: 2 * x),
    "an array": (np.arange(HORIZON), lambda x: np.arange(HORIZON) * 1.0),
    "a list": ([1, 2, 3, 4], lambda x: np.array([1.0, 2, 3, 4])),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_forecasts_are_those_of_rows_changed_by_hand(kind, there, fitted):
    change, same = CHANGES[kind]
    found = fitted.what_if(planned(), x=change)
    before, after = fitted.predict(planned()), fitted.predict(by_hand(planned(), "x", same))
    pd.testing.assert_frame_equal(found[before.columns], before)
    for name in ("prediction", "q0.1", "q0.9"):
        new = "what_if" if name == "prediction" else f"what_if_{name}"
        np.testing.assert_array_equal(found[new], after[name])
    assert not np.allclose(found["what_if"], found["prediction"])


def test_a_category_is_changed(there, fitted):
    after = fitted.predict(by_hand(planned(), "kind", lambda x: np.full(len(x), "on")))
    found = fitted.what_if(planned(), {"kind": "on"})
    np.testing.assert_array_equal(found["what_if"], after["prediction"])
    flipped = fitted.what_if(planned(), kind=lambda x: np.where(x == "on", "off", "on"))
    assert not np.allclose(flipped["what_if"], found["what_if"])


def test_where_all_is_known_the_last_horizon_is_asked_of(there, fitted):
    frame = make_frame()
    found = fitted.what_if(frame, x=0.0)
    before = fitted.predict(frame, origin="last")
    pd.testing.assert_frame_equal(found[before.columns], before)
    assert len(found) == 2 * HORIZON
    assert found["actual"].notna().all()


def test_of_a_shorter_horizon_a_list_is_as_long(there, fitted):
    after = fitted.predict(by_hand(planned(), "x", lambda x: np.arange(1.0, 5)), horizon=3)
    found = fitted.what_if(planned(), x=[1, 2, 3], horizon=3)
    np.testing.assert_array_equal(found["what_if"], after["prediction"])


def test_of_mapped_files_the_plan_is_read_too(there, fitted, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFORMERTF_CACHE", str(tmp_path))
    content = dict(fitted.checkpoint.content)
    content["datamodule_hyper_parameters"] = {
        **content["datamodule_hyper_parameters"],
        "storage": "mmap",
    }
    mapped = Forecaster(replace(fitted.checkpoint, content=content), "cpu")
    planned().to_parquet(tmp_path / "frame.parquet")
    found = mapped.what_if(tmp_path / "frame.parquet", x=0.5)
    assert [*tmp_path.rglob("*")] != [tmp_path / "frame.parquet"]
    pd.testing.assert_frame_equal(found, fitted.what_if(planned(), x=0.5))


MISTAKES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "nothing": ({}, {}, "nothing is changed"),
    "past": ({"p": 1.0}, {}, "'p' is no covariate that is known ahead"),
    "unknown": ({"z": 1.0}, {}, "'z' is no column of the model"),
    "too few": ({"x": [1.0, 2.0]}, {}, "one for each step of the horizon; found 2"),
    "text": ({"x": "warm"}, {}, "expected numbers, found 'warm'"),
    "infinite": ({"x": np.inf}, {}, "inf is no number"),
    "several": ({"x": 1.0}, {"origin": "every:2"}, "set origin to last, end or a time"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_mistakes_are_told(kind, there, fitted):
    changes, options, message = MISTAKES[kind]
    with pytest.raises(InputError, match=message):
        fitted.what_if(make_frame(), changes, **options)

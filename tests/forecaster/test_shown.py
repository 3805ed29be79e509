"""What a notebook shows of a forecaster and of an evaluation; what Python says on the way."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.forecaster.conftest import ROLES, SMALL, make_frame
from tests.processes import run_snippet
from transformertf import Forecaster
from transformertf.errors import InputError


def test_an_evaluation_is_a_table(there, fitted):
    found = fitted.evaluate()
    lines = str(found).splitlines()
    assert lines[0] == "y in original units, test, origin auto"
    shown = {words[0]: words[-1] for words in map(str.split, lines[1:])}
    assert list(shown) == list(found)
    for name, value in found.items():
        assert float(shown[name].replace(",", "")) == pytest.approx(value, rel=1e-4, nan_ok=True)
    assert len({len(line) for line in lines[1:]}) == 1
    assert repr(found) == f"Evaluation(y, {found['windows']} windows, MAE {found['MAE']:.5g})"
    page = found._repr_html_()
    assert page.count("<tr>") == len(found)
    assert "<td>MAE</td>" in page


def test_a_forecaster_says_what_it_is(there, fitted):
    told = f"Forecaster(EncoderDecoderLSTM of y, 8 + 4 steps, {fitted.checkpoint.path})"
    assert repr(fitted) == told
    page = fitted._repr_html_()
    for word in ("EncoderDecoderLSTM", "<td>target</td>", "x, kind", "8 + 4", str(fitted.run)):
        assert word in page, word


def test_a_picture_shows_itself(there, fitted):
    pytest.importorskip("matplotlib")
    picture = fitted.plot(fitted.predict(make_frame(), origin="last"))
    assert picture._repr_png_().startswith(b"\x89PNG")


def test_names_of_columns_are_no_markup(there, fitted):
    found = fitted.evaluate()
    settings = {**found.settings, "target": "<b>y</b>"}
    assert "<b>" not in replace(found, settings=settings)._repr_html_()


def test_forecasts_make_no_noise(there, fitted):
    script = (
        "import pandas as pd; from transformertf import Forecaster\n"
        f"f = Forecaster.load({str(fitted.checkpoint.path)!r}, 'cpu')\n"
        "f.predict('frame.parquet', origin='last'); f.evaluate()"
    )
    make_frame().to_parquet("frame.parquet")
    done = run_snippet(script, there)
    assert done.returncode == 0
    told = (done.stdout + done.stderr).splitlines()
    ours = ("training rows", "are not scored")
    assert [line for line in told if not any(words in line for words in ours)] == []


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no such argument": (
        {"taget_lags": [4]},
        "no argument 'taget_lags'; did you mean 'target_lags'?",
    ),
    "an object": ({"optimizer": np.random.default_rng()}, "optimizer: Generator is an object"),
    "a frame for a word": ({"known": make_frame()}, "known_covariates takes no frame"),
    "a wrong kind": ({"stride": "two"}, r"data.init_args.stride in Forecaster.fit: expected int"),
    "no such column": ({"known": "z"}, "known z: no such column"),
    "a column of no frame": (
        {"past": "z", "propose": False, "model": "EncoderDecoderLSTM"},
        "^the frame: no column 'z'",
    ),
    "no such model": ({"model": "TFTT"}, "model.class_path: no class 'TFTT'; did you mean 'TFT'?"),
    "no model": ({"model": None, "propose": False}, "give a model, as model='TFT'"),
    "several processes": ({"devices": 2}, "this command runs in one process"),
    "an index": (
        {"data": make_frame().set_index("t")},
        "no column 't', which is its index",
    ),
    "no data": ({"data": None}, "no data; give files or a frame"),
    "a section in a section": ({"trainer": 3, "epochs": 1}, "trainer, which is 3"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_mistakes_of_a_fit_are_one_line_and_leave_nothing(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes, message = MISTAKES[kind]
    given = {"data": make_frame(), **ROLES, **SMALL, **changes}
    with pytest.raises(InputError, match=message) as told:
        Forecaster.fit(**given)
    assert "\n" not in str(told.value)
    assert "--" not in str(told.value)
    assert list(tmp_path.iterdir()) == []
    # the caller, and what lets go of the rest
    assert len(told.traceback) <= 3


def test_a_model_is_no_forecaster(fitted):
    with pytest.raises(InputError, match=r"found a EncoderDecoderLSTM; take Forecaster\.load"):
        Forecaster(fitted.model)


def test_mistakes_of_a_forecast_speak_of_the_frame(there, fitted, caplog):
    frame = make_frame()
    with pytest.raises(InputError, match=r"^the frame: no column 'x'"):
        fitted.predict(frame.drop(columns="x"))
    with pytest.raises(InputError, match=r"^the frame: .*column 'x' has 1 missing") as told:
        fitted.predict(frame.assign(x=frame["x"].where(frame.index != 3)))
    assert len(told.traceback) <= 3
    with caplog.at_level(logging.WARNING):
        fitted.predict(frame.assign(kind="broken"))
    assert "the frame" in caplog.text
    assert "predict_df_paths" not in caplog.text

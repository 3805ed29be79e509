"""The writer's rows are what the trainer's predict makes of each batch, once."""

import numpy as np
import pytest

from tests.data.units import HORIZON
from tests.forecasts.windows import fitted, make_frame, make_model
from tests.runs import predicted, quiet_trainer
from transformertf.callbacks import ForecastWriter
from transformertf.forecasts import ForecastFrames, ForecastTables, Horizon
from transformertf.forecasts.paths import roll


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("steps", "chunks"), [(None, 1), (2, 1), (HORIZON, 1), (3 * HORIZON, 3)])
def test_no_chunk_is_forecast_twice(monkeypatch, steps, chunks):
    data = fitted(make_frame(), origin="20", batch_size=9, time_column=None, max_gap=None)
    model = make_model(data)
    runs, forecast = [], model.forecast

    def count(*given):
        runs.append(1)
        return forecast(*given)

    monkeypatch.setattr(model, "forecast", count)
    kept = ForecastFrames()
    writer = ForecastWriter(kept, ForecastTables(data, Horizon(steps, samples=0)))
    trainer = quiet_trainer(callbacks=[writer])
    assert not trainer.predict(model, datamodule=data, return_predictions=False)
    assert len(runs) == chunks
    (table,) = kept.pieces
    data.setup("predict")
    (batch,) = data.predict_dataloader()
    rolled = roll(model, data, batch, data.predict_series, steps or HORIZON, 0, 0)
    np.testing.assert_array_equal(table["prediction"], rolled.point[rolled.mask].flatten())
    # the model is as it was: what it shows is what its plain predict gives
    (plain,) = predicted(quiet_trainer(), model, datamodule=data)
    assert plain.shape == (3, HORIZON, 3)

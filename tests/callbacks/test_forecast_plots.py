"""Figures of forecasts while a model trains, which is the same as without them."""

import gc
import weakref
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.loggers.logger import DummyLogger

from transformertf.callbacks import ForecastPlots, forecast_plots
from transformertf.callbacks.forecast_plots import spread
from transformertf.cli import main
from transformertf.data import EncoderDecoderDataModule, TimeSeriesDataModule
from transformertf.data.windows.windows import Run, Windows
from transformertf.errors import InputError
from transformertf.models import GRU, EncoderDecoderLSTM
from transformertf.nn import QuantileLoss
from transformertf.plots import can_plot, forecast_figure

pytestmark = pytest.mark.skipif(not can_plot(), reason="the extra `plot` is not installed")
CONTEXT, HORIZON, ROWS = 30, 3, 80
UNITS = ("a", "b", "c", "d", "e")
ROLES = {
    "target_covariate": "y",
    "known_covariates": "x",
    "time_column": "t",
    "series_id": "unit",
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("units")
    pieces = []
    for number, unit in enumerate(UNITS):
        generator = np.random.default_rng(number)
        x = generator.normal(size=ROWS)
        time = pd.date_range("2024-03-30", periods=ROWS, freq="h", tz="Europe/Zurich")
        pieces.append(pd.DataFrame({"unit": unit, "t": time, "x": x, "y": 5 + 2 * x}))
    pd.concat(pieces).to_parquet(folder / "units.parquet")
    return folder / "units.parquet"


def make_data(path, kind=EncoderDecoderDataModule, **options):
    lengths = {"ctxt_seq_len": CONTEXT, "tgt_seq_len": HORIZON}
    if kind is TimeSeriesDataModule:
        lengths = {"seq_len": HORIZON}
    files = {"train_df_paths": str(path), "val_df_paths": str(path)}
    return kind(**{**ROLES, **files, **lengths, "stride": 7, **options})


def fit(data, *callbacks, model=None, **options):
    """Train a model whose dropout draws random numbers, and return the trainer."""
    lightning.seed_everything(1, verbose=False)
    if model is None:
        sizes: dict[str, Any] = {"d_encoder": 4, "d_decoder": 4, "dropout": 0.3}
        model = EncoderDecoderLSTM(3, 2, **sizes, criterion=QuantileLoss([0.1, 0.5, 0.9]))
    trainer = lightning.Trainer(
        **{
            "accelerator": "cpu",
            "max_epochs": 3,
            "callbacks": list(callbacks),
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            **options,
        }
    )
    trainer.fit(model, data)
    return trainer


@pytest.fixture
def drawn(monkeypatch):
    """Return what forecast_figure is called with."""
    calls = []

    def draw(*arguments, **options):
        calls.append((arguments, options))
        return forecast_figure(*arguments, **options)

    monkeypatch.setattr(forecast_plots, "forecast_figure", draw)
    return calls


def test_training_is_the_same_to_the_bit(path, tmp_path):
    plain = fit(make_data(path))
    states = [torch.get_rng_state()]
    plotting = ForecastPlots(folder=tmp_path)
    modes = []

    class Watch(lightning.Callback):
        def on_validation_end(self, trainer, module):
            modes.append([part.training for part in module.modules()])

    other = fit(make_data(path), plotting, Watch())
    states.append(torch.get_rng_state())
    assert len(list(tmp_path.glob("*.png"))) == 3
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name
    assert torch.equal(*states)
    watch = Watch()
    expected, modes = modes, []
    fit(make_data(path), watch)
    assert modes == expected


def test_no_figure_outlives_its_epoch(path, tmp_path, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figures = []

    def draw(*arguments, **options):
        figure = forecast_figure(*arguments, **options)
        figures.append(weakref.ref(figure))
        return figure

    monkeypatch.setattr(forecast_plots, "forecast_figure", draw)
    fit(make_data(path), ForecastPlots(folder=tmp_path), max_epochs=2)
    gc.collect()
    assert [figure() for figure in figures] == [None, None]
    assert pyplot.get_fignums() == []


def test_epochs_asked_for_are_drawn_and_the_sanity_check_is_not(path, tmp_path):
    folder = tmp_path / "new" / "plots"
    trainer = fit(make_data(path), ForecastPlots(2, 1, folder), max_epochs=4)
    names = sorted(file.name for file in folder.iterdir())
    assert names == ["forecasts_epoch=1.png", "forecasts_epoch=3.png"]
    assert (folder / names[0]).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    trainer.validate(trainer.model, trainer.datamodule, verbose=False)
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("panels", [3, 7])
def test_figures_show_forecasts_in_original_units_over_their_contexts(
    path, tmp_path, drawn, panels
):
    data = make_data(path)
    trainer = fit(data, ForecastPlots(panels=panels, folder=tmp_path), max_epochs=1)
    (((frame, target, time), options),) = drawn
    assert (target, time, options["panels"]) == ("y", "t", panels)
    table = pd.read_parquet(path)
    history = options["history"]
    names = list(dict.fromkeys(frame["series"]))
    assert len(names) == panels
    assert {name.split(",")[0] for name in names} == set(("a", "c", "e") if panels == 3 else UNITS)
    expected = np.concatenate(
        [trainer.model.point_forecast(one).flatten() for one in predictions(trainer, data, frame)]
    )
    np.testing.assert_allclose(frame["prediction"], expected, rtol=1e-5)
    for name in names:
        unit, _, start = name.partition(", from ")
        own = table[table["unit"] == unit].set_index("t")["y"]
        window, past = (item[item["series"] == name] for item in (frame, history))
        assert str(window["time"].iloc[0]) == start
        assert past["time"].iloc[-1] == window["time"].iloc[0] - pd.Timedelta("1h")
        assert len(past) == 24
        for item in (window, past):
            np.testing.assert_array_equal(item["actual"], own.loc[item["time"]])


def predictions(trainer, data, frame):
    """Yield the outputs of each window from its rows in the file of the validation data."""
    model = trainer.model.eval()
    data.setup("validate")
    loader = data.val_dataloader()
    windows = loader.dataset.windows
    series = [item.name for item in data.stages.series("validation")]
    start = data.stages.series("validation")[0].time[0]
    for name in dict.fromkeys(frame["series"]):
        own = frame[frame["series"] == name]
        origin = round((own["origin"].iloc[0] - start) / pd.Timedelta("1h"))
        places = windows.locate(np.arange(len(windows)))
        unit = series.index(name.split(",")[0])
        (index,) = np.flatnonzero((places[0] == unit) & (places[1] == origin))
        batch = loader.dataset[int(index)]
        with torch.no_grad():
            output = model(batch, need_weights=False)["output"]
        yield data.inverse_transform_target(output, batch)


def test_sequences_have_no_context(path, tmp_path, drawn):
    data = make_data(path, TimeSeriesDataModule)
    model = GRU(2, num_layers=1, d_model=4)
    fit(data, ForecastPlots(folder=tmp_path), model=model, max_epochs=1)
    (((frame, *_), options),) = drawn
    assert options["history"].empty
    assert frame["step"].tolist() == [1, 2, 3] * 3
    assert frame["series"].iloc[0] == "a, from 2024-03-30 00:00:00+01:00"


class ImageLogger(DummyLogger):
    """Takes images as Lightning's logger for Weights & Biases does."""

    images: tuple[tuple[str, int, int | None], ...] = ()

    def log_image(self, key, images, step=None):
        assert all(Path(image).stat().st_size > 1000 for image in images)
        self.images = (*self.images, (key, len(images), step))


def test_loggers_that_take_figures_get_them(path, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board, images = TensorBoardLogger(tmp_path, "run"), ImageLogger()
    loggers = [CSVLogger(tmp_path, "run", 0), images, board]
    trainer = fit(make_data(path), ForecastPlots(panels=1), logger=loggers, max_epochs=2)
    steps = trainer.global_step
    assert images.images == (("forecasts", 1, steps // 2), ("forecasts", 1, steps))
    files = sorted(file.name for file in (tmp_path / "run" / "version_0" / "plots").iterdir())
    assert files == ["forecasts_epoch=0.png", "forecasts_epoch=1.png"]
    events = EventAccumulator(board.log_dir).Reload()
    assert [image.step for image in events.Images("forecasts")] == [steps // 2, steps]


@pytest.mark.parametrize(
    ("counts", "panels", "expected"),
    [
        # series, each with its windows; a series may have several runs
        ([(0, 5), (1, 1), (2, 9)], 3, [0, 5, 6]),
        ([(0, 5), (0, 4), (1, 2), (2, 9), (3, 1)], 2, [0, 20]),
        ([(0, 5), (1, 1), (2, 9)], 2, [0, 6]),
        ([(0, 11)], 3, [0, 5, 10]),
        ([(0, 2)], 5, [0, 1]),
    ],
)
def test_windows_are_spread_over_series(counts, panels, expected):
    windows = Windows(Run(series, 10, 1, count, 4, 2) for series, count in counts)
    assert spread(windows, panels).tolist() == expected


def test_a_yaml_names_the_callback(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = {**ROLES, "train_df_paths": str(path), "val_df_paths": str(path), "stride": 20}
    config = {
        "model": {"class_path": "EncoderDecoderLSTM", "init_args": {"d_encoder": 4}},
        "data": {
            "class_path": "EncoderDecoderDataModule",
            "init_args": {**data, "ctxt_seq_len": CONTEXT, "tgt_seq_len": HORIZON},
        },
        "trainer": {
            "max_epochs": 1,
            "accelerator": "cpu",
            "enable_progress_bar": False,
            "callbacks": [
                {
                    "class_path": "transformertf.callbacks.ForecastPlots",
                    "init_args": {"panels": 2, "folder": "pictures"},
                }
            ],
        },
    }
    Path("tiny.yml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", "tiny.yml"]) == 0
    folder = Path("runs/tiny/version_0/pictures")
    assert [file.name for file in folder.iterdir()] == ["forecasts_epoch=0.png"]


def test_mistakes_are_told(path, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="every_n_epochs must be at least 1, found 0"):
        ForecastPlots(0)

    class Loaders(lightning.LightningDataModule):
        def __init__(self, data):
            super().__init__()
            data.setup("fit")
            self.data = data

        def train_dataloader(self):
            return self.data.train_dataloader()

        def val_dataloader(self):
            return self.data.val_dataloader()

    with pytest.raises(InputError, match="found EncoderDecoderLSTM and Loaders; leave"):
        fit(Loaders(make_data(path)), ForecastPlots(folder=tmp_path), max_epochs=1)
    monkeypatch.setattr(forecast_plots, "can_plot", lambda: False)
    with pytest.raises(InputError, match=r"install transformertf\[plot\]"):
        ForecastPlots()

"""The steps of a command: what is made and read by which of them."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import Timer

from tests.cli.conftest import make_frame
from transformertf.callbacks import Interruption
from transformertf.cli.config import Composer
from transformertf.cli.lightning_cli import ForecastCLI
from transformertf.data import EncoderDecoderDataModule
from transformertf.errors import InputError

MODEL = {"class_path": "TemporalFusionTransformer", "init_args": {"d_model": 8, "num_heads": 2}}
COLUMNS = {
    "target_covariate": "target",
    "known_covariates": ["known"],
    "time_column": "t",
    "train_df_paths": "train.parquet",
    "ctxt_seq_len": 8,
    "tgt_seq_len": 4,
}
CATEGORIES = {
    "series_id": "series",
    "static_covariates": ["site"],
    "categorical_covariates": ["site"],
}


def make_cli(**data: Any) -> ForecastCLI:
    composer = Composer()
    trainer = {"accelerator": "cpu", "callbacks": [{"class_path": "Timer"}]}
    composer.add_tree("test", {"model": MODEL, "data": {**COLUMNS, **data}, "trainer": trainer})
    return ForecastCLI(composer)


def test_the_constructor_makes_nothing(workdir: Path) -> None:
    cli = make_cli(**CATEGORIES)
    assert not any(hasattr(cli, name) for name in ("datamodule", "model", "trainer"))


def test_without_categories_nothing_is_read_before_it_is_set_up(workdir: Path) -> None:
    cli = make_cli()
    cli.build()
    assert isinstance(cli.datamodule, EncoderDecoderDataModule)
    assert cli.model.hparams["num_past_features"] == cli.datamodule.num_past_known_covariates
    with pytest.raises(InputError, match=r"train\.parquet"):
        cli.set_up("fit")


def test_sizes_of_categories_are_read_while_data_and_model_are_built(workdir: Path) -> None:
    cli = make_cli(**CATEGORIES)
    with pytest.raises(InputError, match=r"train\.parquet"):
        cli.build()
    frame = make_frame(40, 1).assign(series="a", site="here")
    frame.to_parquet("train.parquet")
    cli = make_cli(**CATEGORIES)
    cli.build()
    assert cli.model.hparams["static_category_sizes"] == [2]


def test_callbacks_of_the_command_follow_those_of_the_configuration(workdir: Path) -> None:
    cli = make_cli()
    cli.build()
    interruption = Interruption()
    cli.make_trainer([interruption], logger=False, enable_checkpointing=False)
    trainer: Any = cli.trainer
    kinds = [type(item) for item in trainer.callbacks]
    assert kinds.index(Timer) < trainer.callbacks.index(interruption)
    assert trainer.loggers == []

"""Composing a configuration from files, a checkpoint and flags."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from transformertf.cli.classes import BARE_NAMES, arguments_of
from transformertf.cli.config import Composer
from transformertf.cli.refusals import explain
from transformertf.cli.yaml_file import YamlFile
from transformertf.data.reading import expand_paths
from transformertf.errors import InputError
from transformertf.models import EncoderDecoderLSTM

BASE = {
    "model": {"class_path": "EncoderDecoderLSTM", "init_args": {"d_encoder": 3}},
    "data": {"class_path": "EncoderDecoderDataModule", "init_args": {"target_covariate": "y"}},
}


def compose(*flags: str, **trees: dict[str, Any]) -> dict[str, Any]:
    composer = Composer()
    composer.add_tree("base", BASE)
    for name, tree in trees.items():
        composer.add_tree(name, tree)
    composer.add_flags(flags)
    return composer.compose()


def test_later_sources_win_and_flags_come_last() -> None:
    first = {"trainer": {"max_epochs": 1, "min_epochs": 1}}
    second = {"trainer": {"max_epochs": 2}, "model": {"init_args": {"d_decoder": 5}}}
    config = compose("--trainer.max_epochs", "3", first=first, second=second)
    assert config["trainer"] == {"max_epochs": 3, "min_epochs": 1}
    assert config["model"]["init_args"] == {"d_encoder": 3, "d_decoder": 5}


def test_interpolation_follows_the_merge() -> None:
    tree = {"model": {"init_args": {"d_decoder": "${model.init_args.d_encoder}"}}}
    config = compose("--model.d_encoder", "9", tree=tree)
    assert config["model"]["init_args"]["d_decoder"] == 9


@pytest.mark.parametrize(
    ("flags", "value"),
    [
        (["--data.stride", "2"], 2),
        (["--data.stride=2"], 2),
        (["--data.init_args.stride", "2"], 2),
        (["--data.stride", "null"], None),
        (["--data.stride", "-1"], -1),
        (["--data.stride", "1e-3"], 1e-3),
        (["--data.stride", "[1, 2]"], [1, 2]),
        (["--data.stride", "a", "b"], ["a", "b"]),
        (["--data.stride", "*.parquet"], "*.parquet"),
        (["--data.stride", "a: b: c"], "a: b: c"),
    ],
)
def test_flag_values(flags: list[str], value: object) -> None:
    # null leaves it out, as it takes none
    assert compose(*flags)["data"]["init_args"].get("stride") == value


@pytest.mark.parametrize("name", ["NO", "on", "5", "007", "1e3", "1.50", "2024-01-01", "0x10"])
def test_names_are_text_whatever_yaml_would_read(name: str, tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text(
        f"data:\n  target_covariate: {name}  # the sensor\n  time_column: '{name}'\n"
        f"  known_covariates: [a, {name}]\n  series_id:\n  - {name}\n"
        f"  extra_transforms: {{{name}: MaxScaler}}\n  static_covariates: null\n  shuffle: no\n"
    )
    composer = Composer()
    composer.add_file(YamlFile.read(tmp_path / "c.yml"))
    assert composer.sources[0][1]["data"]["init_args"] == {
        "target_covariate": name,
        "time_column": name,
        "known_covariates": ["a", name],
        "series_id": [name],
        "extra_transforms": {name: "MaxScaler"},
        "static_covariates": None,
        "shuffle": False,
    }
    flags = ["--data.target_covariate", name, "--data.known_covariates", name, f"[{name}, 'b']"]
    data = compose(*flags, "--data.series_id", f"[{name}]", "--data.shuffle", "off")["data"]
    assert data["init_args"] == {
        "target_covariate": name,
        "known_covariates": [name, [name, "b"]],
        "series_id": [name],
        "shuffle": False,
    }


def test_anchors_tags_and_interpolations_of_names_stay(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text(
        "data:\n  target_covariate: &t NO\n  time_column: *t\n"
        "  series_id: ${data.k}\n  k: !!str 5\n"
    )
    composer = Composer()
    composer.add_file(YamlFile.read(tmp_path / "c.yml"))
    found = composer.sources[0][1]["data"]["init_args"]
    assert found == {
        "target_covariate": "NO",
        "time_column": "NO",
        "series_id": "${data.k}",
        "k": "5",
    }


NULLS = [
    ("model", "prediction_type"),
    ("model", "logging_metrics"),
    ("model", "d_encoder"),
    ("data", "stride"),
    ("data", "normalize"),
    ("data", "batch_size"),
    ("trainer", "devices"),
    ("trainer", "accumulate_grad_batches"),
]


@pytest.mark.parametrize(("section", "name"), NULLS)
def test_null_leaves_out_what_takes_none(section: str, name: str) -> None:
    config = compose(f"--{section}.{name}", "null")
    assert name not in (config[section] if section == "trainer" else config[section]["init_args"])


@pytest.mark.parametrize("name", ["max_gap", "known_covariates", "val_fraction"])
def test_null_stays_where_it_says_something(name: str) -> None:
    config = compose(f"--data.{name}", "null", first={"data": {name: 3}})
    assert config["data"]["init_args"][name] is None


def test_nulls_of_optimizer_and_scheduler() -> None:
    scheduler = {"class_path": "StepLR", "step_size": 2, "gamma": None, "interval": None}
    config = compose(first={"optimizer": {"lr": None}, "lr_scheduler": scheduler})
    arguments = config["model"]["init_args"]
    assert arguments["optimizer"]["init_args"] == {}
    assert arguments["lr_scheduler"]["init_args"] == {"step_size": 2}
    assert "lr_scheduler_interval" not in arguments


@pytest.mark.parametrize(
    ("key", "option"),
    [
        ("ckpt_path", "--ckpt_path"),
        ("transfer_ckpt", "--transfer-ckpt"),
        ("transfer-ckpt", "--transfer-ckpt"),
        ("name", "--name"),
        ("experiment_name", "--name"),
        ("origin", "--origin"),
    ],
)
def test_an_option_in_a_configuration_names_the_option(key: str, option: str) -> None:
    with pytest.raises(InputError, match=f"{key} in my.yml: .*give {option} on the command"):
        compose(**{"my.yml": {key: "a.ckpt"}})
    compose(**{"my.yml": {key: None}})


@pytest.mark.parametrize(
    ("trainer", "known"),
    [
        (
            {"callbacks": ["Qqq"]},
            r"callbacks\.0\.class_path: no class 'Qqq'; known: .*EarlyStopping",
        ),
        ({"callbacks": "EarlyStoping"}, "no class 'EarlyStoping'; did you mean 'EarlyStopping'"),
        (
            {"logger": {"class_path": "Qqq"}},
            r"logger\.class_path: no class 'Qqq'; known: CSVLogger",
        ),
        ({"logger": [{"class_path": "Adam"}]}, None),
    ],
)
def test_unknown_callbacks_and_loggers_name_those_that_are(
    trainer: dict[str, Any], known: str | None
) -> None:
    if known is None:  # what is no logger, the types refuse
        compose(first={"trainer": trainer})
        return
    with pytest.raises(InputError, match=known) as caught:
        compose(first={"trainer": trainer})
    assert "Adam" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "known"),
    [("optimizer", "Adam"), ("lr_scheduler", "CosineAnnealingLR")],
)
def test_unknown_optimizers_and_schedulers_name_those_that_are(section: str, known: str) -> None:
    with pytest.raises(InputError, match=f"no class 'Qqq'; known: .*{known}") as caught:
        compose(first={section: {"class_path": "Qqq"}})
    assert "MSELoss" not in str(caught.value)


def test_a_loss_without_arguments_takes_none() -> None:
    criterion = {"class_path": "MSELoss", "init_args": {"reduction": "mean"}}
    with pytest.raises(InputError, match=r"unknown key 'model.*reduction' in first; leave it out"):
        compose(first={"model": {"init_args": {"criterion": criterion}}})


def test_each_known_key_is_named_once() -> None:
    with pytest.raises(InputError, match="known: ") as caught:
        compose("--model.zzzzzz", "1")
    known = str(caught.value).partition("known: ")[2].replace(" and ", ", ").split(", ")
    assert len(known) == len(set(known)) > 10


@pytest.mark.parametrize(
    "tree",
    [
        {"model": {"criterion": "MSELoss"}},
        {"model": {"init_args": {"criterion": "MSELoss"}}},
        {"model": {"criterion": {"class_path": "MSELoss"}}},
        {"model": {"criterion": {"class_path": "transformertf.nn.losses.MSELoss"}}},
    ],
)
def test_bare_names_mean_ours(tree: dict[str, Any]) -> None:
    criterion = compose(tree=tree)["model"]["init_args"]["criterion"]
    assert criterion == {"class_path": "transformertf.nn.losses.MSELoss"}


def test_bare_names_of_others() -> None:
    assert BARE_NAMES["Adam"] == "torch.optim.adam.Adam"
    assert BARE_NAMES["SmoothL1Loss"] == "torch.nn.modules.loss.SmoothL1Loss"
    assert BARE_NAMES["EarlyStopping"].startswith("lightning.pytorch.callbacks.")
    assert BARE_NAMES["L1Loss"] == "transformertf.nn.losses.MAELoss"


def test_changed_class_drops_what_it_does_not_take() -> None:
    quantiles = {"class_path": "QuantileLoss", "init_args": {"quantiles": [0.5]}}
    before = {"model": {"criterion": quantiles}}
    config = compose("--model.criterion", "HuberLoss", before=before)
    criterion = config["model"]["init_args"]["criterion"]
    assert criterion == {"class_path": "transformertf.nn.losses.HuberLoss", "init_args": {}}


def test_optimizer_and_scheduler_become_arguments_of_the_model() -> None:
    scheduler = {
        "class_path": "StepLR",
        "init_args": {"step_size": 3},
        "interval": "step",
        "monitor": "train/loss",
    }
    arguments = compose(tree={"optimizer": "SGD", "lr_scheduler": scheduler})["model"]["init_args"]
    assert arguments["optimizer"] == {"class_path": "torch.optim.sgd.SGD"}
    assert arguments["lr_scheduler"]["init_args"] == {"step_size": 3}
    assert arguments["lr_scheduler_interval"] == "step"
    assert arguments["lr_scheduler_monitor"] == "train/loss"


def test_data_class_is_the_default_one() -> None:
    composer = Composer()
    composer.add_tree("tree", {"model": "EncoderDecoderLSTM", "data": {"target_covariate": "y"}})
    config = composer.compose()
    assert config["data"]["class_path"].endswith(".EncoderDecoderDataModule")
    assert config["model"]["init_args"] == {}


def test_paths_relative_to_the_yaml_only_where_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "a.csv").touch()
    (folder / "b.csv").touch()
    (tmp_path / "b.csv").touch()
    monkeypatch.chdir(tmp_path)
    yaml_file = folder / "c.yml"
    yaml_file.write_text("data: {train_df_paths: [a.csv, b.csv, none.csv]}\nmodel: LSTM\n")
    composer = Composer()
    composer.add_file(YamlFile.read(Path("there/c.yml")))
    paths = composer.sources[0][1]["data"]["init_args"]["train_df_paths"]
    assert paths == ["there/a.csv", "b.csv", "none.csv"]


@pytest.mark.parametrize("folder", ["run[1]", "what?*", "[a-z]"])
def test_signs_of_globs_in_the_name_of_a_folder(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(folder, "more").mkdir(parents=True)
    for name in ("a.csv", "more/b.csv"):
        Path(folder, name).touch()
    transforms = "{x: [{DiscreteFunctionTransform: {x: a.csv}}]}"
    Path(folder, "c.yml").write_text(
        f"data: {{train_df_paths: ['a.*', more/b.csv], extra_transforms: {transforms}}}\n"
    )
    composer = Composer()
    composer.add_file(YamlFile.read(Path(folder, "c.yml")))
    found = composer.sources[0][1]["data"]["init_args"]
    assert expand_paths(found["train_df_paths"], "x") == [
        Path(folder, name) for name in ("a.csv", "more/b.csv")
    ]
    assert next(iter(found["extra_transforms"]["x"][0].values()))["x"] == f"{folder}/a.csv"


def test_paths_expand_but_for_those_of_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = {"train_df_paths": ["$MINE/a.csv", "~/$b.csv"], "val_df_paths": "$NONE/a.csv"}
    tree = {"data": {"init_args": paths}}
    (tmp_path / "c.yml").write_text(yaml.safe_dump(tree))
    composer = Composer()
    composer.add_file(YamlFile.read(tmp_path / "c.yml"))
    composer.add_flags(["--data.train_df_paths", "$MINE/a.csv", "~/$b.csv"])
    composer.add_checkpoint(Path("x.ckpt"), tree)
    own, flags, foreign = (source["data"]["init_args"] for _, source in composer.sources)
    assert own["train_df_paths"] == [f"{tmp_path}/a.csv", "~/$b.csv"]
    assert flags["train_df_paths"] == own["train_df_paths"]
    assert foreign["train_df_paths"] == ["[$]MINE/a.csv", "~/$b.csv"]
    assert own["val_df_paths"] == foreign["val_df_paths"] == "$NONE/a.csv"


def test_nothing_in_a_checkpoint_is_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "secret")
    composer = Composer()
    composer.add_checkpoint(Path("x.ckpt"), {**BASE, "optimizer": {"lr": "${oc.env:MINE}"}})
    composer.add_flags(["--trainer.max_epochs", "${model.init_args.d_encoder}"])
    config = composer.compose()
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == "${oc.env:MINE}"
    assert config["trainer"]["max_epochs"] == 3


def test_a_file_whose_name_begins_with_dashes_is_no_flag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("--trainer.yml").write_text("trainer: {default_root_dir: /}\n")
    composer = Composer()
    composer.add_file(YamlFile.read(Path("--trainer.yml")))
    assert not composer.is_typed("trainer.default_root_dir")
    composer.add_flags(["--trainer.callbacks", "[{class_path: Timer}]"])
    assert composer.is_typed("trainer.callbacks.0.class_path")


@pytest.mark.parametrize(
    "flag",
    [
        ("--data.x", "[" * 3000 + "]" * 3000),
        ("--data.x", "[" * 80 + "]" * 80),
        ("--" + ".".join("a" * 3000), "1"),
    ],
    ids=["value", "a little", "key"],
)
def test_flags_without_end(flag: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="write it flat"):
        compose(*flag)


def test_arguments_pass_through_the_bases() -> None:
    names = arguments_of(EncoderDecoderLSTM)
    assert names is not None
    assert {"d_encoder", "criterion", "optimizer"} <= set(names)
    assert "kwargs" not in names

    class Open:
        def __init__(self, own: int, **anything: int) -> None: ...

    assert arguments_of(Open) is None


def test_source_of_a_key_is_the_last_that_set_it() -> None:
    composer = Composer()
    composer.add_tree("one", {"trainer": {"max_epochs": 1}})
    composer.add_tree("two", {"trainer": {"max_epochs": 2}})
    composer.add_tree("three", {"trainer": {"min_epochs": 2}})
    assert composer.where("trainer.max_epochs") == " in two"
    assert composer.where("trainer.devices") == ""


def test_class_path_must_be_a_class() -> None:
    with pytest.raises(InputError, match=r"'torch.nn.functional.relu' is not a class"):
        compose("--model.criterion", "torch.nn.functional.relu")


def test_message_without_a_key_is_joined_to_one_line() -> None:
    assert explain("no\n  key here", {}, str) == "no key here"


def test_a_time_that_yaml_would_count_by_sixties_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "my.yml"
    path.write_text("data:\n  init_args:\n    origin: 12:30\n")
    with pytest.raises(InputError, match="12:30 in line 3 would be a number by sixties"):
        YamlFile.read(path).tree()
    path.write_text("data:\n  init_args:\n    origin: '12:30'\n    at: 2024-01-01 12:30:00\n")
    assert YamlFile.read(path).tree()["data"]["init_args"] == {
        "origin": "12:30",
        "at": "2024-01-01 12:30:00",
    }


def test_a_loss_takes_its_arguments_without_a_class_of_arguments():
    composer = Composer()
    composer.add_tree("first", {"model": "TFT", "data": {"target_covariate": "y"}})
    composer.add_flags(["--model.criterion.quantiles", "[0.1, 0.5]"])
    criterion = composer.compose()["model"]["init_args"]["criterion"]
    assert criterion == {
        "class_path": "transformertf.nn.losses.QuantileLoss",
        "init_args": {"quantiles": [0.1, 0.5]},
    }

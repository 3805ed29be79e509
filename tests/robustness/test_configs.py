"""Strange configurations: refused in one line with nothing left on disk, or they train."""

import copy
import itertools
import math
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.cli.conftest import Experiment
from tests.robustness.commands import error_line, refused, run

Tried = Callable[[str], None]
Tree = dict[str, Any]
# one step, whatever the configuration says
QUICK = (
    "--trainer.max_steps", "1", "--trainer.num_sanity_val_steps", "0",
    "--trainer.limit_val_batches", "1", "--trainer.enable_model_summary", "false",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _same_threads() -> Iterator[None]:
    """A configuration may ask for other threads."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


# a fit with this among its texts, as YAML, in the place of the valid configuration
TEXTS = {
    "empty": "",
    "comment": "# nothing\n",
    "scalar": "3\n",
    "text": "hello\n",
    "list": "- model\n- data\n",
    "null": "null\n",
    "tab": "model:\n\tclass_path: EncoderDecoderLSTM\n",
    "unclosed": "model: {class_path: 'EncoderDecoderLSTM\n",
    "twice": "model: {class_path: GRU}\nmodel: {class_path: LSTM}\n",
    "class twice": "model:\n  class_path: GRU\n  class_path: LSTM\n",
    "number as key": "3: {class_path: GRU}\n",
    "none as key": "~: {class_path: GRU}\n",
    "list as key": "[1, 2]: 3\n",
    "mapping as key": "{a: 1}: 3\n",
    "number as key within": "model: {class_path: GRU, init_args: {3: 4}}\n",
    "date as key": "2024-01-01: 3\n",
    "unicode": "modèle: {class_path: GRU}\n",
    "dots": "model.class_path: GRU\n",
    "two documents": "model: {class_path: GRU}\n---\nmodel: {class_path: LSTM}\n",
    "no such alias": "model: *other\n",
    "within itself": "model: &m {class_path: GRU, init_args: *m}\n",
    "deep list": "model: " + "[" * 1200 + "]" * 1200 + "\n",
    "deep mapping": "model: " + "{a: " * 1200 + "1" + "}" * 1200 + "\n",
    "rather deep": "model: {class_path: GRU, init_args: " + "{a: " * 150 + "1" + "}" * 151 + "\n",
    "laughs": "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [" + ", ".join([f"*{chr(97 + i)}"] * 10) + "]\n"
        for i in range(12)
    ),
    "python": "model: !!python/object/apply:os.mkdir [trace]\n",
    "python name": "model: !!python/name:os.system\n",
    "python module": "model: !!python/module:antigravity\n",
    "own tag": "model: !mine {class_path: GRU}\n",
    "binary tag": "model: !!binary aGVsbG8=\n",
    "set": "model: !!set {a, b}\n",
    "circle": "a: ${b}\nb: ${a}\n",
    "itself": "trainer: {max_epochs: '${trainer.max_epochs}'}\n",
    "circle within": "trainer: {max_epochs: '${trainer.max_steps}', "
    "max_steps: '${trainer.max_epochs}'}\n",
    "open interpolation": "trainer: {max_epochs: '${trainer.max'}\n",
    "no such resolver": "trainer: {max_epochs: '${os.system:ls}'}\n",
    "no such variable": "trainer: {max_epochs: '${oc.env:TRANSFORMERTF_NONE}'}\n",
    "required": "trainer: {max_epochs: ???}\n",
    "only a model": "model: {class_path: EncoderDecoderLSTM}\n",
    "only data": "data: {class_path: EncoderDecoderDataModule}\n",
    "model of data": "model: {class_path: EncoderDecoderDataModule}\n",
    "data of model": "model: {class_path: GRU}\ndata: {class_path: GRU}\n",
    "plain model": "model: {class_path: EncoderDecoderLSTMModel}\n",
    "base": "model: {class_path: ForecastModule}\n",
    "long": "model: {class_path: " + "x" * 100_000 + "}\n",
}  # fmt: skip
BYTES = {
    "binary": bytes(range(256)),
    "zeros": bytes(64),
    "latin": "model: {class_path: Modèle}\n".encode("latin-1"),
    "UTF-16": "model: {class_path: Nothing}\n".encode("utf-16"),
    "cut": "modè".encode()[:-1],
}


@pytest.mark.parametrize("kind", [*TEXTS, *BYTES])
def test_strange_files(kind: str, workdir: Path, tried: Tried) -> None:
    Path("bad.yml").write_bytes(BYTES[kind] if kind in BYTES else TEXTS[kind].encode())
    assert len(refused("fit", "--config", "bad.yml")) < 1500
    tried("refused")


WORKING: dict[str, Callable[[str], bytes]] = {
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "Windows": lambda text: text.replace("\n", "\r\n").encode(),
    "alias": lambda text: text.replace("d_decoder: 6", "d_decoder: *n").replace(
        "d_encoder: 6", "d_encoder: &n 6").replace("d_decoder: *n\n    d_encoder: &n 6",
        "d_decoder: &n 6\n    d_encoder: *n").encode(),
    "interpolation": lambda text: text.replace(
        "d_encoder: 6", "d_encoder: ${model.init_args.d_decoder}").encode(),
}  # fmt: skip


@pytest.mark.parametrize("kind", WORKING)
def test_files_that_are_only_unusual(
    kind: str, workdir: Path, experiment: Experiment, tried: Tried
) -> None:
    path = experiment.write(workdir)
    path.write_bytes(WORKING[kind](path.read_text()))
    code, errors = run("fit", "--config", "tiny.yml", *QUICK)
    assert code == 0, errors
    tried("works")


@pytest.mark.parametrize("value", [1.5, "rate", [1], True], ids=str)
@pytest.mark.parametrize("another", [False, True])
def test_arguments_that_have_no_names(
    another: bool, value: object, workdir: Path, experiment: Experiment, tried: Tried
) -> None:
    def own(name: str, arguments: object) -> Callable[[dict[str, Any]], None]:
        callback = {"class_path": name, "init_args": arguments}
        return lambda tree: tree["trainer"].update(logger=callback)

    experiment.write(workdir, own("CSVLogger", value)).rename("own.yml")
    words = ["fit", "--config", "own.yml"]
    if another:
        experiment.write(workdir, own("TensorBoardLogger", value))
        words += ["--config", "tiny.yml"]
    told = refused(*words)
    assert re.match(r"trainer.logger.init_args in \w+.yml: expected keys and values, found", told)
    tried("refused")


def test_a_class_path_that_an_interpolation_made_a_number(
    workdir: Path, experiment: Experiment, tried: Tried
) -> None:
    experiment.write(workdir, lambda tree: tree["model"].update(class_path="${trainer.max_epochs}"))
    told = refused("fit", "--config", "tiny.yml")
    assert told == "model.class_path: expected the import path of a class, found 2"
    tried("refused")


@pytest.mark.parametrize(
    ("name", "value"),
    [*itertools.product(["accumulate_grad_batches", "check_val_every_n_epoch"], [0, -1])],
)
def test_what_is_divided_by(
    name: str, value: int | None, workdir: Path, experiment: Experiment, tried: Tried
) -> None:
    experiment.write(workdir, lambda tree: tree["trainer"].update({name: value}))
    assert refused("fit", "--config", "tiny.yml") == (
        f"trainer.{name} must be at least 1, found {value}"
    )
    tried("refused")


@pytest.mark.parametrize("seed", [-1, 2**32, 10**30])
def test_seeds_that_are_none(
    seed: int, workdir: Path, experiment: Experiment, tried: Tried
) -> None:
    experiment.write(workdir, lambda tree: tree.update(seed_everything=seed))
    assert refused("fit", "--config", "tiny.yml") == (
        f"seed_everything must be from 0 to 4294967295, found {seed}"
    )
    tried("refused")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("val_check_interval", 0, "trainer.val_check_interval must be above 0, found 0"),
        ("val_check_interval", -0.5, "trainer.val_check_interval must be above 0, found -0.5"),
        ("val_check_interval", 1000, "`val_check_interval` (1000) must be less than or equal"),
        ("overfit_batches", 2, "set trainer.limit_train_batches, and data.shuffle to false"),
        ("overfit_batches", 0.5, "set trainer.limit_train_batches, and data.shuffle to false"),
    ],
)
def test_how_batches_are_counted(
    name: str, value: float, message: str, workdir: Path, experiment: Experiment, tried: Tried
) -> None:
    experiment.write(workdir, lambda tree: tree["trainer"].update({name: value}))
    assert message in refused("fit", "--config", "tiny.yml")
    tried("refused")


def length(name: str, *values: object) -> list[tuple[str, object]]:
    return [(f"data.init_args.{name}", value) for value in values]


ODD: tuple[Any, ...] = (
    0,
    -1,
    2.5,
    "long",
    "",
    True,
    [8],
    {},
    math.nan,
    math.inf,
    10**12,
    10**30,
    2**63,
)
FEW = (0, -1, "long", 10**30)
LENGTHS = [
    *length("ctxt_seq_len", *ODD, 61, 1000),
    *length("tgt_seq_len", *ODD, 61),
    *length("min_ctxt_seq_len", *FEW, 9),
    *length("min_tgt_seq_len", *FEW, 5),
    *length("stride", *FEW),
    *length("downsample", *FEW, 59, 60),
    *length("batch_size", *FEW),
    *length("num_workers", -1, 2.5, "many", 10**12, 10**30),
    *length("target_lags", 0, -1, 3, "long", [], [4, 4], [1000], [10**30], 2.5, [math.nan]),
    *length("noise_std", -1, "loud", math.nan, math.inf),
    *length("val_fraction", 0.5), *length("test_fraction", 1.5, -0.1, math.nan, 10**30),
    *length("calendar_features", "hour", 3), *length("max_gap", -1, math.nan),
    *length("freq", "never", 0, -1, math.inf), *length("origin", "never", 3, "every:0"),
]  # fmt: skip


def put(tree: Tree, path: str, value: object) -> None:
    *parents, leaf = path.split(".")
    for parent in parents:
        tree = tree[parent]
    tree[leaf] = value


@pytest.mark.parametrize(("path", "value"), LENGTHS, ids=str)
def test_lengths(
    path: str, value: object, workdir: Path, experiment: Experiment, tried: Tried
) -> None:
    experiment.write(workdir, lambda tree: put(tree, path, value))
    assert_trains_or_is_refused(("fit", "--config", "tiny.yml", *QUICK), path, tried)


def assert_trains_or_is_refused(words: tuple[str, ...], name: str, tried: Tried) -> str:
    before = sorted(Path.cwd().rglob("*"))
    code, errors = run(*words)
    if code == 0:
        tried("works")
        return ""
    assert code == 2, f"{name}: {errors[-3000:]}"
    assert sorted(Path.cwd().rglob("*")) == before
    tried("refused")
    return error_line(errors)


# a configuration with something of everything
WHOLE: Tree = {
    "seed_everything": 3,
    "num_threads": 1,
    "ema": 0.9,
    "lr_scheduler": {
        "class_path": "StepLR", "init_args": {"step_size": 2, "gamma": 0.5}, "interval": "step",
    },
    "model": {"init_args": {
        "num_encoder_layers": 1,
        "criterion": {"class_path": "HuberLoss", "init_args": {"delta": 1.0}},
        "logging_metrics": ["MAE"], "prediction_type": "point", "packing": "auto",
    }},
    "data": {"init_args": {
        "extra_transforms": {"past": [{"class_path": "MaxScaler"}]}, "normalize": "global",
        "min_ctxt_seq_len": 4, "randomize_seq_len": True, "stride": 2, "noise_std": 0.1,
        "target_lags": [4], "time_format": "relative", "num_workers": 0,
    }},
    "trainer": {
        "gradient_clip_val": 1.0, "accumulate_grad_batches": 2,
        "callbacks": [{"class_path": "EarlyStopping", "init_args": {"monitor": "train/loss"}}],
    },
}  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 10**12, 10**30, -(2**63), 0.5, -0.5, 1e308, math.nan, math.inf,
    "", "a", "target", "past", "none", "1", "${model}", "${data.init_args.stride}", "${nothing}",
    "${", "2024-01-01", "\u00e9t\u00e9", "a\nb", "~", "*", "last", "os.system", "torch.nn.Linear",
    "EncoderDecoderLSTM", "x" * 300, [], [[]], [1], [None], ["past", "past"], {}, {"a": 1},
    {"class_path": "MSELoss"}, {"class_path": "Adam", "init_args": {}}, {"class_path": 3},
    {"class_path": None, "init_args": []}, {"init_args": {}}, {"class_path": "os.system"},
    {"class_path": "MSELoss", "init_args": 3}, {"class_path": "MSELoss", "init_args": {"a": 1}},
    {1: 2}, [{"class_path": "MSELoss"}],
)  # fmt: skip
KEYS = (
    "",
    "a",
    "class_path",
    "init_args",
    "past",
    "a.b",
    "__time__",
    "\u00e9t\u00e9",
    "self",
    "args",
)


def overlaid(base: Tree, new: Tree) -> Tree:
    merged = dict(base)
    for key, value in new.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = overlaid(base[key], value) if nested else value
    return merged


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what holds something, and the key or the index it holds it by."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(items):
        yield node, key
        if isinstance(value, dict | list):
            yield from places(value)


def mutate(tree: Tree, draw: st.DataObject) -> None:
    """Change a place of the tree, not the files it reads, which decide how long it takes."""
    found = [place for place in places(tree) if place[1] != "train_df_paths"]
    node, key = draw.draw(st.sampled_from(found))
    kinds = ["replace", "replace", "delete", "nest", "list"]
    kind = draw.draw(st.sampled_from([*kinds, "rename"] if isinstance(node, dict) else kinds))
    if kind == "replace":
        node[key] = copy.deepcopy(draw.draw(st.sampled_from(VALUES)))
    elif kind == "delete":
        del node[key]
    elif kind == "nest":
        node[key] = {draw.draw(st.sampled_from(KEYS)): node[key]}
    elif kind == "list":
        node[key] = [node[key]]
    else:
        node[draw.draw(st.sampled_from(KEYS))] = node.pop(key)


def examples(number: int) -> int:
    """Return how many examples the suite tries, or those of a longer profile."""
    asked = settings().max_examples
    return asked if asked > 100 else number


@settings(
    max_examples=examples(40),
    deadline=None,
    derandomize=examples(0) == 0,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink takes minutes
)
@given(draw=st.data())
def test_mutated(draw: st.DataObject, workdir: Path, experiment: Experiment, tried: Tried) -> None:
    tree = copy.deepcopy(overlaid(experiment.config, WHOLE))
    for _ in range(draw.draw(st.integers(1, 2))):
        mutate(tree, draw)
    Path("bad.yml").write_text(yaml.safe_dump(tree, allow_unicode=True))
    threads = torch.get_num_threads()
    try:
        assert_trains_or_is_refused(("fit", "--config", "bad.yml", *QUICK), "mutated", tried)
    finally:
        torch.set_num_threads(threads)
        shutil.rmtree("runs", ignore_errors=True)


def test_aliases_are_counted_before_they_are_written_out(workdir: Path) -> None:
    Path("bad.yml").write_text(TEXTS["laughs"])
    message = refused("fit", "--config", "bad.yml")
    assert "more than 100000 values, with aliases written out" in message

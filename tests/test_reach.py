"""What of a file or a checkpoint leads to the net, or out of the run folder, is refused."""

import json
from argparse import ArgumentError
from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import ArgumentParser, Namespace

from transformertf.class_paths import allowing, refuse_foreign
from transformertf.errors import InputError
from transformertf.reach import check, place

ADDRESSES = [
    "http://host/x", "s3://bucket/x", "gs://x", "hdfs://x", "memory://x", "file:///x", "x/y-z+1://x",
    "simplecache::s3://x", "memory::", "memory::/x", "/x/y.zip::zip", "/x::memory::/y",
    "data:text/csv,1", "a//b://x",
]  # fmt: skip


def never(_: str) -> bool:
    return False


def where(_: str) -> str:
    return " in my.yml"


def tree_of(path: str, value: Any) -> dict[str, Any]:
    *parents, leaf = path.split(".")
    tree: dict[str, Any] = {leaf: value}
    for parent in reversed(parents):
        tree = {parent: tree}
    return tree


@pytest.mark.parametrize("text", ADDRESSES)
@pytest.mark.parametrize(
    "path",
    [
        "data.init_args.train_df_paths",
        "data.init_args.extra_transforms.x.DiscreteFunctionTransform.x",
        "trainer.default_root_dir",
        "trainer.logger.init_args.save_dir",
        "model.init_args.criterion.init_args.anything",
    ],
)
@pytest.mark.parametrize("within", [str, lambda text: [1, (text,)]], ids=["", "list"])
def test_addresses(text: str, path: str, within: Callable[[str], Any]) -> None:
    tree = tree_of(path, within(text))
    with pytest.raises(InputError, match=rf"^{path}.* in my\.yml: expected a path of this machine"):
        check(tree, never, where)
    check(tree, lambda found: found.startswith(path), where)


def test_names_are_no_addresses() -> None:
    tree = tree_of("data.init_args.target_covariate", ["rda3://magnet/I#x", "a::b"])
    check(tree, never, where, names=["target_covariate"])
    check({"data": {"init_args": {"extra_transforms": {"rda3://magnet": 1}}}}, never, where)


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefgh")
)
ENDLESS = {
    "aliases": ALIASES, "brackets": "[" * 40 + "]" * 40, "never closed": "{" * 40,
    "dashes": "- " * 40, "a text within": json.dumps({"filename": ALIASES}),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENDLESS)
def test_yaml_within_a_text_is_not_read(kind: str, tmp_path: Path) -> None:
    """A parser of arguments reads YAML in any text, and in a file that one names."""
    text = ENDLESS[kind]
    for key in ("seed_everything", "callbacks"):
        with pytest.raises(InputError, match=rf"^{key}.0 in my.yml: YAML within a text"):
            refuse_foreign({key: [text]}, "", " in my.yml")
    file = tmp_path / "other.yml"
    file.write_text(text)
    with allowing():
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--x", type=dict | int)
        with pytest.raises(ArgumentError, match=r"Given value: /.*other\.yml"):
            parser.parse_object({"x": str(file)})


def test_texts_with_signs_of_yaml_are_texts() -> None:
    for text in ("*abc & **/*.csv: &a, and so on - as it goes", "[a, {b: *c}] " * 5, "x&y*" * 20):
        refuse_foreign({"criterion": {"x": text}}, "")


OUTSIDE = [
    "/tmp/x", "~/x", "~", "../x", "x/../../y", "..", "x/..", "$HOME/x", "x${HOME}", "\\x", "C:\\x",
    "x\\..\\y", "C:/x",
]  # fmt: skip


@pytest.mark.parametrize("text", OUTSIDE)
@pytest.mark.parametrize(
    ("key", "flag"),
    [
        ("trainer.default_root_dir", "trainer.default_root_dir"),
        ("trainer.logger.init_args.version", "trainer.logger.init_args.version"),
        ("trainer.callbacks.0.init_args.filename", "trainer.callbacks"),
        ("trainer.profiler.init_args.kwargs.suffix", "trainer.profiler.init_args.kwargs.suffix"),
    ],
)
def test_what_leads_out_of_the_run_folder(text: str, key: str, flag: str) -> None:
    with pytest.raises(InputError, match=rf"^{key} in my\.yml: .* give --{flag} on the command"):
        check(tree_of(key, text), never, where)
    check(tree_of(key.replace("trainer", "data"), text), never, where)


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        ("{epoch}-{step:04d}", True),
        ("{validation/loss:.3f}-{epoch:d}-..x", True),
        ("{step:c}{step:c}/x", False),  # at step 46 it is ../x
        ("{epoch:/>9}", False),
        ("{epoch.__class__.__name__:.>2.0}", False),
        ("{epoch!r}", False),
        ("{epoch[0]}", False),
        ("{epoch:{step}}", False),
    ],
)
def test_formats_of_names(text: str, is_plain: bool) -> None:
    tree = {"trainer": {"callbacks": [{"init_args": {"filename": text}}]}}
    with nullcontext() if is_plain else pytest.raises(InputError, match="leads out of the run"):
        check(tree, never, where)


def test_a_model_is_not_uploaded() -> None:
    with pytest.raises(InputError, match="model_registry"):
        check(tree_of("trainer.model_registry", "mine"), never, where)


def test_places_lie_in_the_run_folder(tmp_path: Path) -> None:
    tree = Namespace(
        trainer=Namespace(
            default_root_dir="typed",
            profiler=Namespace(init_args=Namespace(dirpath="profiles", filename="x")),
            callbacks=[Namespace(init_args=Namespace(folder="plots"))],
        ),
        data=Namespace(path="x"),
    )
    place(tree, tmp_path, lambda path: path == "trainer.default_root_dir")
    assert tree.trainer.profiler.init_args.dirpath == str(tmp_path / "profiles")
    assert tree.trainer.callbacks[0].init_args.folder == str(tmp_path / "plots")
    assert (tree.trainer.default_root_dir, tree.data.path) == ("typed", "x")
    with pytest.raises(InputError, match="this command makes none"):
        place(tree_of("trainer.default_root_dir", "x"), None, never)


@pytest.mark.parametrize(
    ("name", "package"), [("WandbLogger", "wandb"), ("MLFlowLogger", "mlflow")]
)
@pytest.mark.parametrize("kind", [dict, Namespace])
def test_what_sends_a_run_away_wants_consent(
    name: str, package: str, kind: Callable[..., Any]
) -> None:
    own = kind(class_path=f"lightning.pytorch.loggers.x.{name}", init_args={"uri": "http://x"})
    tree = kind(trainer=kind(logger=[own]))
    with pytest.raises(InputError, match=f"package {package}, .* give --allow {package}"):
        refuse_foreign(tree, "")
    with allowing([package]):
        refuse_foreign(tree, "")
        check(tree, never, where)

"""What a call from Python leaves unsaid, as `transformertf init` proposes it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from transformertf.cli.config import NAMING, Composer, Tree
from transformertf.cli.keywords import FRAME, ROLES, check_frames, tree_of
from transformertf.cli.screen import say
from transformertf.cli.yaml_file import YamlFile
from transformertf.data.reading import as_frame, column_key, is_frame
from transformertf.data.windows import OWN_PATHS, SHARES
from transformertf.errors import InputError
from transformertf.proposal import (
    LOOKED_AT,
    SIZES,
    AsProposed,
    Given,
    Seen,
    Wishes,
    look,
    propose,
)


@dataclass(frozen=True)
class Call:
    """What a call from Python gives over files of a configuration.

    Attributes:
        name: of the call, for messages.
        keywords: see `tree_of`.
        proposes: look at the data, and propose what is not given.
    """

    name: str
    keywords: Mapping[str, Any]
    proposes: bool = False

    def add_to(self, composer: Composer) -> dict[str, pd.DataFrame]:
        """Add the keywords to what a configuration is composed of; return the frames in them."""
        given = {ROLES.get(name, name): value for name, value in self.keywords.items()
                 if value is not None}  # fmt: skip
        check_frames(given, self.name)
        if self.proposes:
            proposed = _proposed(given, self.name)
            composer.add_tree("what is proposed", proposed)
            _join_categories(given, proposed["data"]["init_args"])
        if given.get("ctxt_seq_len") == 0:  # a model without a context was proposed
            del given["ctxt_seq_len"]
        tree, frames = tree_of(given, self.name, composer)
        composer.add_tree(self.name, tree)
        return frames


def _proposed(given: Mapping[str, Any], where: str) -> Tree:
    """Return the configuration that is proposed for what is not given.

    Args:
        given: keywords by the names of the arguments.
        where: names the call, for messages.

    Raises:
        InputError: there is no data, or what is given does not fit it.
    """
    data = given.get("train_df_paths")
    if data is None:
        raise InputError(f"{where}: no data; give files or a frame, and the target")
    model = _class_name(given.get("model"))
    roles = [given.get(ROLES[role]) for role in ("target", "known", "past", "static")]
    wishes = Wishes(
        paths=[FRAME] if is_frame(data) else [os.fspath(path) for path in _listed(data)],
        given=Given(_name(roles[0]), *map(_names, roles[1:])),
        ids=_names(given.get("series_id")),
        time=_name(given.get("time_column")),
        zone=given.get("time_zone"),
        horizon=given.get("tgt_seq_len"),
        context=given.get("ctxt_seq_len"),
        model=model if model in SIZES else None,
    )
    seen = _seen(as_frame(data, "data")) if is_frame(data) else look(wishes.paths)
    proposal = propose(seen, wishes, AsProposed())
    for line in proposal.lines():
        say(line)
    tree = YamlFile(Path("proposal"), proposal.text.encode()).tree(NAMING)
    return _without(tree, given)


def _class_name(model: Any) -> str | None:
    """Return the name of a class that is given by its name, by its path or as itself."""
    if isinstance(model, Mapping):
        model = model.get("class_path")
    name = model.__name__ if isinstance(model, type) else model
    return None if name is None else str(name).rpartition(".")[2]


def _listed(data: Any) -> list[Any]:
    return [data] if isinstance(data, str | os.PathLike) else list(data)


def _name(given: Any) -> str | None:
    return None if given is None else column_key(str(given))


def _names(given: Any) -> list[str] | None:
    return None if given is None else [column_key(str(name)) for name in _listed(given)]


def _seen(frame: pd.DataFrame) -> Seen:
    """Return what is seen of a frame, as of a file of it."""
    names = [column_key(str(name)) for name in frame.columns]
    rows = frame.head(LOOKED_AT // max(len(names), 1)).reset_index(drop=True)
    return Seen((FRAME,), (rows.set_axis(names, axis="columns"),), (len(frame),))


def _without(tree: Tree, given: Mapping[str, Any]) -> Tree:
    """Return a proposal without what is of no use beside what is given."""
    data, trainer = tree["data"]["init_args"], tree["trainer"]
    for stage, names in SHARES.items():
        _, start, *_ = names
        if OWN_PATHS[stage] in given or start in given:
            for name in names:
                data.pop(name, None)
    own = given.get("trainer")
    asked = {*given, *(own if isinstance(own, Mapping) else ())}
    if "max_steps" in asked and not {"max_epochs", "epochs"} & asked:
        trainer["max_epochs"] = -1
    if given.get("val_fraction") == 0:  # nothing to look at
        trainer.pop("callbacks", None)
        data.pop("val_blocks", None)
    return tree


def _join_categories(given: dict[str, Any], proposed: Mapping[str, Any]) -> None:
    """Add the categories among proposed columns to those that are given for others."""
    own = given.get("categorical_covariates")
    if own is not None:
        roles = [given[role] for role in ROLES.values() if isinstance(given.get(role), str | list)]
        named = {name for role in roles for name in _names(role) or ()}
        others = [name for name in proposed.get("categorical_covariates", ()) if name not in named]
        given["categorical_covariates"] = [*_listed(own), *others]

"""From data to a forecaster, by the fit of the command."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from transformertf.cli import Call, best_checkpoint, call_fit
from transformertf.forecaster.given import Given, briefly
from transformertf.models import ForecastModule


class Fitting(ABC):
    """What can be trained, where what is trained can be loaded."""

    @classmethod
    @abstractmethod
    def load(
        cls, path: str | os.PathLike[str], accelerator: str = "auto", allow: Sequence[str] = ()
    ) -> Self:
        """Load a checkpoint."""

    @classmethod
    @briefly
    def fit(
        cls,
        data: Given | None = None,
        target: str | None = None,
        *,
        known: str | Sequence[str] | None = None,
        past: str | Sequence[str] | None = None,
        static: str | Sequence[str] | None = None,
        series_id: str | Sequence[str] | None = None,
        time: str | None = None,
        model: str | type[ForecastModule] | Mapping[str, Any] | None = None,
        horizon: int | None = None,
        context: int | None = None,
        epochs: int | None = None,
        trainer: Mapping[str, Any] | None = None,
        name: str | None = None,
        ckpt_path: str | os.PathLike[str] | None = None,
        propose: bool = True,
        allow: Sequence[str] = (),
        **arguments: Any,
    ) -> Self:
        """Train a model, as `transformertf fit` does, and return the forecaster of its best epoch.

        A run folder `runs/NAME/version_K` holds what a command leaves there; a frame is kept in it
        as parquet, and `transformertf fit --config` on its config.yaml makes the same weights.

        Args:
            data: training data: a path, a glob or a list of them, or a frame with a row for each
                step; without id columns a frame is one series.
            target: column to forecast.
            known: columns known in the future, too.
            past: columns known only in the past.
            static: columns constant within a series.
            series_id: columns that tell the series apart.
            time: column of time stamps.
            model: name of a model, its class, or `class_path` and `init_args`.
            horizon: steps of a forecast.
            context: steps of the past that a forecast is made from.
            epochs: how often all windows are trained on, at most.
            trainer: arguments of `lightning.Trainer`.
            name: of the experiment; that of the model if not given.
            ckpt_path: checkpoint to go on from, or "last" for the last one of `name`.
            propose: look at the data, and take for what is not given what `transformertf init`
                would propose; False takes the defaults of data module, model and trainer.
            allow: further packages whose classes may be named; their code runs.
            **arguments: any argument of the data module, of the model or of the trainer, and any
                key at the top of a configuration. Where data module takes files, a frame will do.

        Raises:
            InputError: as the command.
        """
        given = {
            "train_df_paths": data, "target": target, "known": known, "past": past,
            "static": static, "series_id": series_id, "time": time, "model": model,
            "horizon": horizon, "context": context, "epochs": epochs, "trainer": trainer,
        }  # fmt: skip
        call = Call("Forecaster.fit", {**given, **arguments}, propose)
        return cls._fitted(call, None, name, ckpt_path, allow)

    @classmethod
    @briefly
    def from_yaml(
        cls,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        ckpt_path: str | os.PathLike[str] | None = None,
        allow: Sequence[str] = (),
        **arguments: Any,
    ) -> Self:
        """Train what a YAML file says, and return the forecaster of the best epoch.

        Args:
            path: of the file.
            name: of the experiment; the file's stem if not given.
            ckpt_path: as for `fit`.
            allow: as for `fit`.
            **arguments: as for `fit`, over those of the file.

        Raises:
            InputError: as the command.
        """
        call = Call("Forecaster.from_yaml", arguments)
        return cls._fitted(call, Path(path), name, ckpt_path, allow)

    @classmethod
    def _fitted(
        cls,
        call: Call,
        config: Path | None,
        name: str | None,
        ckpt_path: str | os.PathLike[str] | None,
        allow: Sequence[str],
    ) -> Self:
        """Train as a command does, and load the best epoch."""
        start = None if ckpt_path is None else os.fspath(ckpt_path)
        return cls.load(best_checkpoint(call_fit(call, config, name, start, allow)), allow=allow)

"""Several transforms in a row."""

from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from transformertf.data.transform.base import (
    Data,
    TargetTransform,
    Transform,
    Values,
    as_float64,
)
from transformertf.data.transform.functions import DeltaTransform
from transformertf.errors import InputError

Array = npt.NDArray[np.floating]
AnyTransform = Transform[Any] | TargetTransform


class TransformCollection:
    """Transforms applied in order and inverted in reverse.

    All methods take a column by itself, or x and y where one of the transforms is a target
    transform: y is what passes through, x goes to that one as it came, in its original units.

    A transform sees what those before it make, so it is fitted after them, in a pass of its own:
    `fit` and `fit_series` do that. `partial_fit` is a single pass, and refused where two or more
    learn from the data.

    Args:
        transforms: in the order of use; at most one target transform and one `DeltaTransform`.

    Raises:
        InputError: something else in the list, or more than that.
    """

    def __init__(self, transforms: Iterable[AnyTransform]) -> None:
        self.transforms = list(transforms)
        for transform in self.transforms:
            if not isinstance(transform, Transform | TargetTransform):
                raise InputError(
                    f"TransformCollection: expected transforms, found {transform!r}: "
                    "make them with make_transform"
                )
        for kind in (TargetTransform, DeltaTransform):
            found = [type(item).__name__ for item in self.transforms if isinstance(item, kind)]
            if len(found) > 1:
                raise InputError(
                    f"TransformCollection: at most one {kind.__name__}, found {len(found)}: "
                    f"{', '.join(found)}"
                )

    def fit(self, x: Data, y: Data | None = None) -> Self:
        """Forget what was seen and fit to one series: its column, or x and y."""
        return self.fit_series([(x,) if y is None else (x, y)])

    def fit_series(self, series: Sequence[tuple[Data, ...]]) -> Self:
        """Forget what was seen and fit to several series, one transform after the other.

        Args:
            series: of each series its column (values,), or (x, y).
        """
        columns = [self._columns(*item) for item in series]
        for index, transform in enumerate(self.transforms):
            transform.reset()
            for x, column in columns:
                _learn(transform, x, column)
            if index + 1 < len(self.transforms):
                columns = [(x, _forward(transform, x, column)) for x, column in columns]
        return self

    def partial_fit(self, x: Data, y: Data | None = None) -> Self:
        """Add one more series, or piece of one, to those seen.

        A piece starts anew for a `DeltaTransform`: its first difference is 0.

        Raises:
            InputError: two or more transforms learn.
        """
        learners = [type(item).__name__ for item in self.transforms if item.learns]
        if len(learners) > 1:
            raise InputError(
                f"TransformCollection: {' and '.join(learners)} learn one from the other's "
                "result, which takes a pass for each: use fit or fit_series"
            )
        covariate, column = self._columns(x, y)
        learned = False
        for transform in self.transforms:
            _learn(transform, covariate, column)
            learned = learned or transform.learns
            if not learned:
                column = _forward(transform, covariate, column)
        return self

    def transform(
        self, x: Values, y: Values | None = None, *, start: Values | float | None = None
    ) -> Values:
        """Return the transformed column: x, or y where both are given.

        Args:
            x: column, or covariate.
            y: target.
            start: for a `DeltaTransform`, the column's value before the first, in its own unit.
        """
        self._check(two=y is not None)
        covariate, column = (None, x) if y is None else (x, y)
        begin = self._start_of_delta(start)
        for transform in self.transforms:
            if isinstance(transform, DeltaTransform):
                column = transform.transform(column, begin)
            else:
                column = _forward(transform, covariate, column)
        return column

    def inverse_transform(
        self, x: Values, y: Values | None = None, *, start: Values | float | None = None
    ) -> Values:
        """Return the column in its own unit: from x, or from y where both are given.

        Args:
            x: transformed column, or covariate.
            y: transformed target.
            start: for a `DeltaTransform`, the column's value before the first, in its own unit.
        """
        self._check(two=y is not None)
        covariate, column = (None, x) if y is None else (x, y)
        begin = self._start_of_delta(start)
        for transform in reversed(self.transforms):
            if isinstance(transform, DeltaTransform):
                column = transform.inverse_transform(column, begin)
            elif isinstance(transform, Transform) or covariate is None:
                column = transform.inverse_transform(column)
            else:
                column = transform.inverse_transform(covariate, column)
        return column

    def reset(self) -> None:
        """Forget what was seen."""
        for transform in self.transforms:
            transform.reset()

    def state_dict(self) -> dict[str, Any]:
        """Return name and state of each transform."""
        return {
            "names": [type(item).__name__ for item in self.transforms],
            "states": [item.state_dict() for item in self.transforms],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a fitted state.

        Raises:
            InputError: it is that of other transforms.
        """
        names = [type(item).__name__ for item in self.transforms]
        if list(state["names"]) != names:
            raise InputError(
                f"TransformCollection: the state is that of {', '.join(state['names']) or 'none'},"
                f" expected {', '.join(names) or 'none'}"
            )
        for transform, item in zip(self.transforms, state["states"], strict=True):
            transform.load_state_dict(item)

    def _columns(self, x: Data, y: Data | None = None) -> tuple[Array | None, Array]:
        """Return covariate, if there is one, and column in float64."""
        self._check(two=y is not None)
        return (None, as_float64(x)) if y is None else (as_float64(x), as_float64(y))

    def _check(self, two: bool) -> None:
        """Refuse two arguments where they have no use, or leave a DeltaTransform without start."""
        if not two:
            return
        target = [isinstance(item, TargetTransform) for item in self.transforms]
        if not any(target):
            raise InputError(
                "TransformCollection: found x and y, but none of its transforms depends on "
                "another column: give the column alone"
            )
        if any(isinstance(item, DeltaTransform) for item in self.transforms[target.index(True) :]):
            name = type(self.transforms[target.index(True)]).__name__
            raise InputError(
                f"TransformCollection: found DeltaTransform after {name}, where its start would "
                "need an x of its own: put DeltaTransform first"
            )

    def _start_of_delta(self, start: Any) -> Any:
        """Return the start in the units that the `DeltaTransform` sees."""
        if start is None:
            return None
        value: Any = start if isinstance(start, torch.Tensor) else np.asarray(start, np.float64)
        for transform in self.transforms:
            if isinstance(transform, DeltaTransform):
                return value
            value = transform.transform(value)
        raise InputError("TransformCollection: found start, but no DeltaTransform that takes it")


def _learn(transform: AnyTransform, x: Array | None, column: Array) -> None:
    if isinstance(transform, Transform) or x is None:
        transform.partial_fit(column)
    else:
        transform.partial_fit(x, column)


def _forward(transform: AnyTransform, x: Values | None, column: Values) -> Values:
    if isinstance(transform, Transform) or x is None:
        return transform.transform(column)
    return transform.transform(x, column)

"""Several transforms in a row."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch

from transformertf.data.transform.base import Data, TargetTransform, Transform, Values, as_float64
from transformertf.data.transform.functions import DeltaTransform
from transformertf.errors import InputError

Array = npt.NDArray[np.floating]
AnyTransform = Transform[Any] | TargetTransform


class Piece(NamedTuple):
    """Rows of one or several stretches of a column, one behind the other.

    Attributes:
        column: (n,) the column, or y, float64.
        covariate: (n,) x, where a transform takes x and y.
        starts: rows at which a stretch starts, rising; without row 0 the piece goes on where the
            one before it ended.
    """

    column: Array
    covariate: Array | None = None
    starts: Sequence[int] = (0,)


class TransformCollection:
    """Transforms applied in order and inverted in reverse.

    All methods take a column by itself, or x and y where one of the transforms is a target
    transform: y is what passes through, x goes to that one as it came, in its original units.

    A transform sees what those before it make, so it is fitted after them, in a pass of its own:
    `fit`, `fit_series` and `fit_pieces` do that. `partial_fit` is a single pass, and refused where
    two or more learn from the data.

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
        if y is not None:
            self.require_pair()
        return self.fit_series([(x,) if y is None else (x, y)])

    def fit_series(self, series: Iterable[tuple[Data, ...]]) -> Self:
        """Forget what was seen and fit to several series, one transform after the other.

        Args:
            series: of each series its column (values,), or (x, y). They are gone through once for
                each transform that learns, and only one is held at a time.

        Raises:
            InputError: `series` can be gone through only once.
        """
        if iter(series) is series:
            raise InputError(
                "TransformCollection: fit_series goes through the series once for each transform "
                "that learns, found an iterator: give a list, or an object with __iter__"
            )

        def pieces() -> Iterator[Piece]:
            for item in series:
                x, column = self._columns(*item)
                yield Piece(column, x)

        return self.fit_pieces(pieces)

    def fit_pieces(self, pieces: Callable[[], Iterable[Piece]]) -> Self:
        """Forget what was seen and fit to columns in pieces, one transform after the other.

        Args:
            pieces: gives the pieces from the first on; called once for each transform that learns.
        """
        for place, transform in enumerate(self.transforms):
            transform.reset()
            if transform.learns:
                before = TransformCollection(self.transforms[:place])
                for piece, column in before.transform_pieces(pieces()):
                    _learn(transform, piece.covariate, column)
        return self

    def transform_pieces(self, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, Array]]:
        """Yield each piece with its column transformed (n,).

        A `DeltaTransform` goes on from piece to piece, and anew where a stretch starts.
        """
        last: Array | None = None
        for piece in pieces:
            column = piece.column
            for transform in self.transforms:
                if isinstance(transform, DeltaTransform):
                    begin, last = last, column[..., -1] if column.size else last
                    column = _differences(transform, column, begin, piece.starts)
                else:
                    column = _forward(transform, piece.covariate, column)
            yield piece, column

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
        if y is not None:
            self.require_pair()
        covariate, column = (None, x) if y is None else (x, y)
        begin = self._start_of_delta(start)
        for transform in self.transforms:
            if isinstance(transform, DeltaTransform):
                column = transform.transform(column, begin)
            else:
                column = _forward(transform, covariate, column)
        return column

    def inverse_transform(
        self,
        x: Values,
        y: Values | None = None,
        *,
        start: Values | float | None = None,
        mask: torch.Tensor | None = None,
    ) -> Values:
        """Return the column in its own unit: from x, or from y where both are given.

        Args:
            x: transformed column, or covariate.
            y: transformed target.
            start: for a `DeltaTransform`, the column's value before the first, in its own unit.
            mask: False on padding, which a `DeltaTransform` leaves out of its sums.
        """
        if y is not None:
            self.require_pair()
        covariate, column = (None, x) if y is None else (x, y)
        begin = self._start_of_delta(start)
        for transform in reversed(self.transforms):
            if isinstance(transform, DeltaTransform):
                column = transform.inverse_transform(column, begin, mask)
            elif isinstance(transform, Transform) or covariate is None:
                column = transform.inverse_transform(column)
            else:
                column = transform.inverse_transform(covariate, column)
        return column

    def require_pair(self) -> None:
        """Refuse transforms that cannot take x and y.

        Raises:
            InputError: none depends on x, or a `DeltaTransform` comes after the one that does.
        """
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
        if y is None:
            return None, as_float64(x)
        self.require_pair()
        return as_float64(x), as_float64(y)

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


def _differences(
    transform: DeltaTransform, column: Array, last: Array | None, starts: Sequence[int]
) -> Array:
    """Return differences (n,) of a piece that follows the value `last`, anew at `starts`."""
    goes_on = last is not None and 0 not in starts[:1]
    result = transform.transform(column, last if goes_on else None)
    first = [row for row in starts if row > 0]
    # of a missing value, missing
    result[..., first] = column[..., first] - column[..., first]
    return result

"""The numbers of other libraries, recorded in small files for runs that do not have them."""

import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

Array = npt.NDArray[np.generic]
FOLDER = Path(__file__).parent / "golden"


def save(name: str, arrays: Mapping[str, Array], libraries: Iterable[str]) -> Path:
    """Record arrays by name, and the versions that made them as `versions`; return the file."""
    versions = [f"{library} {version(library)}" for library in (*libraries, "numpy", "torch")]
    versions.append(f"Python {platform.python_version()}")
    path = FOLDER / f"{name}.npz"
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, allow_pickle=False, **arrays, versions=np.array(versions))
    return path


def load(name: str) -> dict[str, Array]:
    """Return what was recorded; nothing in it is run."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def within(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """Return the arrays whose names begin with a prefix, by the rest of their names."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def weights_to_arrays(state: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    """Return weights, which float32 must hold, as three arrays, for a file spends bytes on each."""
    flat = torch.cat([weight.flatten() for weight in state.values()])
    assert torch.equal(flat.float().double(), flat.double())
    return {
        "names": np.array(list(state)),
        "shapes": np.array([" ".join(map(str, weight.shape)) for weight in state.values()]),
        "values": flat.float().numpy(),
    }


def weights_of_arrays(arrays: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    """Return weights in float64 by name, in their order."""
    shapes = [[int(size) for size in shape.split()] for shape in arrays["shapes"].tolist()]
    values = torch.from_numpy(arrays["values"]).double()
    parts = torch.split(values, [int(np.prod(shape)) for shape in shapes])
    names = arrays["names"].tolist()
    return {
        name: part.reshape(shape).clone()
        for name, part, shape in zip(names, parts, shapes, strict=True)
    }


def frame_to_arrays(frame: pd.DataFrame) -> dict[str, Array]:
    """Return the columns of a frame; its index is `index`."""
    columns = {"index": frame.index, **frame}
    arrays = {str(name): column.to_numpy() for name, column in columns.items()}
    return {
        name: array.astype(str) if array.dtype == object else array
        for name, array in arrays.items()
    }


def frame_of_arrays(arrays: Mapping[str, Array]) -> pd.DataFrame:
    """Return the frame that made the arrays."""
    return pd.DataFrame(dict(arrays)).set_index("index")

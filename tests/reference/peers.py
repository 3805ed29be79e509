"""The libraries that ours is held against: imported quietly, and checked to be there.

`make peers` ends with `python -m tests.reference.peers`, which imports all of them beside ours.
"""

import importlib
import sys
import warnings
from importlib.metadata import version
from types import ModuleType

# what each is installed as, and the module that we compare with. Without torch, darts imports, and
# its models are missing: so it is the modules themselves.
PEERS = {
    "pytorch-forecasting": "pytorch_forecasting.models.temporal_fusion_transformer",
    "darts": "darts.models.forecasting.tft_model",
    "neuralforecast": "neuralforecast.models.tft",
    "utilsforecast": "utilsforecast.losses",
}


def import_peer(module: str) -> ModuleType:
    """Import a module of a peer; what it warns of meanwhile is its own.

    Raises:
        ImportError: it is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)


def main() -> int:
    """Import every peer and ours, and say which versions lie side by side."""
    missing = {}
    for name, module in {"transformertf": "transformertf.models", **PEERS}.items():
        try:
            import_peer(module)
        except ImportError as error:
            missing[name] = str(error)
        else:
            print(f"{name} {version(name)}")
    for name, reason in missing.items():
        print(f"{name} cannot be imported: {reason}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())

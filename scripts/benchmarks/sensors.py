"""What the parts of the virtual sensor are worth: differences, and the state carried along runs.

    python -m scripts.benchmarks.sensors [--seeds 3] [--variants NAME ...] [--output DIR]

`sample_configs/sequence_lstm.yml` as it is, without the force's difference, and with random
sequences that begin from a state of zeros, as many steps of each. Errors are those of whole runs.
"""

from scripts.benchmarks.fits import ROOT, compare

CONFIG = ROOT / "sample_configs" / "sequence_lstm.yml"
VARIANTS: dict[str, tuple[str, ...]] = {
    "as it is": (),
    "no difference": ("--data.difference_covariates", "null"),
    # eleven batches of an epoch, as lanes have
    "windows": ("--data.carry_state", "false", "--trainer.limit_train_batches", "11"),
}


if __name__ == "__main__":
    compare(CONFIG, VARIANTS, "{:.3f} mm".format, ROOT / "sample_configs" / "data")

"""SLURM: a job that runs out of time goes back into the queue, and on from its checkpoint."""

import os
import subprocess

from transformertf.cli.screen import say


def requeue() -> None:
    """Put this process's job back into the queue, and say how that went."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}") for name in ("JOB_ID", "TASK_ID"))
    job = f"{array}_{task}" if array and task else os.environ["SLURM_JOB_ID"]
    command = ["scontrol", "requeue", job]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        say(f"job {job} is not requeued: {error}")
        return
    reason = " ".join(done.stderr.split())
    say(
        f"job {job} is requeued" if done.returncode == 0 else f"job {job} is not requeued: {reason}"
    )

"""One file that holds a forecaster: described, read without running code, written whole."""

from transformertf.checkpoint.checkpoint import TRAINING, Checkpoint, blamed, check_place
from transformertf.checkpoint.content import CHECKPOINT_FORMAT, describe, unshared
from transformertf.checkpoint.writing import (
    WholeCheckpoints,
    add_name,
    check_folder_of,
    naming,
    new_token,
    open_part,
    part_of,
    put,
    refuse_link,
    sweep,
    whole_file,
    write_text,
)

"""The stages of data, as users name them: what a model trains on, is chosen by and is judged on."""

from typing import Literal

Stage = Literal["train", "validation", "test"]

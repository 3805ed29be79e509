"""Draw how lanes go along runs, from the sampler itself.

python -m scripts.docs.lanes            writes docs/images/lanes.png
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from transformertf.data.windows import (
    LaneSampler,
    Part,
    Request,
    WindowLimits,
    Windows,
    whole_run,
)

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "lanes.png"
# Okabe and Ito's, lightened
COLOURS = ("#a6cde8", "#f5cf9a", "#a9dfcb", "#e8bcd4", "#f3eda0")
ROWS = (900, 260, 540, 330, 120)
LANES, STEPS, SHOWN = 4, 100, 12


def draw() -> Figure:
    """Return the picture."""
    parts = [Part(index, str(index), 0, rows) for index, rows in enumerate(ROWS)]
    sampler = LaneSampler(
        Windows(map(whole_run, parts)), LANES, WindowLimits.of_sequences(STEPS, STEPS), seed=3
    )
    figure = Figure(figsize=(9.0, 3.2), dpi=120, layout="constrained")
    runs, lanes = figure.subplots(2, 1, height_ratios=(1, 3.2))
    left = 0.0
    for index, rows in enumerate(ROWS):
        runs.add_patch(Rectangle((left, 0), rows, 1, facecolor=COLOURS[index], edgecolor="white"))
        runs.text(left + rows / 2, 0.5, f"run {index + 1}", ha="center", va="center", fontsize=8)
        left += rows + 25
    runs.set(xlim=(0, left), ylim=(0, 1), title="the runs, as long as they are")
    requests: list[Request] = []
    for epoch in range(SHOWN):
        sampler.set_epoch(epoch)
        sampler.follow(len(requests))
        requests += list(sampler)
    for step, request in enumerate(requests[:SHOWN]):
        assert request.lanes is not None
        for lane in range(LANES):
            run, begun, done, rows = (
                int(each[lane]) for each in (request.index, *request.lanes, request.horizon)
            )
            box = Rectangle(
                (step, LANES - 1 - lane + 0.08), 0.97 * rows / STEPS, 0.84,
                facecolor=COLOURS[run], edgecolor="none",
            )  # fmt: skip
            lanes.add_patch(box)
            text = f"{done}-{done + rows - 1}"
            lanes.text(
                step + 0.08, LANES - 0.5 - lane, text, va="center", fontsize=6.5, color="#333333"
            )
            if begun == done:
                lanes.plot(step + 0.02, LANES - 0.16 - lane, marker="v", color="#b2182b", ms=5)
            elif step:
                lanes.annotate(
                    "", (step + 0.06, LANES - 0.78 - lane), (step - 0.14, LANES - 0.78 - lane),
                    arrowprops={"arrowstyle": "->", "color": "#333333", "lw": 0.9},
                )  # fmt: skip
    lanes.set(xlim=(0, SHOWN), ylim=(0, LANES), xlabel="batch")
    lanes.set_title(
        "the lanes: pieces of 100 steps, state carried (arrow) or zero (red)", fontsize=10
    )
    runs.title.set_fontsize(10)
    lanes.set_xticks(np.arange(SHOWN) + 0.5, [str(step + 1) for step in range(SHOWN)])
    lanes.set_yticks(np.arange(LANES) + 0.5, [f"lane {LANES - lane}" for lane in range(LANES)])
    for axes in (runs, lanes):
        axes.tick_params(length=0, labelsize=8)
        for side in axes.spines.values():
            side.set_visible(False)
    runs.set(xticks=[], yticks=[])
    return figure


if __name__ == "__main__":
    draw().savefig(PICTURE)

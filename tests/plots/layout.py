"""Whether a figure can be read: nothing written over anything else, or cut off."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox


def bar_widths(axes):
    """Return the widths of the bars of axes, in their order."""
    return [bar.get_width() for bar in axes.patches]


def written(axes):
    """Yield the texts of axes that are drawn."""
    yield from (axes.title, axes._left_title, axes._right_title)
    for axis in (axes.xaxis, axes.yaxis):
        yield from (axis.label, axis.offsetText)
        low, high = sorted(axis.get_view_interval())
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        yield from (tick.label1 for tick in ticks if low <= tick.get_loc() <= high)


def assert_tidy(figure):
    """See that at 100 dots per inch no text overlaps another, leaves the figure, or hides data."""
    assert figure.dpi == 100
    assert figure.get_suptitle()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    legends = [text for legend in figure.legends for text in legend.get_texts()]
    texts = [figure._suptitle, *legends]
    for axes in figure.axes:
        texts += written(axes)
    boxes = {
        f"{text.get_text()!r} {number}": text.get_window_extent(renderer)
        for number, text in enumerate(texts)
        if text.get_text() and text.get_visible()
    }
    for (one, first), (other, second) in itertools.combinations(boxes.items(), 2):
        assert not first.padded(-1).overlaps(second.padded(-1)), f"{one} over {other}"
    paper = Bbox.from_bounds(-1, -1, figure.bbox.width + 2, figure.bbox.height + 2)
    for name, box in boxes.items():
        assert paper.containsx(box.x0), name
        assert paper.containsx(box.x1), name
        assert paper.containsy(box.y0), name
        assert paper.containsy(box.y1), name
    data = [axes.get_window_extent(renderer) for axes in figure.axes]
    for legend in figure.legends:
        assert not any(legend.get_window_extent(renderer).overlaps(box) for box in data)
    assert min(min(box.width, box.height) for box in data) > 20

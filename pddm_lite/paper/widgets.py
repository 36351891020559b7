"""Sliders of a notebook that is open in JupyterLab; nothing where nobody can move them.

Whatever a widget shows, a figure beside it shows at several places at once, so that HTML, GitHub
and a machine without ipywidgets lose nothing.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure

from .drawing import style


def live() -> bool:
    """Whether ipywidgets is there and a person's front end sent this cell.

    JupyterLab and Notebook name the cell in their request; papermill, nbconvert and scripts do not,
    and a widget would leave its state and a dead picture in the executed copy.
    """
    try:
        import ipywidgets  # noqa: F401
        from IPython import get_ipython

        return "cellId" in get_ipython().get_parent()["metadata"]
    except (ImportError, AttributeError, KeyError):
        return False


def explore(
    draw: Callable[..., tuple[Figure, pd.DataFrame]],
    **controls: tuple[float, float, float],
):
    """Controls above the figure that `draw` makes of their values; None where not `live`.

    Args:
        draw: called with a value for every control, by name; returns (figure, table).
        controls: name -> (low, high, step) of a slider. The name is what is written beside it; it
            starts in the middle.
    """
    if not live():
        return None
    import ipywidgets
    from IPython.display import Image, display

    def shown(**values) -> None:
        display(Image(png(draw(**values)[0]), width=700))

    box = ipywidgets.interactive(shown, **controls)
    for control in box.kwargs_widgets:
        control.continuous_update = False  # a figure takes longer than a hand
        control.description = control.description.replace("_", " ")
    return box


def png(fig: Figure) -> bytes:
    """The figure as a picture."""
    out = io.BytesIO()
    with style():
        fig.savefig(out, format="png", dpi=110)
    return out.getvalue()

"""The package's own code in a notebook: no copy that could drift."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable


def show(*functions: Callable, doc: bool = False) -> None:
    """Display the source of functions, methods or classes as a block of code.

    Markdown is drawn by JupyterLab, GitHub and the HTML report alike. Docstrings are left out
    unless `doc`.
    """
    from IPython.display import Markdown, display

    blocks = "\n\n".join(_source(f, doc) for f in functions)
    display(Markdown(f"```python\n{blocks}\n```"))


def _source(function: Callable, doc: bool) -> str:
    code = textwrap.dedent(inspect.getsource(function)).rstrip()
    first = ast.parse(code).body[0].body[0]
    if doc or not function.__doc__ or not isinstance(first, ast.Expr):
        return code
    lines = code.splitlines()
    return "\n".join(lines[: first.lineno - 1] + lines[first.end_lineno :])

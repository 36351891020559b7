"""One progress bar for scripts and notebooks; plain text, so that it never floods a notebook."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm


def progress(it: Iterable, what: str, show: bool = True, **kw) -> tqdm:
    """tqdm over `it`, labelled `what`; silent where `show` is False or PDDM_BATCH is set.

    TQDM_DISABLE does not reach tqdm's notebook class, and run_all's workers must not mix their
    bars: hence one switch of our own. The text bar is used in notebooks too: it leaves one line,
    where a widget would leave state in the file. In a batch, run_all shows where the bar stands.
    """
    if show and os.environ.get("PDDM_STATUS"):
        return _Told(it, desc=what, file=io.StringIO(), mininterval=0.5, leave=False, **kw)
    off = not show or bool(os.environ.get("PDDM_BATCH"))
    return tqdm(it, desc=what, disable=off, file=sys.stdout, mininterval=0.5, leave=False, **kw)


def tell(what: str, n: int, total: int | None) -> None:
    """Say how far this process is, in the file that PDDM_STATUS names, for run_all's live line."""
    if path := os.environ.get("PDDM_STATUS"):
        with suppress(OSError):  # nothing depends on it
            Path(path).write_text(f"{what}\t{n}\t{total or 0}", encoding="utf-8")


class _Told(tqdm):
    """A bar that is not drawn but told."""

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        if msg is None:  # "" clears the bar at its end
            tell(self.desc, self.n, self.total)
        return True

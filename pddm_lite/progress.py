"""One progress bar for scripts and notebooks; plain text, so that it never floods a notebook."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress(it: Iterable, what: str, show: bool = True, **kw) -> tqdm:
    """tqdm over `it`, labelled `what`; silent where `show` is False or PDDM_BATCH is set.

    TQDM_DISABLE does not reach tqdm's notebook class, and run_all's workers must not mix their
    bars: hence one switch of our own. The text bar is used in notebooks too: it leaves one line,
    where a widget would leave state in the file.
    """
    off = not show or bool(os.environ.get("PDDM_BATCH"))
    return tqdm(it, desc=what, disable=off, file=sys.stdout, mininterval=0.5, leave=False, **kw)

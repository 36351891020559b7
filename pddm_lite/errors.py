"""One error type for everything a user can mend; the command line prints it as one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user can put right. The message is one line: what, where, and what would do."""


def unknown(kind: str, name: object, known: Iterable[str]) -> UserError:
    """The error for a name that is not among `known`, with the nearest known one."""
    known = list(known)
    near = difflib.get_close_matches(str(name).lower(), [k.lower() for k in known], n=1, cutoff=0.4)
    guess = next((k for k in known if near and k.lower() == near[0]), None)
    hint = f" Did you mean '{guess}'?" if guess else ""
    return UserError(f"unknown {kind} '{name}'.{hint} Known: {', '.join(known)}.")

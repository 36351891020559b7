"""One error type for everything a user can mend; the command line prints it as one line."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user can put right. The message is one line: what, where, and what would do."""


def escape_letters() -> None:
    """A letter that the terminal's encoding lacks is escaped (\\u65e5): no error, from now on.

    What every command does first: with stdout in cp1252 a path in Japanese would end it.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not where a test or a notebook has put its own
            stream.reconfigure(errors="backslashreplace")


# what is in the way of a file and no fault of ours; `shut` has the line about it
SHUT = (IsADirectoryError, PermissionError)


def shut(err: OSError) -> UserError | None:
    """The error for the user where a folder lies in the place of a file, or a file or folder may
    not be opened; None for any other."""
    path = err.filename2 or err.filename
    if isinstance(err, IsADirectoryError):
        return UserError(f"{path} is a folder, where a file belongs; move it away.")
    if isinstance(err, PermissionError) and path:
        return UserError(
            f"{path} cannot be opened ({err.strerror}); give yourself the right to, or move it "
            "away."
        )
    return None


def guess(name: object, known: Iterable[str]) -> str:
    """ " Did you mean 'x'?" with the nearest of `known`, or "" where none is near."""
    lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(str(name).lower(), lower, n=1, cutoff=0.4)
    return f" Did you mean '{lower[near[0]]}'?" if near else ""


def unknown(kind: str, name: object, known: Iterable[str]) -> UserError:
    """The error for a name that is not among `known`, with the nearest known one."""
    known = list(known)
    return UserError(f"unknown {kind} '{name}'.{guess(name, known)} Known: {', '.join(known)}.")

"""The parser of every command line of the kit."""

from __future__ import annotations

import argparse
import sys

from .errors import UserError, guess


class Parser(argparse.ArgumentParser):
    """argparse, whose complaints are one line as all others are; no option may be empty or short
    for another, and a mistyped one gets a guess."""

    def __init__(self, *args, **kw):
        super().__init__(*args, allow_abbrev=False, **kw)

    def parse_known_args(self, args=None, namespace=None):
        words = sys.argv[1:] if args is None else list(args)
        for n, word in enumerate(words):
            option, equals, value = word.partition("=")
            if equals and option.startswith("--") and not value.strip():
                self.error(f"{option} is empty: give it a value, or leave it out")
            # "" is a value that a notebook's parameter may take
            if not word.strip() and "-p" not in words[max(n - 2, 0) : n]:
                what = words[n - 1] if n and words[n - 1].startswith("-") else "an argument"
                self.error(f"{what} is empty: give it a value, or leave it out")
        return super().parse_known_args(words, namespace)

    def parse_args(self, args=None, namespace=None):
        found, extra = self.parse_known_args(args, namespace)
        if extra:
            subs = [
                s for a in self._actions if a.nargs == argparse.PARSER for s in a.choices.values()
            ]
            known = {
                o[2:] for p in (self, *subs) for o in p._option_string_actions if o[:2] == "--"
            }
            dashes, option = extra[0][:2], extra[0][2:].partition("=")[0]
            hint = dashes == "--" and guess(option, sorted(known - {"help"})).replace("'", "'--", 1)
            self.error(f"unrecognized arguments: {' '.join(extra)}{'.' + hint if hint else ''}")
        return found

    def error(self, message: str):
        stop = " See" if message.endswith("?") else "; see"
        raise UserError(f"{message}{stop} python {self.prog.removeprefix('python ')} --help.")

"""The parser of every command line of the kit."""

from __future__ import annotations

import argparse
import sys

from .errors import UserError


class Parser(argparse.ArgumentParser):
    """argparse, whose complaints are one line as all others are; no option may be empty."""

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

    def error(self, message: str):
        raise UserError(f"{message}; see python {self.prog.removeprefix('python ')} --help.")

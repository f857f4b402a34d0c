"""Paths of source files as reports may show them."""

import re
import sys
from pathlib import Path

import loopdiag

PACKAGES = re.compile(r".*/(?:site|dist)-packages/(.+)|.*/lib(?:64)?/python3\.\d+t?/(.+)")
#: the observer, wherever the one that recorded was installed
INSTRUMENTS = re.compile(r".*/(loopdiag/instruments/.+)")
SOURCE = str(Path(loopdiag.__file__).parents[1]) + "/"


def short(path: str) -> str:
    """A path without what it tells about the machine: below its package root, else its last part."""
    if path.startswith("<"):
        return path
    if path.startswith(SOURCE + "loopdiag/"):
        return path.removeprefix(SOURCE)
    if found := PACKAGES.fullmatch(path):
        return found[1] or found[2]
    if found := INSTRUMENTS.fullmatch(path):
        return found[1]
    name = path.rpartition("/")[2]
    return (
        f"./{name}" if name.removesuffix(".py") in sys.stdlib_module_names else name
    )  # a program's own code.py is not the standard library's

"""Where in a TOML text a key stands: a small search that says "not known" rather than a wrong line."""

import re
from typing import Final

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_KEY: Final = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER: Final = re.compile(rf"\s*(\[\[?)\s*({_KEY})\s*\]\]?\s*(?:#.*)?")
_PAIR: Final = re.compile(rf"\s*({_KEY})\s*=")
_NOISE: Final = re.compile(r""""(?:\\.|[^"\\\n])*"|'[^'\n]*'|#.*""")  # strings and comments: brackets in them close nothing
#: strings of one line that are not empty: three quotes in them open nothing
_STRING: Final = re.compile(r"""(?<!")"(?:\\.|[^"\\\n])+"(?!")|(?<!')'[^'\n]+'(?!')""")


class KeyLines:
    """The lines of a text's keys, counted from 1."""

    def __init__(self, text: str) -> None:
        self._lines: dict[str, int | None] = {}  # None: seen twice, so not known
        self._table = ""
        self._tables: dict[str, int] = {}  # [[name]] → how many so far
        quoted, depth = False, 0
        for number, line in enumerate(text.split("\n"), start=1):
            opened_quoted, opened_depth = quoted, depth
            telling = line if quoted else _STRING.sub("", line)
            if (telling.count('"""') + telling.count("'''")) % 2:
                quoted = not quoted
            if opened_quoted:
                continue
            pair = None if opened_depth else _PAIR.match(line)
            if pair or opened_depth:
                bare = _NOISE.sub("", line)
                depth = max(0, depth + bare.count("[") - bare.count("]"))
            if pair:
                self._note(self._under(_plain(pair[1])), number)
            elif not opened_depth and (header := _HEADER.fullmatch(line.rstrip("\r"))):
                self._enter(_plain(header[2]), number, several=header[1] == "[[")

    def of(self, key: str) -> int | None:
        """Return the line of the key, else of the nearest table around it, else None."""
        while key:
            if key in self._lines:
                return self._lines[key]
            key = re.sub(r"(\[\d+\]|\.[^.\[]*)$", "", key) if re.search(r"[.\]]", key) else ""
        return None

    def _enter(self, name: str, line: int, *, several: bool) -> None:
        if several:
            number = self._tables.get(name, 0)
            self._tables[name] = number + 1
            name = f"{name}[{number}]"
        self._table = name
        self._note(name, line)

    def _note(self, path: str, line: int) -> None:
        self._lines[path] = None if path in self._lines else line

    def _under(self, key: str) -> str:
        return f"{self._table}.{key}" if self._table else key


def _plain(key: str) -> str:
    """Return a dotted key as the strict reader names it: without blanks, bare where it can be."""
    return ".".join(
        part[1:-1] if part[0] in "\"'" and re.fullmatch(r"[A-Za-z0-9_-]+", part[1:-1]) else part for part in re.findall(_PART, key)
    )

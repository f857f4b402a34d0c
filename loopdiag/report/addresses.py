"""Addresses, paths and words as exports may show them: without credentials, values of queries, and the folders of this machine."""

import re
from urllib.parse import urlsplit, urlunsplit

from loopdiag.model.scenario import Target

REDACTED = "REDACTED"
#: the end of a name whose value is nobody's business: api_key and X-Auth-Token, but neither KeyError nor author
NAMES = r"(?:token|key|secret|pass(?:w\w*|phrase)?|auth(?:orization|entication)?|credential|cookie)s?(?![a-zA-Z])"
USER = re.compile(r"(?<=://)[^\s/?#]*@")
ADDRESS = re.compile(r"://[^\s\"'`<>\\]+")
VALUE = re.compile(r"([?&;#][^=&;#]*=)[^&;#]*")
QUOTED = r"""[bfruBFRU]{0,2}(?:"[^"]*"|'[^']*')"""
#: what a program's line gives to such a name: token="…", {"Authorization": "…"}, BasicAuth("…", "…")
GIVEN = re.compile(rf"""((?i:{NAMES})["']?\]?\s*[:=,(][\s(]*){QUOTED}(?:\s*,\s*{QUOTED}(?!\s*:))*""")


def redacted(text: str) -> str:
    """The text without users, passwords and values of queries in its addresses, and without what its code gives to a password, a token or the like."""
    if "://" in text:
        text = ADDRESS.sub(lambda found: VALUE.sub(rf"\1{REDACTED}", found[0]), USER.sub("", text))
    return GIVEN.sub(rf'\1"{REDACTED}"', text) if '"' in text or "'" in text else text


def target_url(target: Target, request: int | None = None) -> str:
    """The address of one request, or of all of them with ``{i}`` left in its place."""
    base = urlsplit(target.url or f"{'http' if target.tls == 'off' else 'https'}://localhost")
    path, query = base.path, base.query
    if "{i}" not in path + query:
        tail, _, more = target.path.partition("?")
        path, query = f"{path.rstrip('/')}/{tail.lstrip('/')}", "&".join(filter(None, (query, more)))
    number = "{i}" if request is None else str(request)
    return redacted(urlunsplit((base.scheme, base.netloc, path, query, ""))).replace("{i}", number)


def source(file: str) -> str:
    """A frame's file: an absolute path, which tells of the machine and its user, keeps its last folder and its name."""
    parts = file.replace("\\", "/").split("/")
    absolute = not parts[0] or parts[0].endswith(":")
    return "/".join(parts[-2:] if absolute and len(parts) > 2 else parts).lstrip("/")

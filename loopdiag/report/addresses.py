"""Addresses and paths as exports may show them: without credentials, values of queries, and the folders of this machine."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from loopdiag.model.scenario import Target

REDACTED = "REDACTED"


def target_url(target: Target, request: int | None = None) -> str:
    """The address of one request, or of all of them with ``{i}`` left in its place."""
    base = urlsplit(target.url or f"{'http' if target.tls == 'off' else 'https'}://localhost")
    path, query = base.path, base.query
    if "{i}" not in path + query:
        tail, _, more = target.path.partition("?")
        path, query = f"{path.rstrip('/')}/{tail.lstrip('/')}", "&".join(filter(None, (query, more)))
    redacted = urlencode([(key, REDACTED) for key, _ in parse_qsl(query, keep_blank_values=True)])
    number = "{i}" if request is None else str(request)
    return urlunsplit((base.scheme, base.netloc.rpartition("@")[2], path.replace("{i}", number), redacted, ""))


def source(file: str) -> str:
    """A frame's file: an absolute path, which tells of the machine and its user, keeps its last folder and its name."""
    parts = file.replace("\\", "/").split("/")
    absolute = not parts[0] or parts[0].endswith(":")
    return "/".join(parts[-2:] if absolute and len(parts) > 2 else parts).lstrip("/")

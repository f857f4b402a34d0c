"""Which line of a user's own program a cause is about, and what is done there; None (or "") where nothing tells, and in scenarios."""

import re

from loopdiag.analysis import program_views as views
from loopdiag.analysis.evidence import Evidence
from loopdiag.analysis.program_seen import Stalled
from loopdiag.causes.programs import observed, waiting
from loopdiag.causes.sightings import code_share
from loopdiag.causes.system_calls import SLEEP, named
from loopdiag.model.flame import TopRow
from loopdiag.model.program import Place

#: what a blocked line calls, by the line's text
CALLS = (
    (r"\btime\.sleep\(|(?<![.\w])sleep\(", SLEEP),
    (r"\bsubprocess\.|\bos\.system\(|\bpopen\b|\.communicate\(|check_output\(", "wait4 (subprocess)"),
    (r"\brequests\.", "connect/recv (requests)"),
    (r"\burlopen\(|\burllib\.request\.|\burllib3\.", "connect/recv (urllib)"),
    (r"\bsqlite3\b|\.execute\(|\.executemany\(|\.commit\(", "database"),
    (r"\bfsync\(|\bopen\(|\.read_text\(|\.write_text\(|\.read_bytes\(|\.write_bytes\(|\.flush\(", "file"),
    (r"\bgetaddrinfo\(|\bgethostby", "getaddrinfo"),
    (r"\.result\(|\.join\(|\.acquire\(|\.wait\(", "waiting for a thread"),
)
#: and by the file that the thread sat in
FILES = (
    (r"(^|/)requests/", "connect/recv (requests)"),
    (r"(^|/)(urllib3|http/client\.py|urllib/request\.py)", "connect/recv (HTTP)"),
    (r"(^|/)(socket|ssl)\.py$", "connect/recv"),
    (r"(^|/)subprocess\.py$", "wait4 (subprocess)"),
    (r"(^|/)(sqlite3|psycopg2?|pymysql|MySQLdb)/", "database"),
    (r"(^|/)(threading|concurrent/futures/_base)\.py$", "waiting for a thread"),
)
#: calls of any client on blocking sockets, whose name is told where it was seen
NETWORK = frozenset({"connect/recv", "connect/recv (HTTP)", "connect", "recv", "send", "poll", "select", "read"})
BLOCKING = frozenset({"requests", "urllib3", "http.client"})
#: what a computing function is at, by its file
WORK = (
    (r"(^|/)(html/parser|_markupbase)\.py$|(^|/)(bs4|lxml|html5lib|selectolax|parsel)/", "html"),
    (r"(^|/)(charset_normalizer|chardet|cchardet)/", "charset"),
    (r"(^|/)json/|(^|/)simplejson/", "json"),
    (r"(^|/)logging/", "logging"),
    (r"(^|/)(gzip|zlib|bz2|lzma|brotli|zipfile/__init__)(\.py)?", "compression"),
    (r"(^|/)(hashlib|hmac|secrets)\.py$|(^|/)(cryptography|Crypto|jwt|jose|bcrypt|ecdsa)/", "cryptography"),
    (r"(^|/)(http/cookies|http/cookiejar|aiohttp/cookiejar)\.py$", "cookies"),
    (r"(^|/)re/|(^|/)sre_", "regular expressions"),
)
#: and by the text of the program's line
TEXTS = (
    (r"json\.|\.json\(", "json"),
    (r"BeautifulSoup|HTMLParser|\.feed\(|lxml|findall\(.*<|html", "html"),
    (r"hashlib|pbkdf2|sha\d|md5|hmac|encrypt|decrypt|bcrypt|scrypt|\.sign\(", "cryptography"),
    (r"zlib|gzip|brotli|lzma|bz2|decompress|compress", "compression"),
    (r"\blog(ger|ging)?\.|\bprint\(", "logging"),
    (r"\+= *(chunk|data|block|part|piece)|\bbytes\(|b\"\" *\+", "bytes concatenation"),
    (r"iter_chunked|\.read\(\d|iter_bytes\(", "tiny reads"),
    (r"cookie", "cookies"),
    (r"\.decode\(|charset|chardet", "charset"),
    (r"\bre\.|pattern|regex|\.findall\(|\.finditer\(|\.search\(", "regular expressions"),
)
#: where asyncio looks at all its tasks
WAITS = re.compile(r"(^|/)asyncio/tasks\.py$")


def request_line(evidence: Evidence) -> Place | None:
    """The line that makes most of the requests."""
    timeline = observed(evidence)
    return views.made_at(timeline) if timeline is not None else None


def made_line(evidence: Evidence, *what: str) -> Place | None:
    """The line that makes most of some kind of thing."""
    timeline = observed(evidence)
    found = [many for kind in what for many in views.made(timeline, kind)] if timeline is not None else []
    return next((many.place for many in found if many.place is not None), None)


def client_line(evidence: Evidence) -> Place | None:
    """The line that makes the client (a session, a connector, a pool); else the one that makes the requests."""
    return made_line(evidence, "connector", "session")


def blocking_line(evidence: Evidence) -> tuple[Place | None, str]:
    """The line that blocks the loop's thread for longest, and what it calls there."""
    found = [each for each in _stalls(evidence) if each.blocked_ns]
    if not found:
        return None, ""
    worst = max(found, key=lambda each: each.blocked_ns or 0)
    call = _call(worst, evidence.architecture)
    return worst.place, f"connect/recv ({evidence.client})" if call in NETWORK and evidence.client in BLOCKING else call


def _stalls(evidence: Evidence) -> tuple[Stalled, ...]:
    timeline = observed(evidence)
    return views.stalled(timeline) if timeline is not None else ()


def _call(stall: Stalled, architecture: str | None) -> str:
    texts = [place.text for place in (stall.place, stall.leaf) if place is not None]
    by_text = _named(CALLS, *texts)
    if by_text:
        return by_text
    return (_named(FILES, _path(stall.leaf)) if stall.leaf is not None else "") or named(stall.syscall, architecture)


def computing_line(evidence: Evidence) -> Place | None:
    """The line of the program that computes for longest on the loop's thread; else the function that the profile shows to grow most."""
    found = [each for each in _stalls(evidence) if each.cpu_ns and each.cpu_ns > (each.blocked_ns or 0) and each.place is not None]
    if found:
        return max(found, key=lambda each: each.cpu_ns or 0).place
    return next((place for row in evidence.top if row.code == "user" and (place := _of_row(evidence, row)) is not None), None)


def _of_row(evidence: Evidence, row: TopRow) -> Place | None:
    """A line of the program inside of a function of the profile."""
    timeline = observed(evidence)
    if timeline is None or timeline.activity is None:
        return None
    name, file = row.function.rsplit(".", 1)[-1], row.file.rsplit("/", 1)[-1]
    places = [
        each for each in timeline.activity.places[1:] if each.function.rsplit(".", 1)[-1] == name and each.name.startswith(f"{file}:")
    ]
    return places[0] if places else None


def scanning_line(evidence: Evidence, row: TopRow | None) -> Place | None:
    """The line of a scan: where asyncio looks at all its tasks, the line that has it do so; else the one that computes."""
    timeline = observed(evidence)
    if timeline is not None and (row is None or WAITS.search(row.file)):
        count, place = waiting(timeline, "wait", "as-completed")
        if place is not None and count >= timeline.n / 2:
            return place
    return (_of_row(evidence, row) if row is not None else None) or computing_line(evidence)


def kind_of_work(evidence: Evidence) -> str:
    """What the program computes: the library that the profile shows, or what the line says; "" where neither tells."""
    if observed(evidence) is None:
        return ""
    for row in sorted(evidence.top, key=lambda row: -row.self_us)[:5]:
        if row.self_us > 0 and (kind := _named(WORK, row.file.replace("\\", "/"))):
            return kind
    place = computing_line(evidence)
    by_text = _named(TEXTS, place.text, place.function) if place is not None else ""
    if by_text:
        return by_text
    codes = (("decode-json", "json"), ("decode-content", "compression"), ("decode-text", "charset"))
    shares = {kind: code_share(evidence, code) or 0.0 for code, kind in codes}
    most = max(shares, key=shares.__getitem__)
    return most if shares[most] > (code_share(evidence, "user") or 0.0) else ""


def _named(table: tuple[tuple[str, str], ...], *texts: str) -> str:
    return next((name for pattern, name in table for text in texts if text and re.search(pattern, text)), "")


def _path(place: Place) -> str:
    return place.file.replace("\\", "/")

"""What a scenario's keys ask of each other, and the ranges that are sensible, as tables."""

import re
from operator import attrgetter
from typing import Final

from msgspec.structs import fields

from loopdiag.lab.client_rules import BASELINES
from loopdiag.lab.ladder_rules import LADDER
from loopdiag.lab.program_start import ARM, PLACE
from loopdiag.lab.rules import Range, Rule, Rules
from loopdiag.lab.scenario_no_effect import NO_EFFECT, clients
from loopdiag.model.scenario import Plant

RULES: Final = (
    Rule(
        "arms",
        "program",
        lambda s: s.program is not None and s.arms != (ARM,),
        "has no effect, because [program] is the only arm; remove the key",
    ),
    Rule(
        "program",
        "",
        lambda s: s.program is not None and not (s.program.argv and any(PLACE in argument for argument in s.program.argv)),
        'expected argv with {{n}} where the number of requests goes, such as argv = ["python", "client.py", "{{n}}"]',
    ),
    Rule("arms", "", lambda s: not s.arms, 'expected at least one arm, such as "aiohttp/asyncio"'),
    Rule(
        "target.service.table",
        "target.service.law",
        lambda s: s.target.service.law == "table" and s.target.service.table is None,
        'missing; law = "table" needs a CSV file with a column "ms"',
    ),
    Rule(
        "target.payload.table",
        "target.payload.law",
        lambda s: s.target.payload.law == "table" and s.target.payload.table is None,
        'missing; law = "table" needs "pokeapi" or a CSV file with a column "json_bytes"',
    ),
    Rule(
        "target.service.mean_ms",
        "target.service.law",
        lambda s: s.target.service.law == "lognormal" and s.target.service.mean_ms == 0,
        'expected a number > 0 with law = "lognormal", got 0',
    ),
    Rule(
        "target.payload.mean_bytes",
        "target.payload.law",
        lambda s: s.target.payload.law == "lognormal" and s.target.payload.mean_bytes == 0,
        'expected a whole number > 0 with law = "lognormal", got 0',
    ),
    Rule(
        "target.payload.mean_bytes",
        "target.payload.law workload.decode",
        lambda s: s.target.payload.law == "constant" and s.target.payload.mean_bytes == 0 and s.workload.decode == "json",
        'expected a whole number ≥ 1 with workload.decode = "json", got 0: an empty body is not JSON',
    ),
    Rule(
        "workload.rate_per_s",
        "workload.kind",
        lambda s: s.workload.kind == "open" and s.workload.rate_per_s is None,
        "missing; an open workload needs its arrivals per second",
    ),
    Rule(
        "workload.rate_per_s",
        "workload.kind sweep.n sweep.trial_timeout_s",
        lambda s: s.workload.kind == "open" and max(s.sweep.n, default=0) / (s.workload.rate_per_s or 1e9) >= s.sweep.trial_timeout_s,
        "at {s.workload.rate_per_s:g} a second the largest n arrives no sooner than sweep.trial_timeout_s = {s.sweep.trial_timeout_s:g} s ends the trial; "
        "raise one of the two, or lower sweep.n",
    ),
    Rule(
        "workload.decode",
        "workload.method",
        lambda s: s.workload.decode == "json" and s.workload.method == "HEAD",
        'expected "none" with workload.method = "HEAD", got "json": the answer to HEAD has no body',
    ),
    Rule(
        "workload.timeout_s",
        "sweep.trial_timeout_s",
        lambda s: s.workload.timeout_s > s.sweep.trial_timeout_s,
        "expected at most sweep.trial_timeout_s = {s.sweep.trial_timeout_s:g}, but it is {s.workload.timeout_s:g}: the trial would end before the request",
    ),
    Rule("sweep.n", "", lambda s: not s.sweep.n, "expected at least one number of requests, such as [50, 100, 200, 400, 800]"),
    Rule(
        "sweep.n",
        "",
        lambda s: any(a >= b for a, b in zip(s.sweep.n, s.sweep.n[1:], strict=False)),
        "expected each number to be larger than the one before it",
    ),
    Rule(
        "sweep.n",
        "target.url live.max_n",
        lambda s: s.target.live and max(s.sweep.n, default=0) > s.live.max_n,
        "expected at most live.max_n = {s.live.max_n} requests on a live target; set smaller ones, or live.max_n if its owner agrees",
    ),
    Rule(
        "sweep.max_repetitions",
        "sweep.repetitions",
        lambda s: s.sweep.max_repetitions < s.sweep.repetitions,
        "expected at least sweep.repetitions = {s.sweep.repetitions}, but it is {s.sweep.max_repetitions}",
    ),
    Rule(
        "pool.keepalive",
        "arms",
        lambda s: bool(s.pool.keepalive) and "aiohttp" in clients(s),
        "aiohttp cannot bound its idle connections; remove the key, or the aiohttp arms",
    ),
    Rule(
        "target.http",
        "arms",
        lambda s: s.target.http == "2" and "aiohttp" in clients(s),
        'aiohttp cannot speak HTTP/2; set http = "1.1", or remove the aiohttp arms',
    ),
    *BASELINES,
    *LADDER,
    Rule(
        "target.url",
        "arms",
        lambda s: s.target.live and "fake" in clients(s),
        "the client fake sends nothing to a live target; remove the url, or the fake arm",
    ),
    *(
        Rule(
            f"target.service.{name}",
            "arms",
            lambda s, name=name: "fake" in clients(s) and getattr(s.target.service, name) is not None,  # type: ignore[misc] # mypy cannot type a lambda's default
            "the client fake cannot play this; remove the key, or the fake arm",
        )
        for name in ("concurrency", "rate_per_s", "requests_per_connection", "bytes_per_s", "max_streams", "backlog")
    ),
    *(
        rule
        for name in ("accept_ms", "handshake_ms")
        for rule in (
            Rule(
                f"target.service.{name}",
                "target.http",
                lambda s, name=name: s.target.http == "2" and getattr(s.target.service, name) > 0,  # type: ignore[misc] # mypy cannot type a lambda's default
                'the embedded server for HTTP/2 accepts by itself, and at once; set http = "1.1", or remove the key',
            ),
            Rule(
                f"target.service.{name}",
                "arms",
                lambda s, name=name: "fake" in clients(s) and getattr(s.target.service, name) > 0,  # type: ignore[misc] # mypy cannot type a lambda's default
                "the client fake cannot play this; remove the key, or the fake arm",
            ),
        )
    ),
    Rule(
        "target.service.cpu_us",
        "arms",
        lambda s: "fake" in clients(s) and s.target.service.cpu_us > 0,
        "the client fake cannot play this; remove the key, or the fake arm",
    ),
    Rule(
        "target.service.redirects",
        "arms",
        lambda s: "fake" in clients(s) and s.target.service.redirects > 0,
        "the client fake cannot play this; remove the key, or the fake arm",
    ),
    *(
        Rule(
            f"target.service.{name}",
            "target.http",
            lambda s, name=name: s.target.http == "2" and bool(getattr(s.target.service, name)),  # type: ignore[misc] # mypy cannot type a lambda's default
            'the embedded server for HTTP/2 does not know this; set http = "1.1", or remove the key',
        )
        for name in ("redirects", "backlog")
    ),
    Rule(
        "target.service.bytes_per_s",
        "target.http",
        lambda s: s.target.http == "2" and s.target.service.bytes_per_s is not None,
        'the embedded server for HTTP/2 sends by itself, and at once; set http = "1.1", or remove the key',
    ),
    *(
        Rule(
            f"workload.plant.{name}",
            "arms",
            lambda s, name=name: "fake" in clients(s) and bool(getattr(s.workload.plant, name)),  # type: ignore[misc] # mypy cannot type a lambda's default
            "the client fake cannot play this; remove the key, or the fake arm",
        )
        for name in ("thread_ms", "dns_ms", "garbage", "debug")
    ),
    Rule(
        "workload.plant.dns_ms",
        "arms",
        lambda s: any(arm.loop == "uvloop" for arm in s.arms) and s.workload.plant.dns_ms > 0,
        "uvloop looks names up in C, where nothing can be planted; remove the key, or the uvloop arms",
    ),
    Rule(
        "target.service.law",
        "arms",
        lambda s: "fake" in clients(s) and s.target.service.law == "table",
        'the client fake cannot play "table"; expected "constant", "normal" or "lognormal", or no fake arm',
    ),
    Rule(
        "target.payload.law",
        "arms",
        lambda s: "fake" in clients(s) and s.target.payload.law != "constant",
        'the client fake knows "constant" only, got "{s.target.payload.law}"; change it, or remove the fake arm',
    ),
    *(
        Rule(
            key,
            "arms",
            lambda s, key=key, default=default: any(arm.apart for arm in s.arms) and attrgetter(key)(s) != default,  # type: ignore[misc] # mypy cannot type a lambda's default
            "the worker of an arm with requirements of its own cannot do this; remove the key, or those arms",
        )
        for key, default in (
            ("workload.kind", "closed"),
            ("workload.retries", 0),
            *((f"workload.plant.{field.name}", field.default) for field in fields(Plant)),
        )
    ),
    Rule(
        "question",
        "",
        lambda s: not s.question.strip() or not s.question.isprintable() or len(s.question) > 300,
        "expected one line of at most 300 printable characters",
    ),
    Rule(
        "name",
        "",
        lambda s: not re.fullmatch(r"\w[\w.-]{0,79}", s.name),
        "it names the run's folder: expected at most 80 letters, digits, '-', '_' and '.', a letter or a digit first",
    ),
)

DAY_S: Final = 86_400
RANGES: Final = (
    Range("*.rate_per_s", 0.001, 1_000_000, "a second"),
    Range("*.bytes_per_s", 1_000, 2**40, "bytes a second, which is 1 TiB"),
    Range("workload.retries", 0, 100, "times"),
    Range("verify.values", 2, 20, "values of N"),
    Range("profile.rate_hz", 10, 10_000, "a second"),
    Range("live.runs_per_minute", 0.01, 1_000, "a minute"),
    Range("*_s", 0, DAY_S, "seconds, which is a day"),
    Range("*_ms", 0, DAY_S * 1_000, "milliseconds, which is a day"),
    Range("*_us", 0, 60_000_000, "microseconds, which is a minute"),
    Range("*_bytes", 0, 2**30, "bytes, which is 1 GiB"),
    Range("fake.noise", 0, 1, "times the mean"),
    Range("sweep.n", 1, 100_000, "requests a trial"),
    Range("sweep.seed", 0, 2**53, "(2⁵³)"),
    Range("sweep.*", 0, 10_000, "a cell"),
    Range("*", 0, 1_000_000, ""),
)

TABLES: Final = Rules(NO_EFFECT, RULES, RANGES)

"""What every report says, whatever its form: rows and lines of text drawn from a Document, not yet laid out."""

import re
from collections import Counter

from loopdiag.model.diagnosis import ArmDiagnosis, LoopLag, Overhead
from loopdiag.model.document import Document
from loopdiag.model.recording import Skipped
from loopdiag.model.timeline import Timeline
from loopdiag.model.value import Value
from loopdiag.report import format as fmt
from loopdiag.report import programs
from loopdiag.report.addresses import target_url

PREDICTED = re.compile(r"^predicted [0-9.]+ m?s, ")
LOOPS = "Event loop at the largest N; lag: mean wait of what arrives at a random moment"
BUSY_SERVER = 0.7  # above this share of its cores the target itself may bend the curve


class ArmRow(Value, frozen=True, kw_only=True):
    """One line of the table of arms, formatted."""

    arm: str
    law: str
    coefficients: tuple[str, ...]
    slope: str
    exponent: str
    errors: str
    connections: str
    reused: str
    utilisation: str
    busy: bool


def answer(document: Document) -> str:
    """The diagnosis in one sentence."""
    diagnosis = document.diagnosis
    return fmt.clean(diagnosis.answer) or f"No answer: {'no arm was' if not diagnosis.arms else 'the arms were not'} measured well enough."


def partial(document: Document) -> str | None:
    """Why the run is partial, or None where it is whole."""
    if not (document.diagnosis.partial or document.recording.partial):
        return None
    ended = sum(t.status == "ok" for t in document.recording.trials)
    return f"Partial: the run was interrupted or stopped by a fault. This report rests on the {fmt.count(ended, 'trial')} that had ended."


def arm_row(arm: ArmDiagnosis) -> ArmRow:
    """Format one arm."""
    return ArmRow(
        arm=fmt.clean(arm.arm),
        law=fmt.clean(fmt.law_form(arm.law)),
        coefficients=tuple(f"{fmt.clean(c.name)} = {fmt.coefficient(c.value, c.low, c.high, c.unit)}" for c in arm.law.coefficients),
        slope=fmt.estimate(arm.slope_ms),
        exponent=fmt.estimate(arm.law.exponent),
        errors=fmt.DASH if arm.failures is None else str(arm.failures),
        connections=fmt.DASH if arm.connections_per_request is None else fmt.significant(arm.connections_per_request),
        reused=fmt.percent(arm.reused_share),
        utilisation=fmt.percent(arm.server_utilisation),
        busy=(arm.server_utilisation or 0) > BUSY_SERVER,
    )


def arm_rows(document: Document) -> list[ArmRow]:
    """The table of arms."""
    return [arm_row(arm) for arm in document.diagnosis.arms]


def arm_notes(document: Document) -> list[str]:
    """What the table cannot say in its cells: near-ties, abstentions, missing intervals, errors by kind."""
    notes = []
    for arm in document.diagnosis.arms:
        said = [arm.law.note, arm.slope_ms.why if arm.slope_ms else None, arm.law.exponent.why if arm.law.exponent else None]
        said.append(f"requests that failed: {fmt.kinds(arm.errors)}" if arm.errors else None)
        notes += [f"{fmt.clean(arm.arm)}: {fmt.clean(text)}" for text in dict.fromkeys(said) if text]
    return notes


def not_measured(document: Document) -> list[tuple[str, str]]:
    """What was planned and not run, as (cells, why), one row for the cells of an arm that share a reason."""
    groups: dict[tuple[str, str], list[Skipped]] = {}
    for cell in dict.fromkeys((*document.diagnosis.not_measured, *document.recording.skipped)):
        groups.setdefault((cell.arm, reason(cell)), []).append(cell)
    rows = []
    for (arm, why), cells in groups.items():
        values = ", ".join(dict.fromkeys(str(c.n) for c in cells))
        tiers = " and ".join(dict.fromkeys(c.tier for c in cells))
        predicted = ", ".join(dict.fromkeys(fmt.seconds(c.predicted_s) for c in cells if c.predicted_s is not None))
        rows.append((f"{fmt.clean(arm)}, N = {values}, {tiers}", why + (f" (predicted: {predicted} a trial)" if predicted else "")))
    return rows


def reason(cell: Skipped) -> str:
    """Why the cell was skipped, without its own name and prediction, which the row gives once for all its cells."""
    why = cell.why.removeprefix(f"{cell.arm} N = {cell.n}: ")
    return fmt.clean(PREDICTED.sub("", why) if cell.predicted_s is not None else why)


def trial_arm(document: Document, name: str) -> str:
    """The arm of a trial as the rest of the report calls it: a program is one arm, whatever its trials' is called."""
    arms = document.diagnosis.arms
    return fmt.clean(arms[0].name if arms and programs.is_program(document) else name)


def failed_trials(document: Document) -> list[tuple[str, str]]:
    """Trials that were run and did not end well, as (trial, fate)."""
    bad = (t for t in document.recording.trials if t.status != "ok" or t.errors)
    return [
        (
            f"{trial_arm(document, t.spec.arm.name)}, N = {t.spec.n}, {t.spec.tier}, repetition {t.spec.repetition}",
            ": ".join(filter(None, ("requests failed" if t.status == "ok" else t.status, fmt.clean(t.why or ""), fmt.kinds(t.errors)))),
        )
        for t in bad
    ]


def warnings(document: Document) -> list[str]:
    """All warnings, each once."""
    said = [*document.diagnosis.warnings, *document.recording.warnings]
    said += [f"{arm.arm}: {text}" for arm in document.diagnosis.arms for text in arm.warnings]
    return [fmt.clean(text) for text in dict.fromkeys(said)]


def overhead_row(row: Overhead) -> tuple[str, str, str]:
    """Tier, arm and the ratios of client CPU and of T with their intervals, or why there are none."""
    ratio = _ratios(row) or fmt.DASH
    own = None if row.own_estimate is None else f"by their own account {fmt.percent(row.own_estimate)} of the client CPU"
    said = "; ".join(fmt.clean(part) for part in (row.why, own) if part)
    return row.tier, fmt.clean(row.arm), ratio + (f" ({said})" if said else "")


def overhead_line(document: Document) -> str:
    """The instruments' cost in one line: the worst arm of each tier."""
    worst: dict[str, tuple[float, Overhead]] = {}
    for row in document.diagnosis.overhead:
        if row.ratio is not None and (row.tier not in worst or row.ratio > worst[row.tier][0]):
            worst[row.tier] = (row.ratio, row)
    if not worst:
        return "Instrument overhead: not measured (no value of N was measured both with and without them)."
    parts = (f"{tier} {_ratios(row)} on {fmt.clean(row.arm)}" for tier, (_, row) in worst.items())
    return f"Instrument overhead over bare trials, worst arm: {'; '.join(parts)}."


def _ratios(row: Overhead) -> str:
    """What a tier does to its trials: to the client's CPU, and to their time."""
    seen = (("CPU", row.ratio, row.low, row.high), ("T", row.wall_ratio, row.wall_low, row.wall_high))
    return ", ".join(f"{what} × {fmt.between(ratio, low, high)}" for what, ratio, low, high in seen if ratio is not None)


def largest(document: Document) -> list[Timeline]:
    """Of each arm the timeline with the largest N, the first of its repetitions; those without attempts are left out."""
    best: dict[str, Timeline] = {}
    for line in document.timelines:
        if line.attempts and (line.arm not in best or line.n > best[line.arm].n):
            best[line.arm] = line
    return list(best.values())


def loop_lines(document: Document) -> list[str]:
    """Of each arm, how its loop kept requests waiting at its largest N, and how much of their time no stamp shows; where observed."""
    made = ((arm, [*lag_parts(arm.lag), *unattributed_parts(arm)]) for arm in document.diagnosis.arms)
    return [f"{fmt.clean(arm.arm)}{f', N = {arm.lag.n}' if arm.lag else ''}: {', '.join(said)}" for arm, said in made if said]


def lag_parts(lag: LoopLag | None) -> list[str]:
    """The loop's lag in words: the kernel's own account where it was observed, else the bounds of it."""
    if lag is None:
        return []
    said = [f"loop ran {fmt.percent(lag.running_share)}", f"longest {fmt.seconds(lag.longest_ms / 1e3)}"]
    said.append(f"lag {fmt.seconds(lag.expected_wait_ms / 1e3)}")
    low, high = lag.first_byte_low_ms, lag.first_byte_high_ms
    if lag.kernel_ms is not None:
        said.append(f"first byte {fmt.seconds(lag.kernel_ms / 1e3)} in the kernel")
    elif low is not None and high is not None:
        said.append(f"first byte readable {fmt.seconds(low / 1e3)} to {fmt.seconds(high / 1e3)} before it was read")
    return said


def unattributed_parts(arm: ArmDiagnosis) -> list[str]:
    """The share of a request's time that no stamp shows."""
    if arm.unattributed_share is None:
        return []
    tail = "" if arm.unattributed_p95 is None else f" (95th percentile {fmt.percent(arm.unattributed_p95)})"
    return [f"unattributed {fmt.percent(arm.unattributed_share)}{tail}"]


def witness_line(document: Document) -> str | None:
    """How far the timelines agree with the server's own account, over all arms; None where nothing was compared."""
    compared = sum(row.compared for row in document.diagnosis.witness)
    agreeing = sum(row.agreeing for row in document.diagnosis.witness)
    return f"Timelines agree with the server's own account for {agreeing} of {fmt.count(compared, 'request')}." if compared else None


def noise(document: Document) -> list[tuple[str, str]]:
    """How much the machine scatters; relative figures as percentages."""
    return [
        (fmt.words(name), fmt.percent(value) if "relative" in name or name.endswith("share") else f"{value:.6g}")
        for name, value in document.diagnosis.noise.items()
    ]


def lost(document: Document) -> list[str]:
    """Rows for which the instruments had no room, by table."""
    return [f"{fmt.words(table)}: {fmt.count(number, 'row')}" for table, number in document.diagnosis.lost.items() if number]


def repetitions(document: Document) -> tuple[tuple[int, ...], list[tuple[str, list[str]]]]:
    """The measured cells: the values of N, and per arm how many usable trials each has, `bare + timeline`."""
    usable = [t for t in document.recording.trials if t.usable]
    cells = Counter((t.spec.arm.name, t.spec.n, t.spec.tier) for t in usable)
    values = tuple(sorted({*document.recording.scenario.sweep.n, *(t.spec.n for t in usable)}))
    names = dict.fromkeys((*(arm.name for arm in document.recording.scenario.arms), *(t.spec.arm.name for t in usable)))
    return values, [(trial_arm(document, a), [f"{cells[a, n, 'bare']} + {cells[a, n, 'timeline']}" for n in values]) for a in names]


def own_environments(document: Document) -> list[tuple[str, str]]:
    """Each arm that ran in an environment of its own, and what was installed there."""
    apart = {arm.name for arm in document.recording.scenario.arms if arm.apart}
    return [
        (
            f"Versions of {fmt.clean(arm.arm)}",
            ", ".join(f"{name} {version}" for name, version in arm.versions.items()) or "not known: no trial ended",
        )
        for arm in document.diagnosis.arms
        if arm.arm in apart
    ]


def experiment(document: Document) -> list[tuple[str, str]]:
    """What was run in words: target, service, workload, pool; of a user's program its command line and what it was seen to use."""
    scenario = document.recording.scenario
    if scenario.program is not None:
        rows = [
            ("Program", programs.command(document)),
            ("Seen to use", programs.seen(document)),
            ("Connects to", programs.peers(document)),
        ]
        return [(what, said) for what, said in rows if said]
    target, work, service = scenario.target, scenario.workload, scenario.target.service
    where = "a live server" if target.live else "the embedded server on loopback"
    tls = "TLS verified" if target.live else f"TLS {target.tls}"
    at_once = "all N at once" if work.concurrency is None else fmt.count(work.concurrency, "worker")
    load = f"open loop, {work.rate_per_s or 0:g} requests/s, {work.arrivals}" if work.kind == "open" else f"closed loop, {at_once}"
    think = f"{service.law}, {service.mean_ms:g} ± {service.sd_ms:g} ms" if not target.live else "its own"
    limits = {"limit": scenario.pool.limit, "per host": scenario.pool.limit_per_host, "keep-alive": scenario.pool.keepalive}
    pool = ", ".join(f"{name} {'none' if value == 0 else value}" for name, value in limits.items() if value is not None)
    return [
        ("Target", f"{where}; HTTP/{target.http}; {tls}; {fmt.clean(target_url(target))}"),
        ("Think time of the server", think),
        (
            "Workload",
            f"{load}; {work.method}; decode {work.decode}{'' if work.decode == 'none' else f', {work.decode_when} the timed part'}",
        ),
        ("Connection pool", pool or "each library's own default"),
    ]

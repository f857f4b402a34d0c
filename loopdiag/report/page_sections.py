"""The page's sections as HTML, in reading order; what needs no script is complete without one."""

from loopdiag.model.document import Document
from loopdiag.model.events import PHASES
from loopdiag.report import content, programs
from loopdiag.report import format as fmt
from loopdiag.report.markup import Markup, join, tag
from loopdiag.report.page_answer import over_n, why
from loopdiag.report.page_code import code
from loopdiag.report.page_compare import comparison
from loopdiag.report.page_ladder import ladder
from loopdiag.report.page_parts import bullets, needs_script, pairs, section, table
from loopdiag.report.page_reference import posted

TRACKS = "Requests in flight, the pool's queue, the event loop and the garbage collector, on the waterfall's time axis"
KEYS = (
    "Drag to zoom into a part, Shift-drag to pan, Ctrl-wheel to zoom (plain wheel once clicked), double-click to show all. "
    "Keys: ↑ ↓ choose a request or connection, Enter the connection's next request, ← → pan, + − zoom, 0 shows all, C by connection, "
    "P critical path, S slowest, W whom the last one waited for, E errors, R retried, D redirected, B loop blocked."
)


def sections(document: Document) -> Markup:
    """Everything below the page's head, in order."""
    return join(
        (
            partial(document),
            why(document),
            arms(document),
            comparison(document),
            not_measured(document),
            warnings(document),
            scaling(document),
            ladder(document),
            posted(document),
            over_n(document),
            waterfall(document),
            code(document),
            phases(document),
            overhead(document),
            witness(document),
            noise(document),
            lost(document),
            not_observed(document),
            environment(document),
            method(document),
        )
    )


def partial(document: Document) -> Markup | None:
    """The banner of an interrupted run."""
    said = content.partial(document)
    return tag("p", said, class_="banner", role="status", id="partial") if said else None


def arms(document: Document) -> Markup:
    """The table of arms, and what its cells cannot say."""
    if not document.diagnosis.arms:
        return section("arms", "Arms", tag("p", "No arm has a usable trial."))
    program = programs.is_program(document)
    used = () if program else ("Server used",)  # nobody sees into a user's server
    heads = ("Program" if program else "Arm", "Law of T(N)", "Slope, ms/request", "Exponent", "Errors", "Connections/request", *used)
    rows = [
        (
            row.arm,
            join((tag("span", fmt.formula(row.law), class_="law"), *(tag("small", fmt.formula(text)) for text in row.coefficients))),
            row.slope,
            row.exponent,
            row.errors if row.errors in {"0", fmt.DASH} else tag("span", row.errors, class_="alert"),
            join((row.connections, tag("small", f"{row.reused} reused") if row.reused != fmt.DASH else None)),
            tag("span", row.utilisation, class_="alert") if row.busy else row.utilisation,
        )[: len(heads)]
        for row in content.arm_rows(document)
    ]
    lead = "T runs from the creation of the first task to the end of the last response, in trials without instruments. Intervals are 95 %."
    lead = f"{programs.timed(document)} Intervals are 95 %." if program else lead
    notes = content.arm_notes(document)
    shown = table(heads, rows, kind="stack", numbers=len(heads) - 2, caption="Law, slope and exponent of each arm")
    return section("arms", "The law" if program else "Arms", shown, bullets(notes, "notes") if notes else None, lead=lead)


def not_measured(document: Document) -> Markup:
    """What was planned and not run, and what was run and failed."""
    rows, failed = content.not_measured(document), content.failed_trials(document)
    skipped = pairs(rows) if rows else tag("p", "Every planned cell was measured.")
    fates = join((tag("h3", "Trials that failed"), pairs(failed))) if failed else None
    return section("not-measured", "Not measured", skipped, fates)


def warnings(document: Document) -> Markup:
    """All warnings."""
    lines = content.warnings(document)
    return section("warnings", "Warnings", bullets(lines, "warnings") if lines else tag("p", "None."))


def scaling(document: Document) -> Markup | None:
    """The place of the interactive plot."""
    if not any(arm.points for arm in document.diagnosis.arms):
        return None
    switch = tag(
        "div",
        tag("button", "Linear", type="button", data_scale="linear", aria_pressed="true"),
        tag("button", "Log–log", type="button", data_scale="log", aria_pressed="false"),
        class_="switch",
        role="group",
        aria_label="Axes of the plot",
    )
    plot = tag(
        "div",
        class_="plot",
        id="plot",
        tabindex="0",
        role="img",
        aria_label="Total time against N for each arm; arrow keys read the values",
    )
    lead = "Each mark is one trial. Lines are the fitted laws with their 95 % bands. Straight on log–log axes means a power of N."
    if any(arm.prescription and arm.prescription.points for arm in document.diagnosis.arms):
        lead += " Long dashes and diamonds: with the prescription."
    heard = tag("p", class_="unseen", id="scaling-spoken", aria_live="polite")
    return section("scaling", "How the total grows with N", tag("div", switch, class_="controls"), plot, heard, needs_script(), lead=lead)


def waterfall(document: Document) -> Markup:
    """The place of the waterfall, its selectors and its legend."""
    if not any(line.attempts for line in document.timelines):
        return section("waterfall", "Waterfall", tag("p", "Not observed: the run has no timeline trial with a request in it."))
    choices = tag(
        "div",
        *(tag("label", name, tag("select", id=f"pick-{key}")) for key, name in (("arm", "Arm"), ("n", "N"), ("repetition", "Repetition"))),
        class_="picks",
    )
    zoom = (("in", "+", "Zoom in"), ("out", "−", "Zoom out"), ("fit", "Fit", "Show all"))
    buttons = [tag("button", face, type="button", data_zoom=key, aria_label=name, title=name) for key, face, name in zoom]
    ways = [
        tag("button", f"By {key}", type="button", data_by=key, aria_pressed="true" if key == "request" else "false")
        for key in ("request", "connection")
    ]
    switches = tag(
        "div",
        tag("div", *ways, class_="switch", role="group", aria_label="Rows of the waterfall"),
        tag("div", *buttons, class_="switch", role="group", aria_label="Zoom"),
        tag(
            "button",
            "Critical path",
            type="button",
            id="path",
            aria_pressed="false",
            hidden=True,
            title="What the total is made of, from request to request",
        ),
        class_="switches",
    )
    controls = tag("div", choices, switches, class_="controls")
    canvas = tag("canvas", id="canvas", tabindex="0", role="application", aria_label="Waterfall of requests", aria_describedby="keys")
    tracks = tag("canvas", id="tracks", tabindex="0", role="application", aria_label=TRACKS, aria_describedby="keys facts")
    cursor = tag("div", tag("span"), id="cursor", hidden=True)
    frame = tag("div", canvas, tracks, cursor, tag("div", id="tip", hidden=True), class_="frame", id="frame")
    drawn = (
        controls,
        tag("div", id="facts"),
        tag("div", id="interest", class_="interest"),
        tag("p", id="chain", aria_live="polite"),
        tag("div", id="path-key", class_="key", hidden=True),
        frame,
        tag("p", KEYS, id="keys", class_="hint"),
    )
    rest = (tag("div", id="legend", class_="legend"), tag("div", id="faults"), tag("p", class_="unseen", id="spoken", aria_live="polite"))
    lead = "Rows are attempts by start, or connections with the requests that they carried. Waits are hatched, work is solid."
    return section("waterfall", "Waterfall", *drawn, *rest, needs_script(), lead=lead)


def phases(document: Document) -> Markup | None:
    """The median phases of a request, arm by arm."""
    shown = [arm for arm in document.diagnosis.arms if arm.phases_ms]
    if not shown:
        return None
    names = [name for name in PHASES if any(name in arm.phases_ms for arm in shown)]
    rows = [(fmt.clean(arm.arm), *(fmt.significant(arm.phases_ms[n]) if n in arm.phases_ms else fmt.DASH for n in names)) for arm in shown]
    lead = "Median of each phase over the requests at the arm's largest N in the timeline tier, in milliseconds."
    made = table(("Arm", *names), rows, numbers=len(names), caption="Median phases of a request in milliseconds")
    loops = content.loop_lines(document)
    return section(
        "phases",
        "Where a request's time goes",
        made,
        join((tag("h3", content.LOOPS), bullets(loops, "notes"))) if loops else None,
        lead=lead,
    )


def overhead(document: Document) -> Markup:
    """What the instruments cost."""
    rows = [(tier, arm, ratio) for tier, arm, ratio in map(content.overhead_row, document.diagnosis.overhead)]
    lead = "Client CPU and total time T of a tier's trials over those of the bare ones, paired by arm and N. The laws above rest on bare trials only."
    shown = (
        table(("Tier", "Arm", "Ratio"), rows, kind="short", numbers=1, caption="Instrument overhead") if rows else tag("p", "Not measured.")
    )
    return section("overhead", "Instrument overhead", shown, lead=lead)


def witness(document: Document) -> Markup | None:
    """The timelines against the server's own account."""
    rows = [(fmt.clean(row.arm), str(row.compared), str(row.agreeing), fmt.percent(row.share)) for row in document.diagnosis.witness]
    if not rows:
        return None
    lead = "A request agrees where client send ≤ server received ≤ server answered ≤ client first byte, on the same clock."
    shown = table(("Arm", "Compared", "Agreeing", "Share"), rows, kind="short", numbers=3, caption="Agreement of timelines with the server")
    return section("witness", "Agreement with the server", shown, lead=lead)


def noise(document: Document) -> Markup:
    """How much the machine scatters."""
    rows = content.noise(document)
    return section("noise", "Noise", pairs(rows) if rows else tag("p", "Not measured: no cell was repeated."))


def lost(document: Document) -> Markup:
    """Rows that the instruments had no room for."""
    lines = content.lost(document)
    counted = "No row was lost." if document.diagnosis.lost or document.timelines else "Not observed: there is no timeline trial."
    return section("lost", "Lost rows", bullets(lines) if lines else tag("p", counted))


def not_observed(document: Document) -> Markup:
    """What no instrument saw, with reasons."""
    lines = document.diagnosis.not_observed
    return section("not-observed", "Not observed", bullets(lines) if lines else tag("p", "Everything that was looked for was seen."))


def environment(document: Document) -> Markup:
    """The machine and its software."""
    seen = document.diagnosis.environment
    pinned = [
        f"{who} on {', '.join(map(str, cores))}" for who, cores in (("client", seen.client_cores), ("server", seen.server_cores)) if cores
    ]
    rows: list[tuple[str, object]] = [
        ("System", seen.system),
        ("Python", seen.python),
        ("Processor", f"{seen.cpu}, {fmt.count(seen.cores, 'core')}"),
        ("Pinned to cores", "; ".join(pinned) or "no"),
        ("Memory", fmt.DASH if seen.memory_mib is None else f"{seen.memory_mib} MiB"),
        ("Clock", f"resolution {fmt.significant(seen.clock_resolution_ns)} ns, {fmt.significant(seen.clock_cost_ns)} ns a reading"),
        ("File descriptors", "no limit known" if seen.descriptor_limit is None else f"at most {seen.descriptor_limit}"),
        ("Load of the last minute", fmt.DASH if seen.load_1min is None else f"{seen.load_1min:.2f}"),
        ("CPU time stolen", fmt.percent(seen.steal_share)),
        ("Versions", ", ".join(f"{name} {version}" for name, version in seen.versions.items()) or fmt.DASH),
    ]
    rows += content.own_environments(document)
    return section("environment", "Environment", pairs(rows), bullets(seen.notes, "notes") if seen.notes else None)


def method(document: Document) -> Markup:
    """How it was measured: experiment, plan, budget, cells."""
    run, sweep = document.recording, document.recording.scenario.sweep
    spent = sum(t.total_s or 0.0 for t in run.trials)
    asked = f"slope's half-width {fmt.percent(sweep.precision)}; {sweep.repetitions} to {sweep.max_repetitions} repetitions, {sweep.warmups} warm-up"
    rows = [
        *content.experiment(document),
        ("Trials", f"{fmt.count(len(run.trials), 'trial')}, a fresh process each, shuffled and interleaved; plan seed {run.plan_seed}"),
        ("Asked precision", asked),
        ("Budget", f"{fmt.seconds(sweep.budget_s)}; the timed parts of all trials took {fmt.seconds(spent)}"),
        ("Skipped", f"{fmt.count(len(dict.fromkeys((*document.diagnosis.not_measured, *run.skipped))), 'cell')}"),
        ("Began and ended", f"{run.started} – {run.ended or 'did not end'}"),
        ("loopdiag", run.loopdiag),
    ]
    values, counts = content.repetitions(document)
    made = table(
        ("Arm", *(f"N = {n}" for n in values)),
        [(arm, *row) for arm, row in counts],
        numbers=len(values),
        caption="Usable trials of each cell",
    )
    return section("method", "How it was measured", pairs(rows), tag("h3", "Usable trials, bare + timeline"), made)

"""What the page leads with: per arm, the worst first, one sentence, the slope as a bar and in words, causes, prescription."""

from loopdiag.model.diagnosis import ArmDiagnosis
from loopdiag.model.document import Document
from loopdiag.report import accounts, findings
from loopdiag.report import format as fmt
from loopdiag.report.account_style import account_number, hatches
from loopdiag.report.markup import Markup, join, tag
from loopdiag.report.page_bar import bar, swatch, value
from loopdiag.report.page_causes import causes, prescription
from loopdiag.report.page_parts import bullets, needs_script, section, table

LEAD = (
    "Every instant of a trial is charged to one account, along the critical path; the slopes of the accounts add up to the slope of the total. "
    "Solid: the client ran. Hatched: it waited."
)
OVER_N = "The same accounts over N, of the total or a request; each stands on the one before it."


def why(document: Document) -> Markup | None:
    """The answer of each arm."""
    if not document.diagnosis.arms:
        return None
    if not findings.examined(document):
        return section("why", "Why", tag("p", findings.NOT_EXAMINED))
    return section("why", "Why", *(answer(document, arm) for arm in findings.worst_first(document)), hatches(), lead=LEAD)


def answer(document: Document, arm: ArmDiagnosis) -> Markup:
    """One arm."""
    return tag(
        "article",
        tag("h3", fmt.clean(arm.arm)),
        tag("p", findings.sentence(arm), class_="answer"),
        ledger(document, arm),
        causes(arm),
        prescription(arm, arm.prescription) if arm.prescription else None,
        class_="arm-answer",
    )


def ledger(document: Document, arm: ArmDiagnosis) -> Markup:
    """The slope as a bar and as a sentence, or why there is none."""
    shown = accounts.parts(document, arm)
    if not shown:
        return tag("p", f"No ledger: {accounts.why_none(document, arm)}.", class_="lead")
    said = accounts.equation(document, arm) or "The accounts of the slope"
    drawn = bar(shown, arm.slope_ms, said, accounts.inside(document, arm))
    return join((drawn or tag("p", "No account grows with N.", class_="lead"), tag("p", said, class_="equation")))


def over_n(document: Document) -> Markup | None:
    """The accounts over N: a drawing and a table for each arm."""
    told = {ledger.arm for ledger in document.ledgers if ledger.accounts or ledger.why or ledger.notes}
    shown = [arm for arm in findings.worst_first(document) if arm.arm in told]
    if not shown:
        return None
    views = [
        tag("button", name, type="button", data_accounts=key, aria_pressed="true" if key == "total" else "false")
        for key, name in (("total", "Total"), ("request", "A request"))
    ]
    switch = tag("div", *views, class_="switch", role="group", aria_label="What the accounts are drawn of")
    heard = tag("p", class_="unseen", id="time-spoken", aria_live="polite")
    parts = (arm_part(document, arm) for arm in shown)
    return section("time", "Where the time goes", tag("div", switch, class_="controls"), *parts, heard, lead=OVER_N)


def arm_part(document: Document, arm: ArmDiagnosis) -> Markup:
    """One arm's accounts over N, as a table, and what its ledger notes."""
    found = accounts.ledger_of(document, arm.arm)
    parts = accounts.parts(document, arm)
    if found is None or not parts:
        return join((tag("h3", fmt.clean(arm.arm)), tag("p", f"No ledger: {accounts.why_none(document, arm)}.", class_="lead")))
    last = {one.account: one.points[-1] for one in found.accounts if one.points}
    n = max((at for at, _ in last.values()), default=None)
    heads = ("Account", "What is charged to it", "ms/request", "Share", *((f"ms at N = {n}",) if n else ()))
    rows = [
        (
            join((swatch(p.account), p.name)),
            accounts.meaning(p.account),
            value(p),
            fmt.percent(p.share),
            *((fmt.significant(last[p.account][1]) if p.account in last else fmt.DASH,) if n else ()),
        )
        for p in parts
    ]
    notes = [accounts.hops_line(document, arm), residual(found.residual), *map(fmt.clean, found.notes)]
    plot = tag(
        "div", class_="areas", data_arm=fmt.clean(arm.arm), tabindex="0", role="img", aria_label=f"Accounts of {fmt.clean(arm.arm)} over N"
    )
    return tag(
        "div",
        tag("h3", fmt.clean(arm.arm)),
        plot if any(one.points for one in found.accounts) else None,
        needs_script(),
        table(heads, rows, kind="accounts", numbers=len(heads) - 2, caption=f"Accounts of {fmt.clean(arm.arm)}"),
        bullets([note for note in notes if note], "notes"),
        class_="arm-time",
    )


def residual(share: float) -> str:
    """How far the charges of its worst trial miss the trial's total."""
    return f"The accounts add up to the total of each trial{'' if share == 0 else f' within {fmt.significant(share * 100, 2)} %'}."


def account_columns(document: Document) -> list[dict[str, object]]:
    """What the script draws: per arm the values of N, and of each account of some size its ms there, in the order of the bar."""
    made: list[dict[str, object]] = []
    for arm in document.diagnosis.arms:
        found = accounts.ledger_of(document, arm.arm)
        order = [p.account for p in accounts.parts(document, arm)]
        if found is None or not any(one.points for one in found.accounts):
            continue
        values = sorted({n for one in found.accounts for n, _ in one.points})
        points = {one.account: dict(one.points) for one in found.accounts}
        rows = [
            {
                "account": account_number(name),
                "name": accounts.name_of(name),
                "hatched": accounts.waits(name),
                "ms": [round(max(0.0, points[name].get(n, 0.0)), 6) for n in values],
            }
            for name in order
            if any(value > 0 for value in points.get(name, {}).values())
        ]
        made.append({"arm": fmt.clean(arm.arm), "n": values, "rows": rows})
    return made

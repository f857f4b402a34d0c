"""The colours of the ledger's accounts: classes of code as in the flame graphs, waits as in the waterfall, and hatched as there."""

from types import MappingProxyType

from loopdiag.model.ledger import ACCOUNTS
from loopdiag.report.accounts import waits
from loopdiag.report.markup import Markup, tag
from loopdiag.report.palette import CLASS_COLOURS, PHASE_COLOURS, mixed, text_on

PAGES = ("#ffffff", "#14171b")  # the page's ground, light and dark
GROUND = 0.66  # how much of the page is in a hatched account's ground
LIFT = 0.4  # how much white a dark wait's colour gets on the dark page

#: account that is no class of code → (on the light page and on paper, on the dark page)
OTHER_COLOURS = MappingProxyType(
    {
        "loop/run-queue": ("#5d6673", "#a7b0bb"),
        "loop/off-cpu": ("#b3261e", "#ff9a90"),
        "executor": ("#8a6d00", "#e3be3a"),
        "pacing": ("#8f7c60", "#b9a58a"),
        "sleep": ("#6f8793", "#8fa9b6"),
        "unexplained": ("#f2545b", "#f2545b"),
    }
)
#: account of the outside → the phase of the waterfall whose colour it has
PHASES_OF = MappingProxyType({"dns": "dns", "connect": "connect", "ssl": "ssl", "send": "send", "server": "wait", "receive": "receive"})

NUMBERS = {name: k for k, name in enumerate(ACCOUNTS)}


def account_number(account: str) -> int:
    """The account's number among ``ACCOUNTS``; one that is not known counts as unexplained."""
    return NUMBERS.get(account, NUMBERS["unexplained"])


def account_colours(account: str) -> tuple[str, str]:
    """The account's colour on the light page and on paper, and on the dark page."""
    if account in PHASES_OF:
        light = PHASE_COLOURS[PHASES_OF[account]]
        return light, mixed(light, "#ffffff", LIFT)
    known = OTHER_COLOURS.get(account) or CLASS_COLOURS.get(account.removeprefix("loop/"))
    return known or OTHER_COLOURS["unexplained"]


def account_ground(account: str, page: int) -> str:
    """What lies under text in the account's colour: that colour, or where it is hatched a light mixture with the page."""
    colour = account_colours(account)[page]
    return mixed(colour, PAGES[page], GROUND) if waits(account) else colour


def account_fill(account: str) -> str:
    """What an SVG shape of the page is filled with."""
    number = account_number(account)
    return f"url(#hatch-{number})" if waits(account) else f"var(--account-{number})"


def hatches() -> Markup:
    """The patterns of the waits, once a page."""
    made = [pattern(name) for name in ACCOUNTS if waits(name)]
    return tag("svg", tag("defs", *made), class_="unseen", width="0", height="0", aria_hidden="true")


def pattern(account: str) -> Markup:
    """Stripes on a light ground; dots for what is unexplained."""
    number = account_number(account)
    ground = tag("rect", width="7", height="7", fill=f"var(--ground-{number})")
    if account == "unexplained":
        mark = tag("circle", cx="3.5", cy="3.5", r="1.3", fill=f"var(--account-{number})")
    else:
        mark = tag("path", d="M-1 1L1 -1M0 7L7 0M6 8L8 6", stroke=f"var(--account-{number})", stroke_width="1.4")
    return tag("pattern", ground, mark, id=f"hatch-{number}", width="7", height="7", patternUnits="userSpaceOnUse")


def account_style() -> str:
    """The accounts' colours as style sheet variables ``--account-3``, ``--ground-3`` and ``--on-account-3``, for both themes."""
    light, dark = (" ".join(variables(name, page) for name in ACCOUNTS) for page in (0, 1))
    media = f'@media (prefers-color-scheme: dark) {{ :root:not([data-theme="light"]) {{ {dark} }} }}'
    marks = " ".join(
        f".account-{k} {{ color: var(--on-account-{k}); --account: var(--account-{k}); --ground: var(--ground-{k}); }}"
        for k in range(len(ACCOUNTS))
    )
    return f':root {{ {light} }}\n:root[data-theme="dark"] {{ {dark} }}\n{media}\n{marks}\n'


def variables(account: str, page: int) -> str:
    """One account on one theme."""
    number, ground = account_number(account), account_ground(account, page)
    return f"--account-{number}: {account_colours(account)[page]}; --ground-{number}: {ground}; --on-account-{number}: {text_on(ground)};"

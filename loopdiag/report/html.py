"""The report as one HTML file: no network, no framework, a strict content security policy, readable without scripts."""

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from string import Template

from loopdiag.model.document import Document
from loopdiag.report import content, programs
from loopdiag.report.account_style import account_style
from loopdiag.report.markup import Markup, join, tag
from loopdiag.report.naming import named
from loopdiag.report.page_data import embedded
from loopdiag.report.page_sections import sections
from loopdiag.report.palette import class_style

ASSETS = files("loopdiag.report") / "assets"

LONG = 160  # characters from which the answer is set smaller

#: in the order in which they use each other; they share one scope
SCRIPTS = (
    "dom.js",
    "numbers.js",
    "columns.js",
    "curves.js",
    "loop.js",
    "layouts.js",
    "chain.js",
    "scaling.js",
    "readout.js",
    "areas.js",
    "view.js",
    "ink.js",
    "paint.js",
    "tracks.js",
    "tip.js",
    "lane_tip.js",
    "moment_tip.js",
    "describe.js",
    "interest.js",
    "waterfall.js",
    "choice.js",
    "path.js",
    "gestures.js",
    "flame_columns.js",
    "flame_paint.js",
    "flame_words.js",
    "flame_search.js",
    "flame_time.js",
    "flame.js",
    "flame_keys.js",
    "state.js",
    "page.js",
)


def asset(name: str) -> str:
    """A file of the package's assets."""
    return (ASSETS / name).read_text(encoding="utf-8")


def script() -> str:
    """All scripts as one, in a scope of their own."""
    return '"use strict";\n(() => {\n' + "\n".join(asset(name) for name in SCRIPTS) + "\n})();\n"


def digest(text: str) -> str:
    """The hash by which the policy knows an inline style or script."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def policy(style: str, code: str) -> str:
    """Nothing may be loaded or sent; only this very style and script may act."""
    return f"default-src 'none'; style-src {digest(style)}; script-src {digest(code)}; img-src data:; base-uri 'none'; form-action 'none'"


def head(document: Document) -> Markup:
    """Scenario, question and the answer."""
    diagnosis, run, answer = document.diagnosis, document.recording, content.answer(document)
    when = tag("p", f"{diagnosis.scenario} · {run.started} · loopdiag {run.loopdiag}", class_="when")
    told = programs.command(document)
    return join(
        (
            when,
            tag("p", tag("code", told), f" · {programs.seen(document)}", class_="when") if told else None,
            tag("p", diagnosis.question, class_="question"),
            tag("h1", answer, id="answer", class_="long" if len(answer) > LONG else None),
        )
    )


def render(document: Document) -> str:
    """The whole page."""
    document = named(document)
    style, code = asset("page.css") + asset("answer.css") + class_style() + account_style(), script()
    # The policy is made of hashes of the very text between the tags, so the template puts nothing around it.
    return Template(asset("page.html")).substitute(
        policy=Markup(policy(style, code)),
        title=join((f"loopdiag: {document.diagnosis.scenario}",)),
        style=style,
        head=head(document),
        sections=sections(document),
        data=embedded(document),
        script=code,
    )

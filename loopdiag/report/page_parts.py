"""What the page's sections are built of: titled sections, tables, pairs, lists."""

from collections.abc import Iterable, Sequence

from loopdiag.report.markup import Markup, tag

Cells = Sequence[object]


def section(key: str, title: str, *children: object, lead: str | None = None) -> Markup:
    """A titled section that can be linked to."""
    return tag("section", tag("h2", title), tag("p", lead, class_="lead") if lead else None, *children, id=key)


def table(heads: Sequence[str], rows: Iterable[Cells], *, kind: str = "", numbers: int = 0, caption: str) -> Markup:
    """A table; the last `numbers` columns are right-aligned; each cell knows its head, for narrow screens."""
    first = len(heads) - numbers
    styles = ["number" if k >= first else None for k in range(len(heads))]
    head = tag("tr", *(tag("th", name, scope="col", class_=style) for name, style in zip(heads, styles, strict=True)))
    body = [
        tag(
            "tr",
            *(
                tag("th", cell, scope="row") if k == 0 else tag("td", tag("div", cell), class_=styles[k], data_label=heads[k])
                for k, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    made = tag("table", tag("caption", caption, class_="unseen"), tag("thead", head), tag("tbody", *body), class_=kind or None)
    return tag("div", made, class_="scroll")


def pairs(rows: Iterable[tuple[str, object]]) -> Markup:
    """Names and values side by side."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in rows))


def bullets(lines: Iterable[object], kind: str | None = None) -> Markup:
    """A list."""
    return tag("ul", *(tag("li", line) for line in lines), class_=kind)


def needs_script() -> Markup:
    """What stands in the place of a drawing where scripts are off."""
    return tag("noscript", tag("p", "This drawing needs JavaScript; the figures folder holds it as SVG and PNG."))

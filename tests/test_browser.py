"""The page in a headless Chromium: opens from disk, asks for nothing, draws, answers to pointer and keys."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import documents
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from required import missing

from loopdiag.report.html import render

pytestmark = pytest.mark.browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the module; its driver's process ends with it, and so does the driver's event loop in this thread."""
    if CHROMIUM is None:
        missing("no Chromium found (chromium, chromium-browser or google-chrome)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Rendered pages by the name of their document, each made once."""
    folder = tmp_path_factory.mktemp("pages")

    def file(name: str) -> Path:
        path = folder / f"{name}.html"
        if not path.exists():
            path.write_text(render(getattr(documents, name)()), encoding="utf-8")
        return path

    return file


@pytest.fixture
def visit(browser: Browser, files: Callable[[str], Path]) -> Iterator[Open]:
    """Opens a document's page from disk; at the end nothing was complained about and nothing but the file was asked for."""
    faults: list[str] = []
    requests: list[str] = []
    opened = []

    def visit_page(name: str, *, width: int = 1280, height: int = 900, scheme: str = "light", script: bool = True) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=script)  # type: ignore[arg-type]
        opened.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(f"page error: {error}"))
        page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(files(name).as_uri())
        return page

    yield visit_page
    for context in opened:
        context.close()
    assert faults == []
    assert opened
    assert all(url.startswith("file://") and url.endswith(".html") for url in requests)
    assert len(requests) == len(opened)


def settle(page: Page) -> None:
    """Wait until what was asked for is drawn: two frames, without a clock."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def drawing(page: Page) -> str:
    """The waterfall's pixels."""
    settle(page)
    return str(page.evaluate("() => document.getElementById('canvas').toDataURL()"))


def colours(page: Page) -> int:
    """How many different colours the waterfall's rows show."""
    settle(page)
    count = """() => {
        const canvas = document.getElementById('canvas');
        const { data } = canvas.getContext('2d').getImageData(60, 60, canvas.width - 60, canvas.height - 60);
        const seen = new Set();
        for (let k = 0; k < data.length; k += 4) seen.add(`${data[k]},${data[k + 1]},${data[k + 2]}`);
        return seen.size;
    }"""
    return int(page.evaluate(count))


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return int(page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth"))


def state(page: Page) -> dict[str, Any]:
    """What the waterfall says that it shows."""
    settle(page)
    shown: dict[str, Any] = page.evaluate("() => window.loopdiag.state()")
    return shown


def move_over(page: Page, element: str, share: float, y: int) -> None:
    """Move the pointer over a canvas: `share` of its time axis, `y` pixels from its top, wherever the page is scrolled to."""
    page.evaluate("(id) => document.getElementById(id).scrollIntoView({ block: 'center' })", element)
    box = page.locator(f"#{element}").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 44 + share * (box["width"] - 44), box["y"] + y)
    settle(page)


@pytest.mark.parametrize("name", [*documents.EDGES, "full"])
def test_every_page_opens_clean_and_fits(visit: Open, name: str) -> None:
    # no error, no request, no dialog, and nothing wider than the window, on a telephone, and when the window grows and shrinks
    page = visit(name, width=390)
    for width in (390, 1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        settle(page)
        assert overflow(page) <= 0
    assert page.locator("#answer").is_visible()
    assert page.locator("img").count() == 0


def test_the_waterfall_draws_800_rows(visit: Open) -> None:
    # each of 800 rows has at least one pixel line, in several phases' colours
    page = visit("full")
    assert "800 attempts" in page.inner_text("#facts")
    assert page.evaluate("() => document.getElementById('canvas').clientHeight") >= 800
    assert colours(page) >= 5


@pytest.mark.parametrize("way", ["wheel", "drag", "button", "key", "interest"])
def test_zoom_changes_the_drawing_and_fit_restores_it(visit: Open, way: str) -> None:
    # each way to zoom shows something else, and `Fit` shows everything again
    page = visit("full")
    whole = drawing(page)
    canvas = page.locator("#canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + 500, box["y"] + 300
    page.mouse.move(x, y)
    if way == "wheel":
        page.keyboard.down("Control")
        page.mouse.wheel(0, -300)
        page.keyboard.up("Control")
    elif way == "drag":
        page.mouse.down()
        page.mouse.move(x + 150, y + 120, steps=4)
        page.mouse.up()
    elif way == "button":
        page.click("[data-zoom=in]")
    elif way == "key":
        canvas.press("+")
    else:
        page.click("[data-interest=slowest]")
    page.mouse.move(0, 0)
    canvas.press("Escape")
    page.evaluate("() => document.activeElement.blur()")
    near = drawing(page)
    page.click("[data-zoom=fit]")
    assert near != whole
    assert drawing(page) == whole


def test_pan_moves_what_is_zoomed(visit: Open) -> None:
    # arrows pan a zoomed view in time; a whole view has nowhere to go
    page = visit("full")
    canvas = page.locator("#canvas")
    canvas.focus()
    whole = drawing(page)
    canvas.press("ArrowRight")
    assert drawing(page) == whole
    canvas.press("+")
    near = drawing(page)
    canvas.press("ArrowRight")
    moved = drawing(page)
    assert moved not in {near, whole}
    canvas.press("ArrowLeft")
    assert drawing(page) == near


def test_a_plain_wheel_scrolls_the_page_until_the_waterfall_is_clicked(visit: Open) -> None:
    # the waterfall does not catch a reader who scrolls by
    page = visit("full")
    whole = drawing(page)
    page.locator("#canvas").scroll_into_view_if_needed()
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 10, box["y"] + 30)
    page.mouse.wheel(0, -200)
    assert drawing(page) == whole


def test_hover_shows_every_phase_and_stamp(visit: Open) -> None:
    # the row under the pointer tells its phases, stamps and their lengths; leaving hides them
    page = visit("full")
    page.hover("#canvas", position={"x": 500, "y": 300})
    tip = page.locator("#tip")
    assert tip.is_visible()
    text = tip.inner_text()
    for word in (
        "Request ",
        "status 200",
        "connection ",
        "pool",
        "ssl",
        "wait",
        "kernel",
        "created",
        "rx_kernel",
        "first_byte",
        "done",
        "sum",
    ):
        assert word in text
    page.hover("h1")
    assert tip.is_hidden()


def test_the_shown_times_are_the_recorded_ones(visit: Open) -> None:
    # stamps and phases stand in the box as they were recorded, to the microsecond
    line = documents.small().timelines[0]
    page = visit("small")
    page.focus("#canvas")
    for attempt in line.attempts[:3]:
        page.press("#canvas", "ArrowDown")
        rows = [row.split() for row in page.locator("#tip tr").all_inner_texts()]
        shown = {row[0]: float(row[1]) for row in rows if row[0] in attempt.stamps}
        assert shown == {name: pytest.approx(at / 1e6, abs=6e-4) for name, at in attempt.stamps.items()}
        lengths = {row[0]: float(row[1]) for row in rows if row[0] in {phase.name for phase in attempt.phases}}
        assert lengths == {phase.name: pytest.approx((phase.end_ns - phase.start_ns) / 1e6, abs=1.1e-3) for phase in attempt.phases}


def test_hover_names_the_row_under_the_pointer(visit: Open) -> None:
    # rows are requests by start, from top to bottom
    page = visit("full")
    seen = []
    for y in (50, 250, 650):
        page.hover("#canvas", position={"x": 300, "y": y})
        seen.append(int(page.inner_text("#tip h4").split(":")[0].removeprefix("Request ")))
    assert seen == [pytest.approx(row, abs=3) for row in (26, 226, 626)]


def test_any_trial_can_be_chosen(visit: Open) -> None:
    # arm and N choose the trial that is drawn; the largest N comes first
    page = visit("full")
    arms = page.locator("#pick-arm option").all_inner_texts()
    assert arms == [arm.name for arm in documents.ARMS]
    assert page.locator("#pick-n").input_value() == "800"
    first = drawing(page)
    page.select_option("#pick-n", "100")
    assert "100 attempts" in page.inner_text("#facts")
    second = drawing(page)
    page.select_option("#pick-arm", "aiohttp/uvloop")
    assert page.locator("#pick-n").input_value() == "100"
    assert len({first, second, drawing(page)}) == 3


def test_the_keyboard_reaches_every_row(visit: Open) -> None:
    # rows can be chosen, read aloud and left by keys alone
    page = visit("small")
    canvas = page.locator("#canvas")
    canvas.focus()
    canvas.press("ArrowDown")
    assert page.inner_text("#tip h4") == "Request 1: status 200"
    canvas.press("ArrowDown")
    assert page.inner_text("#tip h4") == "Request 2: status 200"
    assert "Request 2: status 200" in page.locator("#spoken").text_content()  # type: ignore[operator] # the element is always there
    canvas.press("End")
    assert page.inner_text("#tip h4") == "Request 25: status 200"
    canvas.press("Escape")
    assert page.locator("#tip").is_hidden()


def test_everything_that_acts_can_be_focused(visit: Open) -> None:
    # Tab visits theme, plot switch, plot, selectors, zoom, interest and canvas, in the order of the page
    page = visit("full")
    seen = []
    for _ in range(18):
        page.keyboard.press("Tab")
        name = """() => {
            const { id, dataset, tagName } = document.activeElement;
            return id || dataset.scale || dataset.by || dataset.zoom || dataset.interest || tagName;
        }"""
        seen.append(page.evaluate(name))
    assert [name for name in seen if name != "DIV"][:16] == [
        "theme", "linear", "log", "plot", "pick-arm", "pick-n", "request", "connection", "in", "out", "fit", "slowest", "last", "blocked",
        "canvas", "tracks",
    ]  # fmt: skip


def test_requests_of_interest_are_one_click_away(visit: Open) -> None:
    # errors and retries are counted, and a click shows them, one after the other
    page = visit("troubled")
    assert page.locator("[data-interest=errors]").inner_text() == "Errors: 3"
    page.click("[data-interest=errors]")
    first = page.inner_text("#tip h4")
    page.click("[data-interest=errors]")
    assert first != page.inner_text("#tip h4")
    page.click("[data-interest=retried]")
    assert page.inner_text("#tip h4") == "Request 5, attempt 2: status 503"
    page.click("[data-interest=redirected]")
    assert page.inner_text("#tip h4") == "Request 6, attempt 2, redirect 1: status 200"
    assert page.locator("[data-interest=blocked]").is_disabled()
    assert "Broken invariant: request 4" in (page.locator("#faults").text_content() or "")


def test_the_legend_explains_each_phase_that_occurs(visit: Open) -> None:
    # every colour of the waterfall has its meaning under it
    page = visit("full")
    legend = page.inner_text("#legend")
    for phase, meaning in (("pool", "waits for a connection of the pool"), ("ssl", "TLS handshake"), ("decode", "decodes the body")):
        assert phase in legend
        assert meaning in legend


def test_the_plot_switches_axes_and_reads_values(visit: Open) -> None:
    # linear and log-log are different drawings of the same data, with the values under the pointer or by keys
    page = visit("full")
    plot = page.locator("#plot")
    linear = plot.locator("svg").inner_html()
    assert plot.locator(".dot").count() == sum(len(p.total_s) for arm in documents.full().diagnosis.arms for p in arm.points)
    page.click("[data-scale=log]")
    assert page.get_attribute("[data-scale=log]", "aria-pressed") == "true"
    assert plot.locator("svg").inner_html() != linear
    assert "NaN" not in plot.inner_html()
    page.hover("#plot svg", position={"x": 860, "y": 200})
    text = plot.locator(".tip").inner_text()
    assert text.startswith("N = 800")
    assert "not measured" in text
    assert "aiohttp/uvloop" in text
    plot.focus()
    plot.press("ArrowLeft")
    assert plot.locator(".tip").inner_text().startswith("N = 600")
    assert (page.text_content("#scaling-spoken") or "").startswith("N = 600; httpx/asyncio, median ")
    plot.press("Escape")
    assert plot.locator(".tip").is_hidden()


def ground(page: Page) -> int:
    """How bright the page's ground is, 0 to 255."""
    return int(page.evaluate("() => Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"))


def test_dark_mode_follows_the_system_and_the_button(visit: Open) -> None:
    # the page is dark where the system is, the button turns it, and the waterfall is drawn anew
    page = visit("small", scheme="dark")
    dark = drawing(page)
    assert ground(page) < 60
    page.click("#theme")
    assert ground(page) > 200
    light = drawing(page)
    assert light != dark
    page.click("#theme")
    assert drawing(page) == dark


def test_without_scripts_the_answer_is_readable(visit: Open) -> None:
    # the text of the report does not depend on scripts, and the drawings say where else they are
    page = visit("small", script=False)
    assert page.locator("#answer").inner_text() == documents.small().diagnosis.answer
    assert page.locator("noscript").count() == 2
    assert "needs JavaScript" in page.locator("#waterfall").inner_text()


def test_touch_chooses_a_row_on_a_telephone(browser: Browser, files: Callable[[str], Path]) -> None:
    # a tap shows the row's phases, inside the window
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, device_scale_factor=2)
    page = context.new_page()
    page.goto(files("full").as_uri())
    page.locator("#canvas").scroll_into_view_if_needed()
    page.tap("#canvas", position={"x": 120, "y": 300})
    assert page.locator("#tip").is_visible()
    assert overflow(page) <= 0
    context.close()


def test_connections_are_lanes_with_what_they_carried(visit: Open) -> None:
    # each connection is a lane by its opening, its requests in the order in which it carried them, nothing overlapping on HTTP/1.1
    line = documents.small().timelines[2]
    page = visit("small")
    page.select_option("#pick-arm", line.arm)
    page.click("[data-by=connection]")
    assert page.get_attribute("[data-by=connection]", "aria-pressed") == "true"
    shown = state(page)
    assert shown["by"] == "connection"
    assert shown["units"] == len(line.connections) == len(shown["lanes"])
    carried = Counter(attempt.connection for attempt in line.attempts)
    assert {lane["number"]: len(lane["requests"]) for lane in shown["lanes"]} == dict(carried)
    assert [lane["begin"] for lane in shown["lanes"]] == sorted(lane["begin"] for lane in shown["lanes"])
    assert {lane["depth"] for lane in shown["lanes"]} == {1}
    assert shown["bars"]["ssl"] == len(line.connections)
    assert "pool" not in shown["bars"]
    page.click("[data-by=request]")
    assert state(page)["units"] == len(line.attempts)


def test_closed_connections_end_where_they_closed(visit: Open) -> None:
    # httpx closes after each request: every lane has its end
    line = documents.small().timelines[0]
    page = visit("small")
    page.click("[data-by=connection]")
    closed = {link.number: pytest.approx(link.stamps["closed"] / 1e3, abs=0.51) for link in line.connections}
    assert {lane["number"]: lane["closed"] for lane in state(page)["lanes"]} == closed


def test_streams_of_one_connection_are_stacked(visit: Open) -> None:
    # over HTTP/2 a lane is as deep as its connection carried streams at once
    page = visit("shared")
    page.click("[data-by=connection]")
    shown = state(page)
    assert [(lane["number"], lane["depth"], len(lane["requests"])) for lane in shown["lanes"]] == [(1, 20, 30), (2, 20, 30)]
    assert shown["units"] == 40


def test_hover_on_a_lane_tells_its_request_or_its_connection(visit: Open) -> None:
    # over a request the box is the request's; over the set-up it is the connection's, with its stamps and its socket
    page = visit("shared")
    page.click("[data-by=connection]")
    move_over(page, "canvas", 0.5, 30)
    assert page.inner_text("#tip h4").startswith("Request ")
    move_over(page, "canvas", 0.06, 28)
    assert page.inner_text("#tip h4") == "Connection 1, opened by request 1"
    text = page.inner_text("#tip")
    for said in ("carried 30 attempts", "at most 20 at once", "round trip 61.0 µs, 2 retransmits", "dns_start", "tls_end", "made"):
        assert said in text


def test_hover_tells_whom_a_request_waited_on(visit: Open) -> None:
    # a request that shares a connection says which, and who opened it; flags are words; the kernel's wait is a length
    page = visit("shared")
    page.focus("#canvas")
    for _ in range(3):
        page.press("#canvas", "ArrowDown")
    text = page.inner_text("#tip")
    assert "waited on connection 2, opened by request 2" in text
    assert "HTTP/2" in text
    assert "first byte 340 µs in the kernel before the loop read it" in text
    assert "waited on connection 2" in (page.locator("#spoken").text_content() or "")


def test_hover_tells_bounds_where_the_kernel_is_silent(visit: Open) -> None:
    # without kernel stamps the lag of the first byte is a range
    page = visit("small")
    page.select_option("#pick-arm", "aiohttp/uvloop")
    page.press("#canvas", "ArrowDown")
    assert "first byte readable 12.0 µs to 310 µs before its callback" in page.inner_text("#tip")


def test_curves_show_what_is_in_flight_and_what_waits(visit: Open) -> None:
    # the maxima are those of the recorded stamps, and they are said in words too
    line = documents.full().timelines[5]
    page = visit("full")
    page.select_option("#pick-arm", line.arm)
    curves = {curve["name"]: curve for curve in state(page)["curves"]}
    moments = [(a.stamps[begin], step) for a in line.attempts for begin, step in (("send_start", 1), ("last_byte", -1))]
    most, counted = 0, 0
    for _, step in sorted(moments):
        counted += step
        most = max(most, counted)
    assert curves["requests in flight"]["most"] == pytest.approx(most, abs=1)
    assert curves["waiting in the pool"]["most"] > 600
    assert curves["queued in executors"]["most"] >= 1
    assert f"at most {curves['requests in flight']['most']} in flight" in page.inner_text("#facts")


def test_the_loops_lane_shows_what_blocked(visit: Open) -> None:
    # long iterations are blocks, one click away: when, how long, how many callbacks; the rest of the loop is described
    line = documents.small().timelines[0]
    page = visit("small")
    loop = state(page)["loop"]
    assert line.iterations is not None
    assert (loop["count"], loop["single"], loop["pauses"]) == (len(line.iterations.start_ns), True, len(line.pauses))
    assert [block[1] for block in loop["blocked"]] == [documents.BLOCKED_NS // 1000]
    assert loop["ran"] == pytest.approx(sum(line.iterations.run_ns) / line.total_ns, abs=0.01)
    page.click("[data-interest=blocked]")
    assert "ran 24.0 ms from" in page.inner_text("#tip")
    assert "callbacks ready" in page.inner_text("#tip")
    assert "ran 24.0 ms" in (page.locator("#spoken").text_content() or "")
    assert state(page)["view"]["x1"] - state(page)["view"]["x0"] == pytest.approx(3 * documents.BLOCKED_NS / 1e3, rel=0.01)
    assert "longest 24.0 ms" in page.inner_text("#facts")


def test_hover_on_the_tracks_reads_them_all(visit: Open) -> None:
    # one box tells every track at the pointer's time, and a line through all panes shows that time
    page = visit("small")
    move_over(page, "tracks", 0.4, 40)
    text = page.inner_text("#tip")
    for name in ("At ", "requests in flight", "waiting in the pool", "queued in executors", "loop"):
        assert name in text
    assert page.locator("#cursor").is_visible()
    page.hover("h1")
    assert page.locator("#tip").is_hidden()
    assert page.locator("#cursor").is_hidden()


def test_zooming_the_tracks_zooms_the_time_of_all(visit: Open) -> None:
    # a drag on the tracks narrows the one time axis and leaves the rows
    page = visit("full")
    before = state(page)["view"]
    page.evaluate("() => document.getElementById('tracks').scrollIntoView({ block: 'center' })")
    box = page.locator("#tracks").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 500, box["y"] + 40, steps=3)
    page.mouse.up()
    after = state(page)["view"]
    assert before["x0"] < after["x0"] < after["x1"] < before["x1"]
    assert (after["y0"], after["y1"]) == (before["y0"], before["y1"])


def test_the_last_request_and_whom_it_waited_for(visit: Open) -> None:
    # the chain goes back along the connection's leases to a request that opened it; it says what it is, and each click follows a link
    line = documents.full().timelines[5]
    rows = {attempt.request: attempt for attempt in line.attempts}
    page = visit("full")
    page.select_option("#pick-arm", line.arm)
    page.click("[data-interest=last]")
    chain = state(page)["chain"]
    assert rows[chain[0]].stamps["done"] == max(attempt.stamps["done"] for attempt in line.attempts)
    for later, earlier in pairwise(chain):
        assert rows[later].connection == rows[earlier].connection
        assert rows[later].stamps["enqueued"] < rows[earlier].stamps["released"] <= rows[later].stamps["assigned"]
    opened = {link.number: link.request for link in line.connections}
    assert chain[-1] == opened[rows[chain[0]].connection or 0]
    assert f"Request {chain[0]} ended last." in page.inner_text("#chain")
    assert "Not yet the critical path" in page.inner_text("#chain")
    page.click("[data-interest=last]")
    page.click("[data-interest=last]")
    assert page.inner_text("#tip h4").startswith(f"Request {chain[1]}:")
    page.press("#canvas", "Escape")
    assert state(page)["chain"] == []


def test_keys_reach_the_lanes(visit: Open) -> None:
    # C lays out by connection, arrows choose lanes and say them, Enter goes through a lane's requests
    page = visit("shared")
    canvas = page.locator("#canvas")
    canvas.press("c")
    assert state(page)["by"] == "connection"
    canvas.press("ArrowDown")
    assert page.inner_text("#tip h4") == "Connection 1, opened by request 1"
    assert "carried 30 attempts" in (page.locator("#spoken").text_content() or "")
    canvas.press("ArrowDown")
    assert state(page)["chosen"] == {"request": None, "connection": 2}
    canvas.press("Enter")
    assert state(page)["chosen"] == {"request": 2, "connection": None}
    canvas.press("Enter")
    assert state(page)["chosen"]["request"] == 3
    canvas.press("ArrowUp")
    assert state(page)["chosen"] == {"request": None, "connection": 1}
    canvas.press("c")
    assert state(page)["by"] == "request"


def test_a_tap_on_a_telephone_reads_the_tracks(browser: Browser, files: Callable[[str], Path]) -> None:
    # touch reaches the tracks and the lanes too, and nothing is wider than the window
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, device_scale_factor=2)
    page = context.new_page()
    page.goto(files("small").as_uri())
    page.tap("[data-by=connection]")
    assert state(page)["by"] == "connection"
    page.locator("#tracks").scroll_into_view_if_needed()
    page.tap("#tracks", position={"x": 200, "y": 30})
    assert page.inner_text("#tip h4").startswith("At ")
    assert overflow(page) <= 0
    context.close()


def test_two_fingers_zoom_and_one_pans(browser: Browser, files: Callable[[str], Path]) -> None:
    # spreading two fingers shows less time around them; one finger then moves it
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.goto(files("full").as_uri())
    page.evaluate("() => document.getElementById('canvas').scrollIntoView()")
    fingers = context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[int, int]) -> None:
        fingers.send(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(points)]}
        )

    whole = state(page)["view"]
    touch("touchStart", (180, 300), (220, 300))
    for spread in (30, 50, 70):
        touch("touchMove", (200 - spread, 300), (200 + spread, 300))
    touch("touchEnd")
    near = state(page)["view"]
    assert near["x1"] - near["x0"] < 0.6 * (whole["x1"] - whole["x0"])
    touch("touchStart", (250, 300))
    for x in (230, 200, 170):
        touch("touchMove", (x, 300))
    touch("touchEnd")
    assert state(page)["view"]["x0"] > near["x0"]
    context.close()


def test_the_critical_path_is_drawn_on_the_waterfall(visit: Open) -> None:
    # the button draws the ledger's path through its requests, tells them and the shares, on rows and lanes; Escape and P take it away
    document = documents.explained()
    (ledger,) = (trial for arm in document.ledgers for trial in arm.trials if (trial.arm, trial.n) == ("aiohttp/asyncio", 200))
    requests = [step.request for step in reversed(ledger.steps) if step.request is not None]
    expected = [request for request, after in pairwise([*requests, None]) if request != after]
    page = visit("explained")
    page.select_option("#pick-arm", "aiohttp/asyncio")
    plain = drawing(page)
    assert page.locator("#path-key").is_hidden()
    page.click("#path")
    assert drawing(page) != plain
    shown = state(page)["path"]
    assert shown["requests"] == expected
    assert shown["drawn"] >= len(expected)
    assert f"from the request that ended last back to the first: {expected[0]} ←" in page.inner_text("#chain")
    assert "server" in page.inner_text("#path-key")
    assert page.get_attribute("#path", "aria-pressed") == "true"
    page.click("[data-by=connection]")
    assert state(page)["path"]["drawn"] >= len(expected)
    page.click("[data-by=request]")
    page.press("#canvas", "Escape")
    page.evaluate("() => document.activeElement.blur()")
    assert state(page)["path"] is None
    assert drawing(page) == plain
    page.press("#canvas", "p")
    assert state(page)["path"]["requests"] == expected
    page.click("[data-interest=slowest]")
    assert state(page)["path"] is None


def test_without_a_ledger_there_is_no_path_to_draw(visit: Open) -> None:
    # the button is not there, and its key does nothing
    page = visit("small")
    assert page.locator("#path").is_hidden()
    page.press("#canvas", "p")
    assert state(page)["path"] is None


@pytest.mark.parametrize("width", [390, 1280])
def test_the_bars_names_fit_into_their_parts(visit: Open, width: int) -> None:
    # no label is cut, and the widest account has one
    page = visit("explained", width=width)
    outside = """() => [...document.querySelectorAll("svg.account")].flatMap((part) => [...part.querySelectorAll("text")].filter((text) =>
        getComputedStyle(text).display !== "none" && text.getBoundingClientRect().right > part.querySelector("rect").getBoundingClientRect().right
    ).map((text) => text.textContent))"""
    assert page.evaluate(outside) == []
    assert page.locator("svg.account text:visible", has_text="pool 82 %").count() >= 1
    assert page.evaluate("() => [...document.querySelectorAll('svg.account > rect')].every((box) => box.getBoundingClientRect().width > 0)")


def test_accounts_over_n_are_drawn_and_read(visit: Open) -> None:
    # an area for each account, the total or a request; arrow keys read the values of an N, which add up
    page = visit("explained")
    plot = page.locator(".areas").first
    assert plot.locator("path.edge").count() == 14
    before = plot.locator("path.edge").last.get_attribute("d")
    page.click("[data-accounts=request]")
    assert page.locator(".areas").first.locator("path.edge").last.get_attribute("d") != before
    assert "T/N, ms" in (plot.text_content() or "")
    plot.press("ArrowLeft")
    assert plot.locator(".tip h4").inner_text() == "N = 600"
    cells = plot.locator(".tip tbody tr").all_inner_texts()
    *parts, total = [float(cell.split("\t")[1]) for cell in cells]
    assert sum(parts) == pytest.approx(total, rel=0.01)
    assert "; sum, ms " in (page.text_content("#time-spoken") or "")
    plot.press("Escape")
    assert plot.locator(".tip").is_hidden()


def test_prescriptions_stand_beside_their_arms_in_the_plot(visit: Open) -> None:
    # dashed lines with diamonds in the arm's colour, on linear and logarithmic axes, named at their ends
    page = visit("explained")
    for scale in ("log", "linear"):
        page.click(f"[data-scale={scale}]")
        assert page.locator("#plot g.prescribed path.fit").count() == 2
        assert page.locator("#plot g.prescribed path.dot").count() == 12
        assert "httpx/asyncio, prescribed" in page.locator("#plot").inner_text()
    colours_of = "() => ['.prescribed .fit', '.fit'].map((one) => getComputedStyle(document.querySelector(`#plot ${one}`)).stroke)"
    assert len(set(page.evaluate(colours_of))) == 1


def test_the_answer_is_there_without_scripts(visit: Open) -> None:
    # sentence, bar, causes with their dots and the prescription need no script
    page = visit("explained", script=False)
    assert page.locator("#why article").count() == 4
    assert page.locator("svg.ledger").first.is_visible()
    assert page.locator(".badge", has_text="CONFIRMED").count() == 6
    assert page.locator(".diff .added").first.is_visible()
    assert "the connection pool" in page.locator("table.accounts").first.inner_text()

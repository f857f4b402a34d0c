// Pointer, wheel, keys and buttons of the waterfall. Under it, on the tracks, the same gestures move the time only.
const CLICK = 4; // pixels that a click may wander

function zoomCentre(fall, factor) {
  const { view, bounds } = fall;
  fall.move(zoomed(view, bounds, (view.x0 + view.x1) / 2, (view.y0 + view.y1) / 2, factor, factor));
}

function zoomAt(fall, x, y, factor, timeOnly) {
  const { time, unit } = fall.locate(x, y);
  fall.move(zoomed(fall.view, fall.bounds, time, unit, factor, timeOnly ? 1 : factor));
}

function listenToWheel(fall, canvas) {
  const timeOnly = canvas === fall.under;
  canvas.addEventListener(
    "wheel",
    (event) => {
      // A plain wheel scrolls the page until the reader has clicked into the waterfall.
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
      event.preventDefault();
      zoomAt(fall, event.offsetX, event.offsetY, Math.exp(clamp(event.deltaY, -200, 200) / 400), timeOnly || event.shiftKey);
    },
    { passive: false },
  );
}

// What a pointer that is held down does: pan by touch or Shift, else drag a rectangle; two fingers zoom.
function listenToPointer(fall, canvas) {
  const timeOnly = canvas === fall.under;
  const fingers = new Map();
  let held = null;
  const apart = () => {
    const [a, b] = [...fingers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, gap: Math.max(10, Math.hypot(a.x - b.x, a.y - b.y)) };
  };
  const point = (event) => ({ x: event.offsetX, y: event.offsetY });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    fingers.set(event.pointerId, point(event));
    const { x, y } = point(event);
    held = { x, y, lastX: x, lastY: y, pans: event.shiftKey || event.pointerType === "touch", moved: fingers.size > 1 };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const { x, y } = point(event);
    if (!held) {
      if (event.pointerType !== "touch") timeOnly ? fall.hoverTracks(x, y) : fall.hover(x, y);
      return;
    }
    if (fingers.size > 1) {
      const before = apart();
      fingers.set(event.pointerId, { x, y });
      const now = apart();
      zoomAt(fall, now.x, now.y, before.gap / now.gap, timeOnly);
      return;
    }
    held.moved ||= Math.hypot(x - held.x, y - held.y) > CLICK;
    if (held.moved) drag(fall, held, x, y, timeOnly);
    [held.lastX, held.lastY] = [x, y];
    fingers.set(event.pointerId, { x, y });
  });
  const ended = (event) => {
    const last = held;
    fingers.delete(event.pointerId);
    if (fingers.size) return;
    held = null;
    if (!last || event.type === "pointercancel") stopDrag(fall);
    else if (fall.drag || fall.trackDrag) zoomToDrag(fall);
    else if (!last.moved) timeOnly ? fall.clickTracks(event.offsetX) : fall.click(event.offsetX, event.offsetY);
  };
  canvas.addEventListener("pointerup", ended);
  canvas.addEventListener("pointercancel", ended);
  canvas.addEventListener("pointerleave", () => !held && (timeOnly ? fall.hoverTracks(-1, -1) : fall.hover(-1, -1)));
  canvas.addEventListener("dblclick", () => fall.move({ ...fall.bounds }));
}

function drag(fall, held, x, y, timeOnly) {
  if (held.pans) {
    const [from, to] = [fall.locate(held.lastX, held.lastY), fall.locate(x, y)];
    fall.move(panned(fall.view, fall.bounds, from.time - to.time, timeOnly ? 0 : from.unit - to.unit));
  } else if (timeOnly) {
    fall.trackDrag = { x: Math.max(held.x, GUTTER), toX: Math.max(x, GUTTER) };
    fall.redraw();
  } else {
    fall.drag = { x: Math.max(held.x, GUTTER), y: Math.max(held.y, TOP), toX: Math.max(x, GUTTER), toY: Math.max(y, TOP) };
    fall.redraw();
  }
}

function stopDrag(fall) {
  [fall.drag, fall.trackDrag] = [null, null];
  fall.stale = true;
  fall.redraw();
}

// A flat rectangle, and one on the tracks, zooms the time only.
function zoomToDrag(fall) {
  const { x, toX } = fall.drag ?? fall.trackDrag;
  const { y, toY } = fall.drag ?? { y: 0, toY: 0 };
  stopDrag(fall);
  const from = fall.locate(Math.min(x, toX), Math.min(y, toY));
  const to = fall.locate(Math.max(x, toX), Math.max(y, toY));
  const units = Math.abs(toY - y) < 8 ? fall.view : { y0: from.unit, y1: to.unit };
  fall.move(within({ x0: from.time, x1: to.time, y0: units.y0, y1: units.y1 }, fall.bounds));
}

function step(fall, by) {
  const { layout } = fall;
  const most = layout.kind === "request" ? fall.line.rows - 1 : layout.lanes.length - 1;
  const first = Math.floor(fall.view.y0);
  const chosen = layout.kind === "request" ? fall.row : (fall.lane ?? (fall.row === null ? null : layout.laneAt(layout.unitOf(fall.row))));
  const from = chosen ?? (layout.kind === "request" ? first : layout.laneAt(first) ?? 0) - (by > 0 ? 1 : 0);
  const to = clamp(from + by, 0, most);
  if (layout.kind === "request") fall.select(to);
  else fall.selectLane(to);
}

// In the lanes: the next request that the connection carried.
function nextOnLane(fall) {
  const { layout } = fall;
  const lane = fall.lane ?? (fall.row === null ? 0 : layout.laneAt(layout.unitOf(fall.row)));
  if (layout.kind === "request" || !layout.lanes[lane]?.rows.length) return;
  const { rows } = layout.lanes[lane];
  fall.select(rows[(rows.indexOf(fall.row) + 1) % rows.length]);
}

function listenToKeys(fall, canvas) {
  const pan = (part) => fall.move(panned(fall.view, fall.bounds, (fall.view.x1 - fall.view.x0) * part, 0));
  const page = () => Math.max(1, Math.round((fall.view.y1 - fall.view.y0) * 0.9));
  const acts = {
    ArrowDown: () => step(fall, 1),
    ArrowUp: () => step(fall, -1),
    ArrowRight: () => pan(0.15),
    ArrowLeft: () => pan(-0.15),
    PageDown: () => step(fall, page()),
    PageUp: () => step(fall, -page()),
    Home: () => step(fall, -Infinity),
    End: () => step(fall, Infinity),
    Enter: () => nextOnLane(fall),
    Escape: () => { fall.release(); fall.showsPath(false); fall.highlight([]); },
    "+": () => zoomCentre(fall, 0.7),
    "=": () => zoomCentre(fall, 0.7),
    "-": () => zoomCentre(fall, 1 / 0.7),
    0: () => fall.move({ ...fall.bounds }),
    c: () => fall.layOut(fall.by === "request" ? "connection" : "request"),
    s: () => visit(fall, "slowest"),
    w: () => visit(fall, "last"),
    p: () => fall.togglePath(),
    e: () => visit(fall, "errors"),
    r: () => visit(fall, "retried"),
    d: () => visit(fall, "redirected"),
    b: () => visit(fall, "blocked"),
  };
  canvas.addEventListener("keydown", (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : acts[event.key];
    if (!act || !fall.line.rows) return;
    event.preventDefault();
    act();
  });
}

function listen(fall) {
  for (const canvas of [fall.canvas, fall.under]) {
    listenToWheel(fall, canvas);
    listenToPointer(fall, canvas);
    listenToKeys(fall, canvas);
  }
  const zooms = { in: () => zoomCentre(fall, 0.6), out: () => zoomCentre(fall, 1 / 0.6), fit: () => fall.move({ ...fall.bounds }) };
  for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", zooms[button.dataset.zoom]);
  byId("path").addEventListener("click", () => fall.togglePath());
  for (const button of document.querySelectorAll("[data-by]")) button.addEventListener("click", () => fall.layOut(button.dataset.by));
}

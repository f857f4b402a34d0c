// Pointer, wheel, keys and buttons of the waterfall.
const CLICK = 4; // pixels that a click may wander

function zoomCentre(fall, factor) {
  const { view, bounds } = fall;
  fall.move(zoomed(view, bounds, (view.x0 + view.x1) / 2, (view.y0 + view.y1) / 2, factor, factor));
}

function listenToWheel(fall) {
  fall.canvas.addEventListener(
    "wheel",
    (event) => {
      // A plain wheel scrolls the page until the reader has clicked into the waterfall.
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== fall.canvas) return;
      event.preventDefault();
      const { time, row } = fall.locate(event.offsetX, event.offsetY);
      const factor = Math.exp(clamp(event.deltaY, -200, 200) / 400);
      fall.move(zoomed(fall.view, fall.bounds, time, row, factor, event.shiftKey ? 1 : factor));
    },
    { passive: false },
  );
}

function listenToPointer(fall) {
  const { canvas } = fall;
  let held = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    held = { x: event.offsetX, y: event.offsetY, lastX: event.offsetX, lastY: event.offsetY, pans: event.shiftKey || event.pointerType === "touch", moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const { offsetX: x, offsetY: y } = event;
    if (!held) {
      if (event.pointerType !== "touch") fall.hover(x, y);
      return;
    }
    held.moved ||= Math.hypot(x - held.x, y - held.y) > CLICK;
    if (!held.moved) return;
    if (held.pans) {
      const [from, to] = [fall.locate(held.lastX, held.lastY), fall.locate(x, y)];
      fall.move(panned(fall.view, fall.bounds, from.time - to.time, from.row - to.row));
    } else {
      fall.drag = { x: Math.max(held.x, GUTTER), y: Math.max(held.y, TOP), toX: Math.max(x, GUTTER), toY: Math.max(y, TOP) };
      fall.redraw();
    }
    [held.lastX, held.lastY] = [x, y];
  });
  canvas.addEventListener("pointerup", (event) => {
    const ended = held;
    held = null;
    if (!ended) return;
    if (fall.drag) zoomToDrag(fall);
    else if (!ended.moved) click(fall, event.offsetX, event.offsetY);
  });
  canvas.addEventListener("pointercancel", () => {
    held = null;
    fall.drag = null;
    fall.redraw();
  });
  canvas.addEventListener("pointerleave", () => !held && fall.hover(-1, -1));
  canvas.addEventListener("dblclick", () => fall.move({ ...fall.bounds }));
}

function click(fall, x, y) {
  const found = fall.locate(x, y);
  const row = found.inside ? Math.floor(found.row) : null;
  fall.select(fall.pinned && fall.row === row ? null : row);
}

// A flat rectangle zooms the time only.
function zoomToDrag(fall) {
  const { x, y, toX, toY } = fall.drag;
  fall.drag = null;
  const from = fall.locate(Math.min(x, toX), Math.min(y, toY));
  const to = fall.locate(Math.max(x, toX), Math.max(y, toY));
  const rows = Math.abs(toY - y) < 8 ? fall.view : { y0: from.row, y1: to.row };
  fall.move(within({ x0: from.time, x1: to.time, y0: rows.y0, y1: rows.y1 }, fall.bounds));
}

function step(fall, by) {
  const from = fall.row === null ? Math.floor(fall.view.y0) - Math.sign(by) * (by > 0 ? 1 : 0) : fall.row;
  fall.select(clamp(from + by, 0, fall.line.rows - 1));
}

function listenToKeys(fall) {
  const pan = (share) => fall.move(panned(fall.view, fall.bounds, (fall.view.x1 - fall.view.x0) * share, 0));
  const page = () => Math.max(1, Math.round((fall.view.y1 - fall.view.y0) * 0.9));
  const acts = {
    ArrowDown: () => step(fall, 1),
    ArrowUp: () => step(fall, -1),
    ArrowRight: () => pan(0.15),
    ArrowLeft: () => pan(-0.15),
    PageDown: () => step(fall, page()),
    PageUp: () => step(fall, -page()),
    Home: () => fall.select(0),
    End: () => fall.select(fall.line.rows - 1),
    Escape: () => fall.select(null),
    "+": () => zoomCentre(fall, 0.7),
    "=": () => zoomCentre(fall, 0.7),
    "-": () => zoomCentre(fall, 1 / 0.7),
    0: () => fall.move({ ...fall.bounds }),
    s: () => fall.visit("slowest"),
    e: () => fall.visit("errors"),
    r: () => fall.visit("retried"),
  };
  fall.canvas.addEventListener("keydown", (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : acts[event.key];
    if (!act || !fall.line.rows) return;
    event.preventDefault();
    act();
  });
}

function listen(fall) {
  listenToWheel(fall);
  listenToPointer(fall);
  listenToKeys(fall);
  const zooms = { in: () => zoomCentre(fall, 0.6), out: () => zoomCentre(fall, 1 / 0.6), fit: () => fall.move({ ...fall.bounds }) };
  for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", zooms[button.dataset.zoom]);
}

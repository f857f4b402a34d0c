// Pointer, wheel and keys of the flame graph.
function hoverFlame(flame, x, y) {
  const k = flame.at(x, y);
  if (k === null) flame.hideTip();
  else flame.showTip(k, x, y);
  if (flame.chosen !== k) {
    flame.chosen = k;
    flame.redraw();
  }
  if (flame.graph.kind !== "time") return;
  const time = x >= flame.edge && x <= flame.canvas.clientWidth ? flame.valueAt(x) : null;
  pointFlame(flame, time);
  if (sharesTime(flame)) flame.fall.markTime(time);
}

function leaveFlame(flame) {
  flame.chosen = null;
  flame.hideTip();
  pointFlame(flame, null);
  if (sharesTime(flame)) flame.fall.markTime(null);
  flame.redraw();
}

// A click zooms; a finger first shows what it would zoom into.
function clickFlame(flame, x, y, touch) {
  const k = flame.at(x, y);
  if (k === null) leaveFlame(flame);
  else if (touch && flame.tapped !== k) {
    flame.chosen = k;
    flame.showTip(k, x, y);
    byId("flame-spoken").textContent = spokenNode(flame, k);
    flame.redraw();
  } else flame.zoomTo(k);
  flame.tapped = touch ? k : null;
}

function zoomFlame(flame, x, factor) {
  const [value, { x0, x1 }] = [flame.valueAt(x), flame.view];
  flame.show({ x0: value - (value - x0) * factor, x1: value + (x1 - value) * factor });
}

function panFlame(flame, by) {
  const { view, bounds } = flame;
  const moved = clamp(by, bounds.x0 - view.x0, bounds.x1 - view.x1);
  flame.show({ x0: view.x0 + moved, x1: view.x1 + moved });
}

function listenToFlamePointer(flame) {
  const { canvas } = flame;
  const fingers = new Map();
  let held = null;
  const perPixel = () => (flame.view.x1 - flame.view.x0) / (canvas.clientWidth - flame.edge);
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    fingers.set(event.pointerId, event.offsetX);
    held = { x: event.offsetX, last: event.offsetX, y: event.offsetY, moved: fingers.size > 1 };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const { offsetX: x, offsetY: y } = event;
    if (!held) {
      if (event.pointerType !== "touch") hoverFlame(flame, x, y);
      return;
    }
    if (fingers.size > 1) {
      const gap = () => Math.max(10, Math.abs([...fingers.values()][0] - [...fingers.values()][1]));
      const before = gap();
      fingers.set(event.pointerId, x);
      zoomFlame(flame, ([...fingers.values()][0] + [...fingers.values()][1]) / 2, before / gap());
      return;
    }
    held.moved ||= Math.hypot(x - held.x, y - held.y) > CLICK;
    if (held.moved) panFlame(flame, (held.last - x) * perPixel());
    held.last = x;
    fingers.set(event.pointerId, x);
  });
  const ended = (event) => {
    const last = held;
    fingers.delete(event.pointerId);
    if (fingers.size) return;
    held = null;
    if (last && !last.moved && event.type === "pointerup") clickFlame(flame, event.offsetX, event.offsetY, event.pointerType === "touch");
  };
  canvas.addEventListener("pointerup", ended);
  canvas.addEventListener("pointercancel", ended);
  // A finger that is lifted has not left: what it chose stays.
  canvas.addEventListener("pointerleave", (event) => !held && event.pointerType !== "touch" && leaveFlame(flame));
  canvas.addEventListener(
    "wheel",
    (event) => {
      // A plain wheel scrolls the page until the reader has clicked into the graph.
      if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
      event.preventDefault();
      zoomFlame(flame, event.offsetX, Math.exp(clamp(event.deltaY, -200, 200) / 400));
    },
    { passive: false },
  );
}

// The frame that an arrow leads to: up the caller, down the widest that it calls, left and right the neighbour.
function neighbour(flame, key) {
  const { graph, chosen } = flame;
  if (chosen === null) return flame.zoomed ?? 0;
  if (key === "ArrowUp") return Math.max(0, graph.parent[chosen]);
  if (key === "ArrowDown") {
    let widest = chosen;
    for (let k = graph.from[chosen]; k < graph.to[chosen]; k += 1) if (widest === chosen || graph.width[k] > graph.width[widest]) widest = k;
    return widest;
  }
  const next = chosen + (key === "ArrowRight" ? 1 : -1);
  return next >= 0 && next < graph.count && graph.depth[next] === graph.depth[chosen] ? next : chosen;
}

function listenToFlame(flame) {
  listenToFlamePointer(flame);
  listenToSearch(flame);
  byId("flame-reset").addEventListener("click", () => flame.reset());
  const middle = () => flame.edge + (flame.canvas.clientWidth - flame.edge) / 2;
  const go = (event) => flame.select(neighbour(flame, event.key));
  const acts = {
    ArrowUp: go, ArrowDown: go, ArrowLeft: go, ArrowRight: go,
    Home: () => flame.select(0),
    Enter: () => flame.chosen !== null && flame.zoomTo(flame.chosen),
    Escape: () => { flame.tapped = null; flame.reset(); },
    "+": () => zoomFlame(flame, middle(), 0.7),
    "=": () => zoomFlame(flame, middle(), 0.7),
    "-": () => zoomFlame(flame, middle(), 1 / 0.7),
    n: () => flame.nextFound(1),
    N: () => flame.nextFound(-1),
  };
  flame.canvas.addEventListener("keydown", (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : acts[event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  });
}

// What the graph shows, as plain values: for tests, and for the curious in the console.
function flameState(flame) {
  const { graph, view, bounds, found, zoomed, chosen } = flame;
  const name = (k) => (k === null ? null : flame.nameOf(k));
  return {
    kind: graph.kind, arm: graph.arm, n: graph.n, title: graph.title, nodes: graph.count, rows: flame.rows, firstRow: flame.firstRow,
    view: { ...view }, bounds: { ...bounds }, whole: flame.isWhole(), zoomed: name(zoomed), chosen: name(chosen),
    shared: sharesTime(flame), found: found && { nodes: found.nodes.length, share: found.share },
    readyMillis: flame.readyMillis, paintMillis: flame.paintMillis, searchMillis: flame.searchMillis ?? null,
    places: graph.count > 500 ? null : Array.from({ length: graph.count }, (_, k) => [flame.nameOf(k), graph.depth[k], graph.left[k], graph.right[k], graph.value[k]]),
  };
}

// Draws the rows of a view on a canvas: time axis, units with their bars, marks on top.
const GUTTER = 44;
const TOP = 24;
const LANE_LINES_FROM = 5; // pixels of height from which a connection's life is drawn behind its requests

function scaleOf(canvas, view, top) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.width / ratio, canvas.height / ratio];
  const x = (width - GUTTER) / (view.x1 - view.x0);
  const y = (height - top) / (view.y1 - view.y0);
  return { x, y, ratio, width, height, view, ink: themeColours(), left: (time) => GUTTER + (time - view.x0) * x, top: (unit) => top + (unit - view.y0) * y };
}

function blank(canvas, scale) {
  const context = canvas.getContext("2d");
  context.setTransform(scale.ratio, 0, 0, scale.ratio, 0, 0);
  context.fillStyle = scale.ink.page;
  context.fillRect(0, 0, scale.width, scale.height);
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  return context;
}

// The picture without marks; it changes only with view, size, theme or chosen chain.
function paintBase(canvas, line, phases, state) {
  const scale = scaleOf(canvas, state.view, TOP);
  const context = blank(canvas, scale);
  paintTimes(context, scale, { from: TOP - 5, to: scale.height, label: TOP / 2 - 1 });
  paintUnits(context, scale, line, state.layout);
  context.save();
  context.beginPath();
  context.rect(GUTTER, TOP, scale.width - GUTTER, scale.height - TOP);
  context.clip();
  if (state.layout.kind === "connection") paintLanes(context, scale, state.layout);
  paintWaits(context, scale, state, phases);
  paintBars(context, scale, state.layout.bars, phases, "work");
  if (state.layout.kind === "connection") paintEnds(context, scale, state.layout);
  if (state.showPath) state.pathDrawn = paintPath(context, scale, line, state);
  else if (state.chain.length) paintChain(context, scale, line, state, fills(context, phases, scale.ink.page, scale.ratio));
  context.restore();
}

// Grid lines and labels of the time axis.
function paintTimes(context, scale, { from, to, label }) {
  const { view, width } = scale;
  const step = niceStep((view.x1 - view.x0) / 1e3, (width - GUTTER) / 90);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  for (const tick of niceTicks(view.x0 / 1e3, view.x1 / 1e3, (width - GUTTER) / 90)) {
    const x = Math.round(scale.left(tick * 1e3)) + 0.5;
    context.fillStyle = scale.ink.rule;
    context.fillRect(x, from, 1, to - from);
    context.fillStyle = scale.ink.soft;
    const text = `${tick.toFixed(decimals)} ms`;
    const half = context.measureText(text).width / 2;
    context.textAlign = "center";
    if (x - half >= GUTTER && x + half <= width) context.fillText(text, x, label);
  }
}

// Numbers of requests, or of connections, in the gutter.
function paintUnits(context, scale, line, layout) {
  const { view, height } = scale;
  context.fillStyle = scale.ink.soft;
  context.textAlign = "right";
  if (layout.kind === "request") {
    const every = Math.max(1, niceStep(view.y1 - view.y0, (height - TOP) / 34));
    for (let row = Math.max(0, Math.ceil((view.y0 + 1) / every) * every - 1); row < view.y1 - 0.5; row += every) {
      const y = Math.min(scale.top(row + 0.5), height - 7);
      if (y >= TOP + 4) context.fillText(String(at(line.request, row)), GUTTER - 9, y);
    }
    return;
  }
  let free = TOP + 4;
  for (const lane of layout.lanes) {
    const y = Math.max(scale.top(lane.first + 0.5), lane.depth > 1 ? TOP + 7 : 0);
    if (y < free || y > height - 4 || scale.top(lane.first + lane.depth) < TOP + 7) continue;
    context.fillText(`#${lane.number}`, GUTTER - 9, y);
    free = y + 15;
  }
}

function firstFrom(rows, row) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle] < row) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Top and height of a unit's bars, on whole pixels.
function boxOf(scale, unit) {
  const gap = scale.y >= 5 ? Math.min(3, scale.y * 0.2) : 0;
  const snap = (value) => Math.round(value * scale.ratio) / scale.ratio;
  const y = snap(scale.top(unit) + gap / 2);
  return [y, Math.max(1 / scale.ratio, snap(scale.top(unit + 1) - gap / 2) - y)];
}

// All waits in solid colours on a layer of their own, then one veil over them: filling thousands of bars with patterns is slow.
function paintWaits(context, scale, { layer, layout }, phases) {
  const brush = layer.getContext("2d");
  brush.setTransform(scale.ratio, 0, 0, scale.ratio, 0, 0);
  brush.globalCompositeOperation = "source-over";
  brush.clearRect(0, 0, scale.width, scale.height);
  paintBars(brush, scale, layout.bars, phases, "wait");
  brush.globalCompositeOperation = "source-atop";
  brush.fillStyle = veil(brush, scale.ink.page, scale.ratio);
  brush.fillRect(0, 0, scale.width, scale.height);
  context.drawImage(layer, 0, 0, scale.width, scale.height);
}

// Where many units share a pixel line, one of them is drawn: what the others would cover anyway.
function paintBars(context, scale, bars, phases, kind) {
  const { view } = scale;
  const finest = 0.25 / scale.x;
  const every = Math.max(1, Math.floor(1 / (scale.y * scale.ratio)));
  bars.forEach((bar, phase) => {
    if (phases[phase].kind !== kind) return;
    context.fillStyle = inkOf(phases[phase], scale.ink.page);
    for (let k = firstFrom(bar.row, Math.floor(view.y0)); k < bar.row.length && bar.row[k] < view.y1; k += 1) {
      if (bar.row[k] % every || bar.end[k] < view.x0 || bar.begin[k] > view.x1 || bar.end[k] - bar.begin[k] < finest) continue;
      const x = scale.left(Math.max(bar.begin[k], view.x0));
      const [y, high] = boxOf(scale, bar.row[k]);
      context.fillRect(x, y, scale.left(Math.min(bar.end[k], view.x1)) - x, high);
    }
  });
}

// Behind the requests: a hairline while the connection is open; between lanes of several streams a rule.
function paintLanes(context, scale, { lanes }) {
  for (const lane of lanes) {
    const [top, bottom] = [scale.top(lane.first), scale.top(lane.first + lane.depth)];
    if (bottom < TOP || top > scale.height) continue;
    context.fillStyle = scale.ink.rule;
    if (lane.depth > 1) context.fillRect(GUTTER, Math.round(bottom), scale.width - GUTTER, 1);
    else if (scale.y >= LANE_LINES_FROM) context.fillRect(scale.left(lane.begin), Math.round((top + bottom) / 2), (lane.end - lane.begin) * scale.x, 1);
  }
}

// In front of them: a bar where a connection was opened, a cross where it was closed.
function paintEnds(context, scale, { lanes }) {
  context.fillStyle = scale.ink.ink;
  context.strokeStyle = scale.ink.ink;
  context.lineWidth = 1.5;
  for (const lane of lanes) {
    const [top, bottom] = [scale.top(lane.first), scale.top(lane.first + lane.depth)];
    if (bottom < TOP || top > scale.height || scale.y * lane.depth < 3) continue;
    context.fillRect(scale.left(lane.begin) - 1, top + 1, 2, Math.max(2, bottom - top - 2));
    if (Number.isNaN(lane.closed)) continue;
    const [x, y, arm] = [scale.left(lane.closed) + 4, (top + bottom) / 2, Math.min(3.5, (bottom - top) / 2)];
    context.beginPath();
    for (const side of [-1, 1]) {
      context.moveTo(x - arm, y - side * arm);
      context.lineTo(x + arm, y + side * arm);
    }
    context.stroke();
  }
}

// The chain's requests stand out, everything else steps back; a line joins each to the one that it waited for.
function paintChain(context, scale, line, { chain, layout }, styles) {
  context.globalAlpha = 0.72;
  context.fillStyle = scale.ink.page;
  context.fillRect(GUTTER, TOP, scale.width - GUTTER, scale.height - TOP);
  context.globalAlpha = 1;
  context.strokeStyle = scale.ink.ink;
  context.lineWidth = 1;
  let joint = null;
  for (const row of chain) {
    const unit = layout.unitOf(row);
    if (unit < 0) continue;
    const [y, high] = boxOf(scale, unit);
    const tall = Math.max(3, high);
    for (const [phase, begin, end] of clipped(line, row, layout.span(row))) {
      context.fillStyle = styles[phase];
      context.fillRect(scale.left(begin), y, (end - begin) * scale.x, tall);
    }
    if (joint) {
      const freed = scale.left(firstKnown(markOf(line, "released", row), line.end[row]));
      context.beginPath();
      context.moveTo(freed, y + tall);
      context.lineTo(freed, joint.y);
      context.lineTo(joint.x, joint.y);
      context.stroke();
    }
    joint = { x: scale.left(firstKnown(markOf(line, "assigned", row), line.begin[row])), y };
  }
}

// Failed rows, the chosen row or lane, the rectangle that is being dragged.
function paintMarks(context, scale, state) {
  const { view, width, height } = scale;
  const { layout } = state;
  context.fillStyle = scale.ink.alert;
  for (const row of state.failed) {
    const unit = layout.unitOf(row);
    if (unit < 0 || unit + 1 <= view.y0 || unit >= view.y1) continue;
    const x = layout.kind === "request" ? GUTTER - 5 : clamp(scale.left(layout.span(row)[1]) - 3, GUTTER, width - 4);
    context.fillRect(x, Math.max(TOP, scale.top(unit)), 4, Math.max(1.5, scale.y));
  }
  const chosen = chosenBox(scale, state);
  if (chosen) {
    context.strokeStyle = scale.ink.ink;
    context.lineWidth = 1;
    context.strokeRect(...chosen);
  }
  if (state.drag) paintDrag(context, scale, state.drag, height);
}

function chosenBox(scale, { layout, row, lane, view }) {
  const [unit, depth] = row !== null ? [layout.unitOf(row), 1] : lane !== null ? [layout.lanes[lane].first, layout.lanes[lane].depth] : [-1, 0];
  if (unit < 0 || unit + depth <= view.y0 || unit >= view.y1) return null;
  const whole = layout.kind === "request" || row === null;
  const [from, to] = whole ? [view.x0, view.x1] : layout.span(row);
  const left = clamp(scale.left(from), GUTTER, scale.width);
  const top = Math.max(TOP, Math.round(scale.top(unit)));
  const high = Math.max(3, Math.round(scale.top(unit + depth)) - top);
  return [left + 0.5, top - 0.5, Math.max(3, clamp(scale.left(to), GUTTER, scale.width) - left) - 1, high];
}

function paintDrag(context, scale, { x, y, toX, toY }) {
  context.fillStyle = scale.ink.accent;
  context.globalAlpha = 0.18;
  context.fillRect(x, y, toX - x, toY - y);
  context.globalAlpha = 1;
  context.strokeStyle = scale.ink.accent;
  context.lineWidth = 1;
  context.strokeRect(x, y, toX - x, toY - y);
}

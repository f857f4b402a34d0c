// Draws a waterfall on a canvas: the loop's strip, the time axis, the rows of the view.
const GUTTER = 44;
const STRIP = 24;
const AXIS = 24;
const TOP = STRIP + AXIS;
const HATCHED_FROM = 6; // pixels of row height from which a hatch can be seen

function mix(colour, ground, share) {
  const parse = (text) => [1, 3, 5].map((k) => parseInt(text.slice(k, k + 2), 16));
  const [over, under] = [parse(colour), parse(ground)];
  return `rgb(${over.map((part, k) => Math.round(part * (1 - share) + under[k] * share)).join(" ")})`;
}

// The page's colours, read once a picture: asking the style sheet is slow.
function themeColours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(["page", "ink", "soft", "rule", "accent", "alert"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// Solid for work; light, and hatched where rows are tall enough, for waits. Patterns are kept until theme or resolution change.
const kept = new Map();

function fills(context, phases, ground, ratio, tall) {
  return phases.map((phase) => {
    const key = [phase.name, ground, ratio, tall].join();
    if (!kept.has(key)) kept.set(key, fillOf(context, phase, ground, ratio, tall));
    return kept.get(key);
  });
}

function fillOf(context, phase, ground, ratio, tall) {
  const colour = inkOf(phase, ground);
  if (phase.kind === "work") return colour;
  const light = mix(colour, ground, 0.38);
  return tall ? hatch(context, light, colour, ratio) : light;
}

// The phase's colour on this page; very dark ones would sink into a dark one.
function inkOf({ colour }, ground = cssColour("--page")) {
  if (ground === "#ffffff") return colour;
  const luminance = [1, 3, 5].reduce((sum, k, n) => sum + parseInt(colour.slice(k, k + 2), 16) * [0.3, 0.59, 0.11][n], 0);
  if (luminance > 95) return colour;
  const lifted = [1, 3, 5].map((k) => Math.round(parseInt(colour.slice(k, k + 2), 16) * 0.6 + 255 * 0.4).toString(16).padStart(2, "0"));
  return `#${lifted.join("")}`;
}

function hatch(context, light, strong, ratio) {
  const side = Math.max(4, Math.round(6 * ratio));
  const tile = make("canvas", { width: side, height: side });
  const brush = tile.getContext("2d");
  brush.fillStyle = light;
  brush.fillRect(0, 0, side, side);
  brush.strokeStyle = strong;
  brush.lineWidth = Math.max(1, ratio * 0.9);
  brush.beginPath();
  for (const shift of [-side, 0, side]) {
    brush.moveTo(shift, side);
    brush.lineTo(shift + side, 0);
  }
  brush.stroke();
  const pattern = context.createPattern(tile, "repeat");
  pattern.setTransform(new DOMMatrix().scale(1 / ratio));
  return pattern;
}

function paint(canvas, line, phases, state) {
  const ratio = window.devicePixelRatio || 1;
  const context = canvas.getContext("2d");
  const width = canvas.width / ratio;
  const height = canvas.height / ratio;
  const { view } = state;
  const scale = { x: (width - GUTTER) / (view.x1 - view.x0), y: (height - TOP) / (view.y1 - view.y0), ratio, width, height, view, ink: themeColours() };
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = scale.ink.page;
  context.fillRect(0, 0, width, height);
  paintAxes(context, scale, line);
  paintStrip(context, scale, line);
  context.save();
  context.beginPath();
  context.rect(GUTTER, TOP, width - GUTTER, height - TOP);
  context.clip();
  paintRows(context, scale, line, fills(context, phases, scale.ink.page, ratio, scale.y >= HATCHED_FROM));
  context.restore();
  paintMarks(context, scale, line, state);
}

function paintAxes(context, scale, line) {
  const { view, width, height } = scale;
  const step = niceStep((view.x1 - view.x0) / 1e3, (width - GUTTER) / 90);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  for (const tick of niceTicks(view.x0 / 1e3, view.x1 / 1e3, (width - GUTTER) / 90)) {
    const x = Math.round(GUTTER + (tick * 1e3 - view.x0) * scale.x) + 0.5;
    context.fillStyle = scale.ink.rule;
    context.fillRect(x, TOP - 5, 1, height - TOP + 5);
    context.fillStyle = scale.ink.soft;
    const label = `${tick.toFixed(decimals)} ms`;
    const half = context.measureText(label).width / 2;
    context.textAlign = "center";
    if (x - half >= GUTTER && x + half <= width) context.fillText(label, x, STRIP + AXIS / 2 - 1);
  }
  context.textAlign = "right";
  const every = Math.max(1, niceStep(view.y1 - view.y0, (height - TOP) / 34));
  for (let row = Math.max(0, Math.ceil((view.y0 + 1) / every) * every - 1); row < view.y1 - 0.5; row += every) {
    const y = Math.min(TOP + (row + 0.5 - view.y0) * scale.y, height - 7);
    if (y >= TOP + 4) context.fillText(String(at(line.request, row)), GUTTER - 9, y);
  }
}

// How busy the loop was, as an area from 0 to 100 %.
function paintStrip(context, scale, line) {
  if (!line.busy || !line.busy.length) return;
  context.fillStyle = scale.ink.soft;
  context.textAlign = "right";
  context.fillText("loop", GUTTER - 9, STRIP / 2 + 1);
  context.fillStyle = mix(scale.ink.accent, scale.ink.page, 0.35);
  const full = STRIP - 4;
  const bin = line.total / line.busy.length;
  for (let x = GUTTER; x < scale.width; x += 1) {
    const first = Math.floor((scale.view.x0 + (x - GUTTER) / scale.x) / bin);
    const after = Math.max(first + 1, Math.ceil((scale.view.x0 + (x + 1 - GUTTER) / scale.x) / bin));
    let sum = 0;
    for (let k = first; k < after; k += 1) sum += line.busy[k] || 0;
    const tall = (sum / (after - first) / 100) * full;
    if (tall > 0) context.fillRect(x, 2 + full - tall, 1, tall);
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

function paintRows(context, scale, line, styles) {
  const { view, ratio } = scale;
  const gap = scale.y >= 5 ? Math.min(3, scale.y * 0.2) : 0;
  const snap = (value) => Math.round(value * ratio) / ratio;
  const finest = 0.25 / scale.x;
  line.bars.forEach((bar, phase) => {
    if (!bar.row.length) return;
    context.fillStyle = styles[phase];
    for (let k = firstFrom(bar.row, Math.floor(view.y0)); k < bar.row.length && bar.row[k] < view.y1; k += 1) {
      if (bar.end[k] < view.x0 || bar.begin[k] > view.x1 || bar.end[k] - bar.begin[k] < finest) continue;
      const x = GUTTER + (Math.max(bar.begin[k], view.x0) - view.x0) * scale.x;
      const right = GUTTER + (Math.min(bar.end[k], view.x1) - view.x0) * scale.x;
      const y = snap(TOP + (bar.row[k] - view.y0) * scale.y + gap / 2);
      const bottom = snap(TOP + (bar.row[k] + 1 - view.y0) * scale.y - gap / 2);
      context.fillRect(x, y, right - x, Math.max(1 / ratio, bottom - y));
    }
  });
}

// Failed rows in the gutter, the chosen row, the rectangle that is being dragged.
function paintMarks(context, scale, line, state) {
  const { view, width } = scale;
  context.fillStyle = scale.ink.alert;
  for (const row of state.failed) {
    if (row + 1 > view.y0 && row < view.y1) context.fillRect(GUTTER - 5, TOP + (row - view.y0) * scale.y, 4, Math.max(1.5, scale.y));
  }
  if (state.row !== null && state.row + 1 > view.y0 && state.row < view.y1) {
    const y = TOP + (state.row - view.y0) * scale.y;
    context.strokeStyle = scale.ink.ink;
    context.lineWidth = 1;
    context.strokeRect(GUTTER + 0.5, Math.round(y) - 0.5, width - GUTTER - 1, Math.max(3, Math.round(scale.y)));
  }
  if (state.drag) {
    const { x, y, toX, toY } = state.drag;
    context.fillStyle = scale.ink.accent;
    context.globalAlpha = 0.18;
    context.fillRect(x, y, toX - x, toY - y);
    context.globalAlpha = 1;
    context.strokeStyle = scale.ink.accent;
    context.strokeRect(x, y, toX - x, toY - y);
  }
}

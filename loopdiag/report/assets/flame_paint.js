// Draws the visible part of a flame graph: root on top, only what is wider than half a pixel.
const FLAME_ROW = 19;
const LEAST_WIDE = 0.5;
const MOST_MARKED = 5000;
const CARRIED = 4; // pixels of stripes on a frame that only carries what grows below
const LETTER_WIDE = 6.2; // pixels a letter of the labels, about

// Colours of the classes and of more and less, with what is legible on each; read once a theme.
function flameColours(classes) {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  const pair = (key) => [read(`--code-${key}`), read(`--on-code-${key}`)];
  return { codes: classes.map((_, k) => pair(k)), more: pair("more"), less: pair("less"), ink: themeColours() };
}

const channels = (colour) => (colour.startsWith("#") ? [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16)) : colour.match(/\d+/g).map(Number));

function blend(colour, ground, share) {
  const under = channels(ground);
  return `rgb(${channels(colour).map((part, k) => Math.round(part * (1 - share) + under[k] * share)).join(" ")})`;
}

// Black or white, whichever stands out more; the same rule as loopdiag/report/palette.py.
function textOn(colour) {
  const linear = channels(colour).map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 ? "#000000" : "#ffffff";
}

// [fill, text] of a node; a difference is the paler the more of it cancels out below.
function inkOfNode(flame, k) {
  const { graph, colours } = flame;
  if (graph.kind !== "difference") return colours.codes[graph.code[k]];
  const [strong] = graph.value[k] >= 0 ? colours.more : colours.less;
  const pure = graph.width[k] ? Math.min(1, Math.abs(graph.value[k]) / graph.width[k]) : 1;
  const key = `${strong}${Math.round(pure * 8)}`;
  if (!flame.mixed.has(key)) {
    const fill = blend(strong, colours.ink.page, (1 - Math.round(pure * 8) / 8) * 0.7);
    flame.mixed.set(key, [fill, textOn(fill)]);
  }
  return flame.mixed.get(key);
}

function flameScale(canvas, { view, edge, top }) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.width / ratio, canvas.height / ratio];
  const x = (width - edge) / (view.x1 - view.x0);
  return { x, ratio, width, height, view, left: (value) => edge + (value - view.x0) * x, top, edge };
}

function paintFlame(flame) {
  const { canvas, graph, view, colours } = flame;
  const scale = { ...flameScale(canvas, flame), ink: colours.ink };
  const context = blank(canvas, scale);
  if (flame.edge) paintTimes(context, scale, { from: scale.top - 5, to: scale.height, label: scale.top / 2 - 1 });
  context.save();
  context.beginPath();
  context.rect(scale.edge, scale.top, scale.width - scale.edge, scale.height - scale.top);
  context.clip();
  const rows = Math.min(graph.levels.length - 1, flame.firstRow + flame.rows);
  for (let level = flame.firstRow; level < rows; level += 1) {
    const y = scale.top + (level - flame.firstRow) * FLAME_ROW;
    const [first, end] = levelFrom(graph, level, view.x0);
    for (let k = first; k < end && graph.left[k] < view.x1; k += 1) {
      if ((graph.right[k] - graph.left[k]) * scale.x >= LEAST_WIDE) paintNode(context, scale, flame, k, y);
    }
  }
  if (flame.found) paintFound(context, scale, flame);
  context.restore();
  if (flame.chosen !== null) paintChosen(context, scale, flame);
}

// What a search found and is too narrow to be seen gets a mark.
function paintFound(context, scale, flame) {
  const { graph, found } = flame;
  context.fillStyle = scale.ink.accent;
  for (const k of found.nodes.slice(0, MOST_MARKED)) {
    const level = graph.depth[k] - flame.firstRow;
    const wide = (graph.right[k] - graph.left[k]) * scale.x;
    if (level < 0 || wide >= 2) continue;
    context.fillRect(scale.left((graph.left[k] + graph.right[k]) / 2) - 1.5, scale.top + level * FLAME_ROW, 3, FLAME_ROW - 1);
  }
}

// How many rows a stretch needs: to the deepest frame that can be seen.
function rowsWithin(graph, { x0, x1 }, pixels) {
  const least = (LEAST_WIDE * 2 * (x1 - x0)) / pixels;
  for (let level = graph.levels.length - 2; level > 0; level -= 1) {
    const [first, end] = levelFrom(graph, level, x0);
    for (let k = first; k < end && graph.left[k] < x1; k += 1) if (graph.right[k] - graph.left[k] >= least) return level + 1;
  }
  return 1;
}

// Where the visible part of a node stands.
function boxOfNode(scale, graph, k) {
  const from = Math.max(scale.edge, scale.left(graph.left[k]));
  return [from, Math.min(scale.width, scale.left(graph.right[k])) - from];
}

function paintNode(context, scale, flame, k, y) {
  const { graph, found, colours } = flame;
  const [x, wide] = boxOfNode(scale, graph, k);
  const inner = wide > 3 ? wide - 1 : Math.max(wide * 0.85, 1 / scale.ratio);
  const [fill, text] = inkOfNode(flame, k);
  // What a search did not find steps back.
  const dim = found ? !found.hit[graph.frame[k]] : false;
  context.fillStyle = dim ? blend(fill, colours.ink.page, 0.72) : fill;
  context.fillRect(x, y, inner, FLAME_ROW - 1);
  const power = graph.exponent[k];
  if (!Number.isNaN(power) && !dim) {
    context.fillStyle = stripesOf(context, text, scale.ratio);
    const high = graph.source[k] ? FLAME_ROW - 1 : CARRIED;
    context.fillRect(x, y + FLAME_ROW - 1 - high, inner, high);
  }
  if (wide > 24) paintLabel(context, flame, k, [x, y, inner], dim ? colours.ink.soft : text, dim);
}

function stripesOf(context, colour, ratio) {
  const key = ["super", colour, ratio].join();
  const made = () =>
    stripes(context, ratio, (brush, side) => {
      brush.clearRect(0, 0, side, side);
      brush.globalAlpha = 0.5;
      brush.strokeStyle = colour;
    });
  if (!kept.has(key)) kept.set(key, made());
  return kept.get(key);
}

// The power of N first, in bold: it is what one looks for. On stripes a label gets a plate of the frame's colour, and leaves some of them.
function paintLabel(context, flame, k, [x, y, wide], colour, dim) {
  const { graph } = flame;
  const power = Number.isNaN(graph.exponent[k]) || dim ? "" : powerText(graph.exponent[k]);
  const sign = graph.kind === "difference" ? `${graph.value[k] >= 0 ? "+" : "−"} ` : "";
  const room = wide - (power && graph.source[k] ? 22 : 8);
  context.textAlign = "left";
  const bold = power ? measured(context, power, true) + 6 : 0;
  const name = flame.nameOf(k);
  // A method without its class is better than half a class.
  const whole = measured(context, `${sign}${name}`, false) <= room - bold;
  const label = fitting(context, `${sign}${whole ? name : bareName(name)}`, room - bold);
  if (!label && bold > room) return;
  const long = bold + (label ? measured(context, label, false) : 0);
  if (graph.source[k] && !dim) {
    [context.fillStyle] = inkOfNode(flame, k);
    context.fillRect(x, y, Math.min(wide, long + 8), FLAME_ROW - 1);
  }
  const middle = FLAME_ROW / 2 - (power && !graph.source[k] ? 1.5 : 0);
  context.fillStyle = colour;
  if (power) {
    context.font = FONT_BOLD;
    context.fillText(power, x + 4, y + middle);
    context.font = FONT;
  }
  if (label) context.fillText(label, x + 4 + bold, y + middle);
}

const FONT = "12px system-ui, sans-serif";
const FONT_BOLD = "bold 12px system-ui, sans-serif";
const lengths = new Map();

function measured(context, text, bold) {
  const key = bold ? `*${text}` : text;
  if (!lengths.has(key)) {
    if (lengths.size > 20000) lengths.clear();
    context.font = bold ? FONT_BOLD : FONT;
    lengths.set(key, context.measureText(text).width);
    context.font = FONT;
  }
  return lengths.get(key);
}

// `Pool._assign` → `_assign`, `install.<locals>.make` → `make`; what has no name of its own keeps its owner's.
function bareName(name) {
  const words = name.split(".");
  let from = words.length - 1;
  while (from > 0 && words[from].startsWith("<")) from -= 1;
  return words.slice(from).join(".");
}

// As much of a text as there is room for; nothing where that is less than three letters.
function fitting(context, text, room) {
  if (room < 3 * LETTER_WIDE) return "";
  if (measured(context, text, false) <= room) return text;
  let count = Math.min(text.length - 1, Math.floor(room / LETTER_WIDE));
  while (count >= 3 && measured(context, `${text.slice(0, count)}…`, false) > room) count -= 1;
  return count >= 3 ? `${text.slice(0, count)}…` : "";
}

function paintChosen(context, scale, flame) {
  const { graph, chosen } = flame;
  const level = graph.depth[chosen] - flame.firstRow;
  const [x, wide] = boxOfNode(scale, graph, chosen);
  if (level < 0 || level >= flame.rows || x > scale.width || x + wide < scale.edge) return;
  context.strokeStyle = scale.ink.page;
  context.lineWidth = 4;
  const box = [x + 0.5, scale.top + level * FLAME_ROW + 0.5, Math.max(3, wide - 2), FLAME_ROW - 2];
  context.strokeRect(...box);
  context.strokeStyle = scale.ink.ink;
  context.lineWidth = 2;
  context.strokeRect(...box);
}

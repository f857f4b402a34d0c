// Colours and hatches: solid for work, light and hatched for waits, on either theme.
function mix(colour, ground, share) {
  const parse = (text) => [1, 3, 5].map((k) => parseInt(text.slice(k, k + 2), 16));
  const [over, under] = [parse(colour), parse(ground)];
  return `rgb(${over.map((part, k) => Math.round(part * (1 - share) + under[k] * share)).join(" ")})`;
}

// The page's colours, read once a picture: asking the style sheet is slow.
function themeColours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(["page", "ink", "soft", "rule", "panel", "accent", "alert"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// One fill a phase. Patterns are kept until theme or resolution change.
const kept = new Map();

function fills(context, phases, ground, ratio) {
  return phases.map((phase) => {
    const key = [phase.name, ground, ratio].join();
    if (!kept.has(key)) kept.set(key, fillOf(context, phase, ground, ratio));
    return kept.get(key);
  });
}

function fillOf(context, phase, ground, ratio) {
  const colour = inkOf(phase, ground);
  return phase.kind === "work" ? colour : hatch(context, mix(colour, ground, 0.38), colour, ratio);
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
  return stripes(context, ratio, (brush, side) => {
    brush.fillStyle = light;
    brush.fillRect(0, 0, side, side);
    brush.strokeStyle = strong;
  });
}

// What makes a hatch of solid colours that lie under it: the ground's colour, thin, with gaps where the stripes are.
function veil(context, ground, ratio) {
  const key = ["veil", ground, ratio].join();
  const made = () =>
    stripes(context, ratio, (brush, side) => {
      brush.globalAlpha = 0.38;
      brush.fillStyle = ground;
      brush.fillRect(0, 0, side, side);
      brush.globalAlpha = 1;
      brush.globalCompositeOperation = "destination-out";
    });
  if (!kept.has(key)) kept.set(key, made());
  return kept.get(key);
}

function stripes(context, ratio, prepare) {
  const side = Math.max(4, Math.round(6 * ratio));
  const tile = make("canvas", { width: side, height: side });
  const brush = tile.getContext("2d");
  prepare(brush, side);
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

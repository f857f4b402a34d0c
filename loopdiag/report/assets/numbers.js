// Numbers as people read them; the same rules as loopdiag/report/format.py.
function significant(value, digits = 3) {
  if (value === null || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const magnitude = Math.abs(value);
  if (magnitude < 1e-4 || magnitude >= 1e6) return value.toExponential(digits - 1);
  return value.toFixed(Math.max(0, digits - 1 - Math.floor(Math.log10(magnitude))));
}

function seconds(value) {
  if (value === null) return "–";
  for (const [factor, unit] of [[1, "s"], [1e3, "ms"], [1e6, "µs"]]) {
    if (Math.abs(value) * factor >= 1) return `${significant(value * factor)} ${unit}`;
  }
  return value ? `${significant(value * 1e9)} ns` : "0 s";
}

const micros = (value) => (value === 0 ? "0" : seconds(value / 1e6));
const milliseconds = (value) => (value / 1e3).toFixed(3);
const bytes = (value) => (value < 1000 ? `${value} B` : `${significant(value / 1000)} kB`);
const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// Round steps of 1, 2 or 5 times a power of ten, about `count` of them.
function niceStep(span, count) {
  const raw = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999);
  return step * power;
}

function niceTicks(low, high, count) {
  const step = niceStep(high - low || 1, count);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) ticks.push(k * step);
  return ticks;
}

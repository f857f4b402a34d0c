// The visible part of a waterfall: microseconds x0..x1, rows y0..y1. Pure: each function returns a new view inside the bounds.
const LEAST_MICROS = 20;
const LEAST_ROWS = 3;

const boundsOf = (line) => ({ x0: line.first, x1: line.last, y0: 0, y1: Math.max(1, line.rows) });

function fitted(low, high, least, floor, ceiling) {
  const span = clamp(high - low, Math.min(least, ceiling - floor), ceiling - floor);
  const start = clamp((low + high - span) / 2, floor, ceiling - span);
  return [start, start + span];
}

function within(view, bounds) {
  const [x0, x1] = fitted(view.x0, view.x1, LEAST_MICROS, bounds.x0, bounds.x1);
  const [y0, y1] = fitted(view.y0, view.y1, LEAST_ROWS, bounds.y0, bounds.y1);
  return { x0, x1, y0, y1 };
}

// Zooms by `fx` and `fy` (below 1: closer) and keeps the point (x, y) where it is.
const zoomed = (view, bounds, x, y, fx, fy) =>
  within({ x0: x - (x - view.x0) * fx, x1: x + (view.x1 - x) * fx, y0: y - (y - view.y0) * fy, y1: y + (view.y1 - y) * fy }, bounds);

const panned = (view, bounds, dx, dy) => {
  const x = clamp(dx, bounds.x0 - view.x0, bounds.x1 - view.x1);
  const y = clamp(dy, bounds.y0 - view.y0, bounds.y1 - view.y1);
  return { x0: view.x0 + x, x1: view.x1 + x, y0: view.y0 + y, y1: view.y1 + y };
};

// A view that shows one row with its neighbours and a margin of time.
function around(line, row, bounds) {
  const margin = Math.max(LEAST_MICROS, (line.end[row] - line.begin[row]) * 0.08);
  return within({ x0: line.begin[row] - margin, x1: line.end[row] + margin, y0: row - 12, y1: row + 13 }, bounds);
}

function showing(view, row, bounds) {
  if (row >= view.y0 && row + 1 <= view.y1) return view;
  return panned(view, bounds, 0, row < view.y0 ? row - view.y0 : row + 1 - view.y1);
}

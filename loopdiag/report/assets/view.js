// The visible part of a waterfall: microseconds x0..x1, units y0..y1. Pure: each function returns a new view inside the bounds.
const LEAST_MICROS = 20;
const LEAST_UNITS = 3;

const boundsOf = (line, layout) => ({ x0: line.first, x1: line.last, y0: 0, y1: Math.max(1, layout.count) });

function fitted(low, high, least, floor, ceiling) {
  const span = clamp(high - low, Math.min(least, ceiling - floor), ceiling - floor);
  const start = clamp((low + high - span) / 2, floor, ceiling - span);
  return [start, start + span];
}

function within(view, bounds) {
  const [x0, x1] = fitted(view.x0, view.x1, LEAST_MICROS, bounds.x0, bounds.x1);
  const [y0, y1] = fitted(view.y0, view.y1, LEAST_UNITS, bounds.y0, bounds.y1);
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

// A view that shows one attempt with its neighbours and a margin of time.
function around(layout, row, bounds) {
  const [begin, end] = layout.span(row);
  const unit = Math.max(0, layout.unitOf(row));
  const margin = Math.max(LEAST_MICROS, (end - begin) * 0.08);
  return within({ x0: begin - margin, x1: end + margin, y0: unit - 12, y1: unit + 13 }, bounds);
}

function showing(view, unit, bounds) {
  if (unit < 0 || (unit >= view.y0 && unit + 1 <= view.y1)) return view;
  return panned(view, bounds, 0, unit < view.y0 ? unit - view.y0 : unit + 1 - view.y1);
}

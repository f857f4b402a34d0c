// What is worth a look, one click away; each further click goes to the next one.
const SLOWEST = 10;
const LEAST_SHOWN = 24; // units around a blocked loop

function interestsOf(line, loop) {
  const rows = [...Array(line.rows).keys()];
  const length = (row) => line.end[row] - line.begin[row];
  return {
    slowest: { name: "Slowest", found: [...rows].sort((a, b) => length(b) - length(a)).slice(0, SLOWEST) },
    last: { name: "Last to end, and whom it waited for", found: chainOf(line) },
    errors: { name: "Errors", counted: true, found: rows.filter((row) => failed(line, row)) },
    retried: { name: "Retried", counted: true, found: rows.filter((row) => retried(line, row)) },
    redirected: { name: "Redirected", counted: true, found: rows.filter((row) => redirected(line, row)) },
    blocked: { name: "Loop blocked", counted: true, found: [...loop.blocked].sort((a, b) => b[1] - a[1]) },
  };
}

function offerInterest(fall) {
  fall.interest = interestsOf(fall.line, fall.loop);
  fall.visited = {};
  byId("interest").replaceChildren(
    ...Object.entries(fall.interest).map(([key, { name, counted, found }]) => {
      const button = make("button", { type: "button", "data-interest": key, disabled: !found.length }, counted ? `${name}: ${found.length}` : name);
      button.addEventListener("click", () => visit(fall, key));
      return button;
    }),
  );
}

function visit(fall, key) {
  const { found } = fall.interest[key];
  if (!found.length) return;
  if (key === "last") {
    visitChain(fall, found);
    return;
  }
  const next = ((fall.visited[key] ?? -1) + 1) % found.length;
  fall.visited[key] = next;
  fall.showsPath(false);
  fall.highlight([]);
  if (key === "blocked") visitBlock(fall, found[next]);
  else {
    fall.view = around(fall.layout, found[next], fall.bounds);
    fall.select(found[next]);
  }
}

// First the whole chain at a glance, then from link to link.
function visitChain(fall, chain) {
  const next = fall.chain.length ? (fall.visited.last ?? 0) : 0;
  fall.visited.last = (next + 1) % (chain.length + 1);
  fall.showsPath(false);
  fall.highlight(chain);
  if (next) fall.select(chain[next - 1]);
  else {
    fall.release();
    fall.move({ ...fall.bounds });
  }
}

// The iteration with as much time on either side, and the attempts that were in flight then.
function visitBlock(fall, [start, length]) {
  const { line, layout, bounds } = fall;
  const { x0, x1 } = within({ ...bounds, x0: start - length, x1: start + 2 * length }, bounds);
  const units = [...Array(line.rows).keys()].filter((row) => markOf(line, "send_start", row) <= x1 && line.end[row] >= x0).map(layout.unitOf);
  const [top, bottom] = [units.reduce((a, b) => Math.min(a, b), bounds.y1), units.reduce((a, b) => Math.max(a, b), bounds.y0)];
  const spare = Math.max(2, (LEAST_SHOWN - (bottom - top)) / 2);
  fall.view = within(units.length ? { x0, x1, y0: top - spare, y1: bottom + 1 + spare } : { ...bounds, x0, x1 }, bounds);
  fall.chooseMoment(start + length / 2);
}

// The chain in words; a long one is shortened in the middle.
function chainText(line, chain) {
  const names = chain.map((row) => String(at(line.request, row)));
  const shown = names.length <= 12 ? names : [...names.slice(0, 8), "…", ...names.slice(-3)];
  if (chain.length < 2) return `Request ${names[0]} ended last; no stamp shows that it waited for another request's connection.`;
  return `Request ${names[0]} ended last. Each waited for a connection that the next one held: ${shown.join(" ← ")} (${names.length} requests). Not yet the critical path: only connections are followed.`;
}

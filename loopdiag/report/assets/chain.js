// Who waited for whom, from the request that ended last back to one that waited for nobody: a chain of pool leases, not yet the critical path.
function previousOf(line) {
  const byConnection = new Map();
  for (let row = 0; row < line.rows; row += 1) {
    const number = at(line.connection, row);
    if (number === null) continue;
    if (!byConnection.has(number)) byConnection.set(number, []);
    byConnection.get(number).push(row);
  }
  const freed = (row) => firstKnown(markOf(line, "released", row), markOf(line, "last_byte", row), line.end[row]);
  return (row) => {
    const [queued, given] = [markOf(line, "enqueued", row), markOf(line, "assigned", row)];
    const number = at(line.connection, row);
    if (number === null || !(given > queued)) return null;
    const opener = line.links.has(number) ? at(line.connections.request, line.links.get(number)) : null;
    const others = byConnection.get(number).filter((other) => other !== row);
    if (flagsOf(line, row).includes("shared_connect")) return others.find((other) => at(line.request, other) === opener) ?? null;
    // The one that gave the connection back last before it was given on, while this one already waited for it.
    const before = others.filter((other) => freed(other) <= given && freed(other) > queued);
    return before.reduce((last, other) => (last === null || freed(other) > freed(last) ? other : last), null);
  };
}

function chainOf(line) {
  if (!line.rows) return [];
  const previous = previousOf(line);
  const chain = [];
  let row = line.end.reduce((last, time, k) => (time > line.end[last] ? k : last), 0);
  while (row !== null && !chain.includes(row)) {
    chain.push(row);
    row = previous(row);
  }
  return chain;
}

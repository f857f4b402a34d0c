// What the waterfall shows, as plain values: for tests, and for the curious in the console.
function stateOf(fall) {
  const { line, layout, view, loop, curves, chain, row, lane } = fall;
  return {
    by: layout.kind,
    view: { ...view },
    rows: line.rows,
    units: layout.count,
    lanes: layout.lanes.map(({ number, depth, begin, closed, rows }) => ({ number, depth, begin, closed: Number.isNaN(closed) ? null : closed, requests: rows.map((k) => at(line.request, k)) })),
    bars: Object.fromEntries(line.names.map((name, k) => [name, layout.bars[k].row.length]).filter(([, count]) => count)),
    curves: curves.map(({ name, most, mostAt, times }) => ({ name, most, mostAt, steps: times.length })),
    loop: { count: loop.count, single: loop.single, blocked: loop.blocked, ran: share(loop, 0, line.total), pauses: loop.pauses.start.length },
    chain: chain.map((k) => at(line.request, k)),
    path: fall.showPath ? { steps: line.path.count, requests: pathRows(line).map((k) => at(line.request, k)), drawn: fall.pathDrawn ?? 0 } : null,
    chosen: { request: row === null ? null : at(line.request, row), connection: lane === null ? null : layout.lanes[lane].number },
    paintMillis: fall.paintMillis ?? null,
  };
}

// Two layouts of the same attempts: a row an attempt by start, or a lane a connection with the requests that it carried.
// A layout says which unit (row of the drawing) holds what: `count` units, bars by phase and unit, `unitOf` a row, `span` of a row.
const SET_UP = [["dns", "dns_start", "dns_end"], ["lookup", "lookup_start", "lookup_end"], ["connect", "tcp_start", "tcp_end"], ["ssl", "tls_start", "tls_end"]];
const ROUNDING = 2; // microseconds by which rounded times of requests that follow each other may overlap

class Bars {
  constructor(phases) {
    this.lists = Array.from({ length: phases }, () => ({ row: [], begin: [], end: [] }));
  }

  add(phase, unit, begin, end) {
    const list = this.lists[phase];
    list.row.push(unit);
    list.begin.push(begin);
    list.end.push(end);
  }

  packed() {
    return this.lists.map((list) => ({ row: Uint32Array.from(list.row), begin: Float64Array.from(list.begin), end: Float64Array.from(list.end) }));
  }
}

function requestLayout(line) {
  const bars = new Bars(line.names.length);
  for (let row = 0; row < line.rows; row += 1) {
    for (const [phase, begin, end] of phasesOf(line, row)) bars.add(phase, row, begin, end);
  }
  return {
    kind: "request",
    high: 8,
    count: line.rows,
    bars: bars.packed(),
    lanes: [],
    unitOf: (row) => row,
    span: (row) => [line.begin[row], line.end[row]],
    rowAt: (unit) => (unit >= 0 && unit < line.rows ? unit : null),
    laneAt: () => null,
  };
}

// When the connection was this request's: from the moment at which it could use it to its release.
function lease(line, row) {
  const k = line.links.get(at(line.connection, row));
  const mark = (name) => markOf(line, name, row);
  const given = firstKnown(mark("stream"), mark("assigned"), mark("send_start"), line.begin[row]);
  const made = k === undefined ? NaN : firstKnown(linkMark(line, "made", k), linkMark(line, "tls_end", k), linkMark(line, "tcp_end", k), NaN);
  const begin = Number.isNaN(made) ? given : Math.max(given, made);
  return [begin, Math.max(begin, firstKnown(mark("released"), mark("last_byte"), line.end[row]))];
}

// Connections by opening, each with the rows of its requests by lease.
function lanesOf(line, spans) {
  const lanes = new Map(line.connections.number.map((number, k) => [number, { number, link: k, rows: [] }]));
  for (let row = 0; row < line.rows; row += 1) {
    const number = at(line.connection, row);
    if (number === null) continue;
    if (!lanes.has(number)) lanes.set(number, { number, link: null, rows: [] });
    lanes.get(number).rows.push(row);
  }
  const found = [...lanes.values()];
  for (const lane of found) {
    lane.rows.sort((a, b) => spans[a][0] - spans[b][0]);
    const marks = lane.link === null ? [] : marksIn(line.connections.stamps, line.linkMarks, lane.link);
    const times = marks.map(([, time]) => time).concat(lane.rows.flatMap((row) => spans[row]));
    lane.begin = times.reduce((least, time) => Math.min(least, time), Infinity);
    lane.closed = lane.link === null ? NaN : linkMark(line, "closed", lane.link);
    lane.end = Number.isNaN(lane.closed) ? line.last : lane.closed;
  }
  return found.filter((lane) => lane.begin < Infinity).sort((a, b) => a.begin - b.begin || a.number - b.number);
}

// Streams of one connection that overlap get units of their own: each goes to the first that is free.
function stack(lane, spans) {
  const free = [];
  lane.units = [];
  for (const row of lane.rows) {
    let unit = free.findIndex((time) => time <= spans[row][0] + ROUNDING);
    if (unit < 0) unit = free.length;
    free[unit] = spans[row][1];
    (lane.units[unit] ??= []).push(row);
  }
  lane.depth = Math.max(1, free.length);
}

function connectionLayout(line) {
  const spans = Array.from({ length: line.rows }, (_, row) => lease(line, row));
  const lanes = lanesOf(line, spans);
  const bars = new Bars(line.names.length);
  const unitOf = new Int32Array(line.rows).fill(-1);
  const rowsAt = [];
  const laneOfUnit = [];
  for (const [index, lane] of lanes.entries()) {
    stack(lane, spans);
    lane.first = rowsAt.length;
    addSetUp(line, lane, bars);
    for (let k = 0; k < lane.depth; k += 1) {
      const unit = rowsAt.length;
      rowsAt.push(lane.units[k] ?? []);
      laneOfUnit.push(index);
      for (const row of rowsAt[unit]) {
        unitOf[row] = unit;
        for (const [phase, begin, end] of clipped(line, row, spans[row])) bars.add(phase, unit, begin, end);
      }
    }
  }
  return {
    kind: "connection",
    high: lanes.length === rowsAt.length ? 16 : 9,
    count: rowsAt.length,
    bars: bars.packed(),
    lanes,
    unitOf: (row) => unitOf[row],
    span: (row) => spans[row],
    rowAt: (unit, time, slack) => (rowsAt[unit] ?? []).find((row) => spans[row][0] - slack <= time && time <= spans[row][1] + slack) ?? null,
    laneAt: (unit) => laneOfUnit[unit] ?? null,
  };
}

function addSetUp(line, lane, bars) {
  if (lane.link === null) return;
  for (const [phase, from, to] of SET_UP) {
    const [begin, end] = [linkMark(line, from, lane.link), linkMark(line, to, lane.link)];
    if (end >= begin) bars.add(line.names.indexOf(phase), lane.first, begin, end);
  }
}

const clipped = (line, row, [from, to]) =>
  phasesOf(line, row)
    .map(([phase, begin, end]) => [phase, Math.max(begin, from), Math.min(end, to)])
    .filter(([, begin, end]) => end > begin);

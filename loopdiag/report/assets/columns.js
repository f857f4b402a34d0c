// A timeline's columns, unpacked once into typed arrays; stamps are unpacked row by row, when somebody asks.
const at = (column, row) => (Array.isArray(column) ? column[row] : column);
const FAILED = new Set(["error", "timed_out", "cancelled"]);

// Where each row's steps begin in the flat array; a shape of k phases has k + 1 times, an empty one has none.
function offsets(rows, shapeOf, shapes, extra) {
  const starts = new Uint32Array(rows + 1);
  for (let row = 0; row < rows; row += 1) {
    const length = shapes[at(shapeOf, row)].length;
    starts[row + 1] = starts[row] + (length ? length + extra : 0);
  }
  return starts;
}

function unpack(line, phases) {
  const starts = offsets(line.rows, line.shape, line.shapes, 1);
  const bars = phases.map(() => ({ row: [], begin: [], end: [] }));
  const begin = new Float64Array(line.rows);
  const end = new Float64Array(line.rows);
  const stampStarts = offsets(line.rows, line.stampShape, line.stampShapes, 0);
  for (let row = 0; row < line.rows; row += 1) {
    const names = line.shapes[at(line.shape, row)];
    let time = names.length ? line.times[starts[row]] : firstStamp(line, stampStarts, row);
    begin[row] = time;
    names.forEach((phase, k) => {
      const next = time + line.times[starts[row] + 1 + k];
      bars[phase].row.push(row);
      bars[phase].begin.push(time);
      bars[phase].end.push(next);
      time = next;
    });
    end[row] = time;
  }
  const packed = bars.map((bar) => ({ row: Uint32Array.from(bar.row), begin: Float64Array.from(bar.begin), end: Float64Array.from(bar.end) }));
  const last = end.reduce((most, time) => Math.max(most, time), line.total);
  const first = begin.reduce((least, time) => Math.min(least, time), 0);
  return { ...line, starts, stampStarts, bars: packed, begin, end, first, last: Math.max(last, first + 1) };
}

const firstStamp = (line, stampStarts, row) => (stampStarts[row + 1] > stampStarts[row] ? line.stamps[stampStarts[row]] : 0);

// [phase, begin, end] of one row.
function phasesOf(line, row) {
  let time = line.begin[row];
  return line.shapes[at(line.shape, row)].map((phase, k) => {
    const begin = time;
    time += line.times[line.starts[row] + 1 + k];
    return [phase, begin, time];
  });
}

// [name, time] of one row, in the order of time.
function stampsOf(line, row) {
  let time = 0;
  return line.stampShapes[at(line.stampShape, row)].map((name, k) => {
    time += line.stamps[line.stampStarts[row] + k];
    return [line.stampNames[name], time];
  });
}

const flagsOf = (line, row) => line.flagNames.filter((_, bit) => at(line.flags, row) & (1 << bit));

function failed(line, row) {
  const status = at(line.status, row);
  return (status !== null && status >= 400) || flagsOf(line, row).some((flag) => FAILED.has(flag));
}

const retried = (line, row) => at(line.attempt, row) > 0 || flagsOf(line, row).includes("retried");

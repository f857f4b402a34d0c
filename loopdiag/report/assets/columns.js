// A timeline's columns, unpacked once into typed arrays; NaN stands for a stamp that was not observed.
const at = (column, row) => (Array.isArray(column) ? column[row] : column);
const FAILED = new Set(["error", "timed_out", "cancelled"]);
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const DIGIT = Uint8Array.from({ length: 128 }, (_, code) => Math.max(0, DIGITS.indexOf(String.fromCharCode(code))));

// The integers of loopdiag/report/page_columns.py `packed`: 5 bits a character, low ones first, the sign in the lowest bit.
function numbers(text) {
  const found = new Float64Array(text.length);
  let count = 0;
  let value = 0;
  let weight = 1;
  for (let k = 0; k < text.length; k += 1) {
    const digit = DIGIT[text.charCodeAt(k)];
    value += (digit & 31) * weight;
    weight *= 32;
    if (digit < 32) {
      const half = Math.floor(value / 2);
      found[count] = value % 2 ? -half : half;
      count += 1;
      value = 0;
      weight = 1;
    }
  }
  return found.slice(0, count);
}

// The times of steps from each to the next.
function sums(steps) {
  let time = 0;
  return Float64Array.from(steps, (step) => (time += step));
}

// Where each row's steps begin in the flat array; a shape of k names has k + extra steps, an empty one has none.
function offsets(rows, shapeOf, shapes, extra) {
  const starts = new Uint32Array(rows + 1);
  for (let row = 0; row < rows; row += 1) {
    const { length } = shapes[at(shapeOf, row)];
    starts[row + 1] = starts[row] + (length ? length + extra : 0);
  }
  return starts;
}

// name → time of every row.
function marksOf(packed, rows) {
  const { shape, shapes, names } = packed;
  const steps = numbers(packed.steps);
  const starts = offsets(rows, shape, shapes, 0);
  const marks = Object.fromEntries(names.map((name) => [name, new Float64Array(rows).fill(NaN)]));
  for (let row = 0; row < rows; row += 1) {
    let time = 0;
    shapes[at(shape, row)].forEach((name, k) => {
      time += steps[starts[row] + k];
      marks[names[name]][row] = time;
    });
  }
  return marks;
}

function unpack(line, phases) {
  const { rows } = line;
  const starts = offsets(rows, line.shape, line.shapes, 1);
  const times = numbers(line.times);
  const marks = marksOf(line.stamps, rows);
  const linkMarks = marksOf(line.connections.stamps, line.connections.number.length);
  const begin = new Float64Array(rows);
  const end = new Float64Array(rows);
  for (let row = 0; row < rows; row += 1) {
    if (starts[row + 1] > starts[row]) {
      begin[row] = times[starts[row]];
      end[row] = begin[row];
      for (let k = starts[row] + 1; k < starts[row + 1]; k += 1) end[row] += times[k];
    } else {
      begin[row] = Object.values(marks).reduce((least, mark) => (mark[row] < least ? mark[row] : least), Infinity);
      if (begin[row] === Infinity) begin[row] = 0;
      end[row] = begin[row];
    }
  }
  const last = end.reduce((most, time) => Math.max(most, time), line.total);
  const first = begin.reduce((least, time) => Math.min(least, time), 0);
  const links = new Map(line.connections.number.map((number, k) => [number, k]));
  return { ...line, path: unpackPath(line), names: phases.map((phase) => phase.name), starts, times, marks, linkMarks, links, begin, end, first, last: Math.max(last, first + 1) };
}

const markOf = (line, name, row) => line.marks[name]?.[row] ?? NaN;
const linkMark = (line, name, k) => line.linkMarks[name]?.[k] ?? NaN;
const firstKnown = (...times) => times.find((time) => !Number.isNaN(time)) ?? NaN;

// [phase, begin, end] of one row.
function phasesOf(line, row) {
  let time = line.begin[row];
  return line.shapes[at(line.shape, row)].map((phase, k) => {
    const begin = time;
    time += line.times[line.starts[row] + 1 + k];
    return [phase, begin, time];
  });
}

// [name, time] of one row of marks, in the order of time; names of one time keep the recorded order.
function marksIn({ shape, shapes, names }, marks, row) {
  const shown = shapes.length ? shapes[at(shape, row)] : [];
  return shown.map((name) => [names[name], marks[names[name]][row]]);
}

const flagsOf = (line, row) => line.flagNames.filter((_, bit) => at(line.flags, row) & (1 << bit));
const flagWordsOf = (line, row) => line.flagWords.filter((_, bit) => at(line.flags, row) & (1 << bit));

function failed(line, row) {
  const status = at(line.status, row);
  return (status !== null && status >= 400) || flagsOf(line, row).some((flag) => FAILED.has(flag));
}

const redirected = (line, row) => at(line.hop, row) > 0 || flagsOf(line, row).includes("redirected");
const retried = (line, row) => flagsOf(line, row).includes("retried") || (at(line.attempt, row) > 0 && !redirected(line, row));

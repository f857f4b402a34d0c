// Step curves over time: how many of some intervals are open at each moment.
function stepCurve(name, begins, ends) {
  begins.sort();
  ends.sort();
  const times = [];
  const values = [];
  let [open, b, e] = [0, 0, 0];
  while (e < ends.length) {
    const time = b < begins.length ? Math.min(begins[b], ends[e]) : ends[e];
    while (b < begins.length && begins[b] === time) { open += 1; b += 1; }
    // An interval may begin and end within one microsecond: it ends after it has begun.
    while (e < ends.length && ends[e] === time) { open -= 1; e += 1; }
    times.push(time);
    values.push(open);
  }
  return curveOf(name, Float64Array.from(times), Float64Array.from(values));
}

function curveOf(name, times, values) {
  let top = -1;
  values.forEach((value, k) => { if (top < 0 || value > values[top]) top = k; });
  return { name, times, values, most: top < 0 ? 0 : values[top], mostAt: top < 0 ? null : times[top] };
}

// The last step at or before a time; -1 before the first.
function lastBefore(times, time) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function valueAt(curve, time) {
  const k = lastBefore(curve.times, time);
  return k < 0 ? 0 : curve.values[k];
}

// The largest value from one time to another, so that no peak falls between two pixels.
function mostWithin(curve, from, to) {
  let k = lastBefore(curve.times, from);
  let most = k < 0 ? 0 : curve.values[k];
  for (k += 1; k < curve.times.length && curve.times[k] < to; k += 1) if (curve.values[k] > most) most = curve.values[k];
  return most;
}

// From one stamp to another of every attempt; one that never came to the second lasts until the attempt's end.
function between(line, name, from, to) {
  const [begins, ends] = [[], []];
  for (let row = 0; row < line.rows; row += 1) {
    const begin = markOf(line, from, row);
    if (Number.isNaN(begin)) continue;
    begins.push(begin);
    ends.push(Math.max(begin, firstKnown(markOf(line, to, row), line.end[row])));
  }
  return stepCurve(name, Float64Array.from(begins), Float64Array.from(ends));
}

function jobCurves({ queued, wait, length }) {
  const from = sums(queued);
  const started = from.map((time, k) => time + Math.max(0, wait[k]));
  const ended = started.map((time, k) => time + Math.max(0, length[k]));
  return [stepCurve("queued in executors", from, started.slice()), stepCurve("executor threads at work", started, ended)];
}

const curvesOf = (line) => [
  { ...between(line, "requests in flight", "send_start", "last_byte"), fill: "wait" },
  { ...between(line, "waiting in the pool", "enqueued", "assigned"), fill: "pool" },
  ...(line.jobs ? jobCurves(line.jobs).map((curve, k) => ({ ...curve, fill: k ? "decode" : "pool" })) : []),
];

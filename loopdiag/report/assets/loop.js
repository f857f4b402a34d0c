// The loop's iterations: single ones, and for any stretch of time the share in which it ran callbacks.
// `begin`, `wake` and `end` of iteration k are the start of its poll, the end of its poll and the end of its run.
function unpackLoop(line) {
  const { loop } = line;
  const pauses = { start: sums(line.pauses.start), length: line.pauses.length, generation: line.pauses.generation, count: line.pauses.count };
  if (!loop) return { single: false, count: 0, blocked: [], pauses, edges: new Float64Array(0), ran: new Float64Array(0) };
  return { blocked: loop.blocked, count: loop.count, knowsReady: loop.knowsReady, pauses, ...(loop.bins ? binned(line) : singles(loop)) };
}

function singles(loop) {
  const [gap, poll, run, ready] = [loop.gap, loop.poll, loop.run, loop.ready].map(numbers);
  const n = poll.length;
  const [begin, wake, end] = [new Float64Array(n), new Float64Array(n), new Float64Array(n)];
  const [edges, ran] = [new Float64Array(2 * n), new Float64Array(2 * n)];
  let [time, total] = [0, 0];
  for (let k = 0; k < n; k += 1) {
    begin[k] = time + gap[k];
    wake[k] = begin[k] + poll[k];
    end[k] = wake[k] + run[k];
    time = end[k];
    edges[2 * k] = wake[k];
    ran[2 * k] = total;
    total += run[k];
    edges[2 * k + 1] = end[k];
    ran[2 * k + 1] = total;
  }
  return { single: true, begin, wake, end, ready, edges, ran };
}

function binned({ loop, total }) {
  const width = total / Math.max(1, loop.bins.length);
  let worked = 0;
  const ran = Float64Array.from([0, ...loop.bins], (share) => (worked += (share / 100) * width));
  return { single: false, edges: ran.map((_, k) => k * width), ran };
}

// How long the loop had run callbacks by a time.
function ranBy({ edges, ran }, time) {
  const k = lastBefore(edges, time);
  if (k < 0) return 0;
  if (k + 1 >= edges.length) return ran[k];
  const span = edges[k + 1] - edges[k];
  return ran[k] + (span ? ((time - edges[k]) / span) * (ran[k + 1] - ran[k]) : 0);
}

const share = (loop, from, to) => (ranBy(loop, to) - ranBy(loop, from)) / Math.max(1e-9, to - from);

// The iteration at a time, or null.
function iterationAt(loop, time) {
  if (!loop.single) return null;
  const k = lastBefore(loop.begin, time);
  return k >= 0 && time < Math.max(loop.end[k], loop.begin[k] + 1) ? k : null;
}

// [first, after] of the iterations that touch a stretch of time.
const iterationsWithin = (loop, from, to) => [Math.max(0, lastBefore(loop.begin, from)), lastBefore(loop.begin, to) + 1];

// The pause at a time, give or take `slack`; the longest where there are several.
function pauseAt({ pauses }, time, slack) {
  let found = null;
  pauses.start.forEach((start, k) => {
    if (start - slack <= time && time <= start + pauses.length[k] + slack && (found === null || pauses.length[k] > pauses.length[found])) found = k;
  });
  return found;
}

// The iteration that ran for 10 ms or longer at a time, or null.
const blockedAt = (loop, time, slack) => loop.blocked.find(([start, length]) => start - slack <= time && time <= start + length + slack) ?? null;

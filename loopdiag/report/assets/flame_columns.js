// A flame graph's columns, unpacked into typed arrays. Nodes stand level by level, each level from left to right, so children of one node are neighbours.
// `left` and `right` are in the graph's own unit; of graphs over time they are microseconds since the trial's t0.
function flameNames({ functions, file, files, line }) {
  const [places, lines] = [numbers(file), numbers(line)];
  const name = (k) => (k ? functions[k - 1] : "");
  const where = (k) => {
    if (!k || !files[places[k - 1]]) return "";
    return lines[k - 1] ? `${files[places[k - 1]]}:${lines[k - 1]}` : files[places[k - 1]];
  };
  const sought = [""].concat(functions.map((text, k) => `${text} ${files[places[k]]}`.toLowerCase()));
  return { name, where, sought };
}

function unpackFlame(graph) {
  const { count, step } = graph;
  const scaled = (text) => numbers(text).map((value) => value * step);
  const parent = Int32Array.from(sums(numbers(graph.parent)));
  const width = scaled(graph.width);
  const value = graph.value === null ? width : scaled(graph.value);
  const exponent = new Float32Array(count).fill(NaN);
  sums(numbers(graph.super)).forEach((node, k) => { exponent[node] = graph.exponents[k]; });
  const made = {
    ...graph, parent, width, value, exponent,
    own: scaled(graph.own),
    frame: Uint32Array.from(numbers(graph.frame)),
    code: Uint8Array.from(numbers(graph.code)),
    below: graph.below === null ? null : scaled(graph.below),
    over: graph.over === null ? null : scaled(graph.over),
    ...levelsOf(parent),
    ...(graph.kind === "time" ? inTime(graph, parent) : inRows(parent, width)),
  };
  made.source = sourcesOf(made);
  return made;
}

// Where growth comes from: super-linear frames of which less than half lies in super-linear frames that they call. The others only carry it.
function sourcesOf({ parent, width, exponent }) {
  const carried = new Float64Array(parent.length);
  for (let k = 1; k < parent.length; k += 1) if (!Number.isNaN(exponent[k])) carried[parent[k]] += width[k];
  return Uint8Array.from(exponent, (power, k) => (!Number.isNaN(power) && carried[k] < width[k] / 2 ? 1 : 0));
}

// The depth of each node, where each level begins, and each node's children [from, to).
function levelsOf(parent) {
  const count = parent.length;
  const depth = new Uint16Array(count);
  const [from, to] = [new Uint32Array(count), new Uint32Array(count)];
  const levels = [0];
  for (let k = 1; k < count; k += 1) {
    const above = parent[k];
    depth[k] = depth[above] + 1;
    if (depth[k] > depth[k - 1]) levels.push(k);
    if (!to[above]) from[above] = k;
    to[above] = k + 1;
  }
  return { depth, from, to, levels: Uint32Array.from([...levels, count]) };
}

// Side by side from the left edge of the parent.
function inRows(parent, width) {
  const count = parent.length;
  const [left, right] = [new Float64Array(count), new Float64Array(count)];
  const free = new Float64Array(count);
  right[0] = width[0];
  for (let k = 1; k < count; k += 1) {
    const above = parent[k];
    left[k] = free[above];
    right[k] = Math.min(left[k] + width[k], right[above]);
    free[above] = right[k];
    free[k] = left[k];
  }
  return { left, right };
}

// From when to when each was seen: at least until the last of what it called was, and not into what ran after it; the root spans all.
function inTime(graph, parent) {
  const left = sums(numbers(graph.start));
  const right = numbers(graph.width).map((long, k) => left[k] + long);
  const depth = new Uint16Array(parent.length);
  for (let k = 1; k < parent.length; k += 1) {
    depth[k] = depth[parent[k]] + 1;
    left[0] = Math.min(left[0], left[k]);
  }
  for (let k = parent.length - 1; k > 0; k -= 1) {
    if (k + 1 < parent.length && depth[k] === depth[k + 1]) right[k] = Math.min(right[k], Math.max(left[k], left[k + 1]));
    right[parent[k]] = Math.max(right[parent[k]], right[k]);
  }
  right[0] = right.reduce((most, time) => Math.max(most, time), left[0] + 1);
  return { left, right };
}

// The first node of a level that ends after `x`, and the level's end.
function levelFrom({ levels, right }, level, x) {
  let [low, high] = [levels[level], levels[level + 1]];
  const end = high;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (right[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return [low, end];
}

// The node at a depth and a place, or null.
function nodeAt(graph, level, x) {
  if (level < 0 || level + 1 >= graph.levels.length) return null;
  const [k, end] = levelFrom(graph, level, x);
  return k < end && graph.left[k] <= x ? k : null;
}

// From the root to a node.
function pathTo({ parent }, node) {
  const path = [];
  for (let k = node; k >= 0; k = parent[k]) path.unshift(k);
  return path;
}

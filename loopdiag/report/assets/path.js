// The critical path of a trial: steps without a gap from its first stamp to its end, each on a request's row or on none.
const LOOP_ACCOUNT = -1;
const PATH_HIGH = 9; // pixels of the line at most
const PATH_LOW = 5; // and at least: it is to be seen among 800 rows

function unpackPath(line) {
  if (!line.path) return null;
  const [start, ...lengths] = numbers(line.path.lengths);
  const requests = numbers(line.path.request);
  const count = lengths.length;
  const [begin, end] = [new Float64Array(count), new Float64Array(count)];
  lengths.reduce((time, length, k) => {
    begin[k] = time;
    end[k] = time + length;
    return end[k];
  }, start);
  return { ...line.path, count, begin, end, requests };
}

// The row of each step: the request's attempt that was under way then, -1 where there is none.
function rowsOfSteps(line) {
  if (line.path.rows) return line.path.rows;
  const attempts = new Map();
  for (let row = 0; row < line.rows; row += 1) {
    const request = at(line.request, row);
    if (!attempts.has(request)) attempts.set(request, []);
    attempts.get(request).push(row);
  }
  line.path.rows = Int32Array.from(line.path.begin, (time, k) => {
    const rows = line.path.requests[k] ? attempts.get(line.path.requests[k] - 1) ?? [] : [];
    return rows.find((row) => line.begin[row] <= time + 1 && time < line.end[row]) ?? rows[rows.length - 1] ?? -1;
  });
  return line.path.rows;
}

// The requests that it goes through, from the last back to the first; each once a visit.
const pathRows = (line) => [...rowsOfSteps(line)].filter((row) => row >= 0).filter((row, k, all) => row !== all[k - 1]).reverse();

// Microseconds of the path by account, the largest first.
function pathSums({ path }) {
  const sums = new Map();
  for (let k = 0; k < path.count; k += 1) sums.set(at(path.account, k), (sums.get(at(path.account, k)) ?? 0) + path.end[k] - path.begin[k]);
  return [...sums].filter(([, sum]) => sum > 0).sort((a, b) => b[1] - a[1]);
}

// What a step is drawn with: the loop in ink, the outside in its account's colour, hatched.
function pathStyle(context, ink, account, ratio) {
  if (account === LOOP_ACCOUNT) return ink.ink;
  const colour = cssColour(`--account-${account}`);
  const key = ["path", account, colour, ink.page, ratio].join();
  if (!kept.has(key)) kept.set(key, hatch(context, mix(colour, ink.page, 0.5), colour, ratio));
  return kept.get(key);
}

// Everything else steps back; a thick line runs along the critical requests, thin where a ready request waited for the loop; a thin line is a hop.
function paintPath(context, scale, line, { layout }) {
  const { path } = line;
  const { ink, ratio } = scale;
  context.globalAlpha = 0.66;
  context.fillStyle = ink.page;
  context.fillRect(GUTTER, TOP, scale.width - GUTTER, scale.height - TOP);
  context.globalAlpha = 1;
  const styles = new Map(pathSums(line).map(([account]) => [account, pathStyle(context, ink, account, ratio)]));
  const rows = rowsOfSteps(line);
  const tall = clamp(scale.y * 0.7, PATH_LOW, PATH_HIGH);
  let before = null;
  let drawn = 0;
  context.lineWidth = 1.25;
  context.strokeStyle = ink.accent;
  for (let k = 0; k < path.count; k += 1) {
    const unit = rows[k] < 0 ? -1 : layout.unitOf(rows[k]);
    const y = unit < 0 ? before : scale.top(unit + 0.5);
    if (y === null) continue;
    const [left, right] = [scale.left(path.begin[k]), scale.left(path.end[k])];
    if (before !== null && y !== before) paintHop(context, left, before, y);
    before = y;
    if (right < GUTTER || left > scale.width) continue;
    const high = at(path.account, k) === LOOP_ACCOUNT && !at(path.own, k) ? tall / 2 : tall;
    context.fillStyle = styles.get(at(path.account, k)) ?? ink.ink;
    if (unit < 0) context.globalAlpha = 0.4;
    context.fillRect(left, y - high / 2, Math.max(0.6, right - left), high);
    context.globalAlpha = 1;
    drawn += 1;
  }
  return drawn;
}

// From the request that was waited for to the one that waited, with an arrow's head where there is room.
function paintHop(context, x, from, to) {
  context.beginPath();
  context.moveTo(x, from);
  context.lineTo(x, to);
  if (Math.abs(to - from) > 14) {
    const back = to > from ? -6 : 6;
    context.moveTo(x - 3.5, to + back);
    context.lineTo(x, to);
    context.lineTo(x + 3.5, to + back);
  }
  context.stroke();
}

function pathText(line) {
  const names = pathRows(line).map((row) => String(at(line.request, row)));
  const shown = names.length <= 12 ? names : [...names.slice(0, 8), "…", ...names.slice(-3)];
  const hops = Object.entries(line.path.hops).map(([via, count]) => `${count} × ${via}`).join(", ");
  if (!names.length) return "The critical path goes through no request that was observed.";
  return `Critical path, from the request that ended last back to the first: ${shown.join(" ← ")} (${plural(new Set(names).size, "request")}${hops ? `; hops: ${hops}` : ""}). Its parts add up to the total.`;
}

Object.assign(Waterfall.prototype, {
  // The button is there where the trial's path is.
  offerPath() {
    byId("path").hidden = !this.timelines.some((line) => line.path);
    byId("path").disabled = !this.line.path;
    if (!this.line.path) this.showPath = false;
    this.drawPathKey();
  },

  togglePath() {
    if (!this.line.path) return;
    this.release();
    this.showsPath(!this.showPath);
    this.highlight([]);
  },

  showsPath(shown) {
    this.showPath = shown && Boolean(this.line.path);
    this.drawPathKey();
  },

  // What the line's parts are, with their shares of the path.
  drawPathKey() {
    const key = byId("path-key");
    byId("path").setAttribute("aria-pressed", String(this.showPath));
    key.hidden = !this.showPath;
    if (!this.showPath) return;
    const { path } = this.line;
    const whole = path.end[path.count - 1] - path.begin[0] || 1;
    const ready = path.end.reduce((sum, end, k) => sum + (at(path.account, k) === LOOP_ACCOUNT && !at(path.own, k) ? end - path.begin[k] : 0), 0);
    const entries = pathSums(this.line).map(([account, sum]) => this.pathEntry(account, `${account === LOOP_ACCOUNT ? path.inside : this.accounts[account].name} ${percent(sum / whole)}`));
    if (ready) entries.push(this.pathEntry(LOOP_ACCOUNT, `thin: ready, the ${path.inside} ran others, ${percent(ready / whole)}`, true));
    const vias = path.vias.filter(Boolean);
    if (vias.length) entries.push(make("span", {}, make("span", { class: "hop" }, "↓"), `hop: ${vias.join(", ")}`));
    key.replaceChildren(...entries);
  },

  pathEntry(account, text, thin = false) {
    const ratio = window.devicePixelRatio || 1;
    const tile = make("canvas", { width: 22 * ratio, height: 12 * ratio });
    const brush = tile.getContext("2d");
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    brush.fillStyle = pathStyle(brush, themeColours(), account, ratio);
    brush.fillRect(0, thin ? 4 : 2, 22, thin ? 4 : 8);
    return make("span", {}, tile, text);
  },
});

// The waterfall section: which trial, which part of it, which row.
const MOST_ROWS_HIGH = 800;
const ROW_HIGH = 8;
const SLOWEST = 10;

class Waterfall {
  constructor(timelines, phases, leftOut) {
    this.timelines = timelines;
    this.phases = phases;
    this.leftOut = leftOut;
    this.canvas = byId("canvas");
    this.tip = byId("tip");
    this.tip.className = "tip";
    this.picks = ["arm", "n", "repetition"].map((key) => [key, byId(`pick-${key}`)]);
    this.picks.forEach(([, pick], level) => pick.addEventListener("change", () => this.choose(level)));
    new ResizeObserver(() => this.resize()).observe(byId("frame"));
    this.fillPicks(0);
    this.show();
  }

  // Fills the selectors below `level` with what the ones above leave, keeping each choice where it still exists, else the largest N.
  fillPicks(level) {
    for (let k = level; k < this.picks.length; k += 1) {
      const [key, pick] = this.picks[k];
      const before = pick.value;
      const values = [...new Set(this.matching(k).map((line) => String(line[key])))];
      pick.replaceChildren(...values.map((value) => make("option", { value }, value)));
      pick.disabled = values.length < 2;
      pick.value = values.includes(before) ? before : values[key === "n" ? values.length - 1 : 0];
    }
  }

  matching(levels) {
    return this.timelines.filter((line) => this.picks.slice(0, levels).every(([key, pick]) => String(line[key]) === pick.value));
  }

  choose(level) {
    this.fillPicks(level + 1);
    this.show();
  }

  show() {
    this.line = unpack(this.matching(3)[0], this.phases);
    const rows = [...Array(this.line.rows).keys()];
    this.bounds = boundsOf(this.line);
    this.failed = rows.filter((row) => failed(this.line, row));
    this.view = { ...this.bounds };
    this.row = null;
    this.drag = null;
    this.pinned = false;
    this.hideTip();
    this.describe();
    this.offerInterest(rows);
    this.drawLegend();
    this.resize();
  }

  describe() {
    const { line } = this;
    const parts = [
      micros(line.total),
      plural(line.rows, "attempt"),
      `${plural(line.connections.number.length, "connection")} opened`,
      line.unattributed === null ? null : `${significant(line.unattributed * 100, 2)} % unattributed (median)`,
      this.leftOut ? `${plural(this.leftOut, "further timeline")} in the run's folder only, for the size of this page` : null,
    ];
    byId("facts").replaceChildren(make("b", {}, parts[0]), ` in all · ${parts.slice(1).filter(Boolean).join(" · ")}`);
    const notes = [...line.faults.map((fault) => `Broken invariant: ${fault}`), ...line.notObserved.map((note) => `Not observed: ${note}`)];
    const list = make("ul", {}, ...notes.map((note) => make("li", {}, note)));
    byId("faults").replaceChildren(...(notes.length ? [make("details", {}, make("summary", {}, `${plural(notes.length, "note")} on this trial`), list)] : []));
  }

  // Requests of interest, one click away; each further click goes to the next one.
  offerInterest(rows) {
    const { line } = this;
    const length = (row) => line.end[row] - line.begin[row];
    const last = rows.reduce((best, row) => (best === null || line.end[row] > line.end[best] ? row : best), null);
    this.interest = {
      slowest: [...rows].sort((a, b) => length(b) - length(a)).slice(0, SLOWEST),
      last: last === null ? [] : [last],
      errors: this.failed,
      retried: rows.filter((row) => retried(line, row)),
    };
    const names = { slowest: "Slowest", last: "Last to end", errors: "Errors", retried: "Retried" };
    this.visited = {};
    byId("interest").replaceChildren(
      ...Object.entries(this.interest).map(([key, found]) => {
        const counted = key === "errors" || key === "retried" ? `${names[key]}: ${found.length}` : names[key];
        const button = make("button", { type: "button", "data-interest": key, disabled: !found.length }, counted);
        button.addEventListener("click", () => this.visit(key));
        return button;
      }),
    );
  }

  visit(key) {
    const found = this.interest[key];
    if (!found.length) return;
    const next = (this.visited[key] ?? -1) + 1;
    this.visited[key] = next % found.length;
    this.view = around(this.line, found[this.visited[key]], this.bounds);
    this.select(found[this.visited[key]]);
  }

  drawLegend() {
    const ratio = window.devicePixelRatio || 1;
    const entries = this.phases.filter((_, k) => this.line.bars[k].row.length).map((phase) => {
      const tile = make("canvas", { width: 18 * ratio, height: 12 * ratio });
      const brush = tile.getContext("2d");
      brush.setTransform(ratio, 0, 0, ratio, 0, 0);
      [brush.fillStyle] = fills(brush, [phase], cssColour("--page"), ratio, true);
      brush.fillRect(0, 0, 18, 12);
      return make("div", {}, tile, make("span", {}, phase.name), make("span", {}, phase.meaning));
    });
    byId("legend").replaceChildren(...entries);
  }

  resize() {
    if (!this.line) return;
    const ratio = window.devicePixelRatio || 1;
    const width = byId("frame").clientWidth;
    const height = TOP + clamp(this.line.rows * ROW_HIGH, 200, MOST_ROWS_HIGH);
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.height = `${height}px`;
    this.redraw();
  }

  redraw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      paint(this.canvas, this.line, this.phases, this);
    });
  }

  move(view) {
    this.view = view;
    this.canvas.style.touchAction = view.x1 - view.x0 < this.bounds.x1 - this.bounds.x0 || view.y1 - view.y0 < this.bounds.y1 ? "none" : "pan-y";
    this.redraw();
  }

  // From a point of the canvas, in CSS pixels, to microseconds and rows; `inside` says whether it lies on a row.
  locate(x, y) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const time = this.view.x0 + ((x - GUTTER) / (width - GUTTER)) * (this.view.x1 - this.view.x0);
    const row = this.view.y0 + ((y - TOP) / (height - TOP)) * (this.view.y1 - this.view.y0);
    return { time, row, inside: x >= GUTTER && y >= TOP && row >= 0 && row < this.line.rows };
  }

  // From microseconds and a row to a point of the canvas.
  place(time, row) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const x = GUTTER + ((time - this.view.x0) / (this.view.x1 - this.view.x0)) * (width - GUTTER);
    return { x: clamp(x, GUTTER, width), y: TOP + ((row + 0.5 - this.view.y0) / (this.view.y1 - this.view.y0)) * (height - TOP) };
  }

  hover(x, y) {
    if (this.pinned) return;
    const found = this.locate(x, y);
    if (!found.inside) {
      this.row = null;
      this.hideTip();
    } else {
      this.row = Math.floor(found.row);
      this.showTip(x, y, found.time);
    }
    this.redraw();
  }

  select(row) {
    this.pinned = row !== null;
    this.row = row;
    if (row === null) {
      this.hideTip();
    } else {
      this.view = showing(this.view, row, this.bounds);
      const { x, y } = this.place(this.line.begin[row], row);
      this.showTip(x, y, null);
      byId("spoken").textContent = spoken(this.line, this.phases, row);
    }
    this.move(this.view);
  }

  showTip(x, y, time) {
    fillTip(this.tip, this.line, this.phases, this.row, time);
    this.tip.hidden = false;
    placeBeside(this.tip, x, y);
  }

  hideTip() {
    this.tip.hidden = true;
  }
}

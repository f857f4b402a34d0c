// The waterfall section: which trial, laid out by what, which part of it, which row, lane or moment.
const MOST_HIGH = 800;
const LEAST_HIGH = 160;
const LAYOUTS = { request: requestLayout, connection: connectionLayout };

class Waterfall {
  constructor(timelines, phases, leftOut, accounts) {
    this.timelines = timelines;
    this.phases = phases;
    this.leftOut = leftOut;
    this.accounts = accounts;
    this.showPath = false;
    this.by = "request";
    this.canvas = byId("canvas");
    this.under = byId("tracks");
    this.tip = byId("tip");
    this.tip.className = "tip";
    this.base = document.createElement("canvas");
    this.layer = document.createElement("canvas");
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
    const line = unpack(this.matching(3)[0], this.phases);
    this.line = line;
    this.loop = unpackLoop(line);
    this.curves = curvesOf(line);
    this.failed = [...Array(line.rows).keys()].filter((row) => failed(line, row));
    Object.assign(this, tracksOf(line, this.curves, this.loop));
    this.view = null;
    this.layouts = {};
    this.chain = [];
    this.offerPath();
    offerInterest(this);
    this.layOut(this.by);
    describe(this);
    this.tell("trialchange");
  }

  // The trial of an arm and an N, if there is one.
  showCell(arm, n) {
    [["arm", arm], ["n", String(n)]].forEach(([, value], level) => {
      this.picks[level][1].value = value;
      this.fillPicks(level + 1);
    });
    this.show();
  }

  // For whoever draws on the same time axis.
  tell(name, detail = null) {
    byId("frame").dispatchEvent(new CustomEvent(name, { detail }));
  }

  // Rows or lanes; the time that is shown stays.
  layOut(by) {
    this.by = by;
    this.layouts[by] ??= LAYOUTS[by](this.line);
    this.layout = this.layouts[by];
    this.bounds = boundsOf(this.line, this.layout);
    this.view = this.view ? { ...this.bounds, x0: this.view.x0, x1: this.view.x1 } : { ...this.bounds };
    [this.drag, this.trackDrag] = [null, null];
    for (const button of document.querySelectorAll("[data-by]")) button.setAttribute("aria-pressed", String(button.dataset.by === by));
    this.canvas.setAttribute("aria-label", by === "request" ? "Waterfall of requests" : "Lanes of connections");
    this.release();
    this.highlight(this.chain);
    drawLegend(this);
    this.resize();
  }

  highlight(chain) {
    this.chain = chain;
    const path = this.showPath ? pathText(this.line) : "";
    byId("chain").textContent = chain.length ? chainText(this.line, chain) : path;
    this.stale = true;
    this.redraw();
  }

  resize() {
    if (!this.line) return;
    const ratio = window.devicePixelRatio || 1;
    const width = byId("frame").clientWidth;
    const sizes = [[this.canvas, TOP + clamp(this.layout.count * this.layout.high, LEAST_HIGH, MOST_HIGH)], [this.under, this.height]];
    for (const [canvas, height] of sizes) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.height = `${height}px`;
    }
    // The tracks stay in the window while the rows scroll, unless they would take too much of it.
    this.under.classList.toggle("afloat", this.height < window.innerHeight * 0.3);
    for (const canvas of [this.base, this.layer]) [canvas.width, canvas.height] = [this.canvas.width, this.canvas.height];
    this.stale = true;
    this.redraw();
  }

  redraw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.paint();
    });
  }

  paint() {
    if (!this.base.width || !this.base.height) return; // not laid out: a window without a width, as while it is being printed
    const began = performance.now();
    if (this.stale) {
      paintBase(this.base, this.line, this.phases, this);
      paintTracks(this.under, this.line, this.phases, this);
      this.stale = false;
    } else if (this.trackDrag) {
      paintTracks(this.under, this.line, this.phases, this);
    }
    const scale = scaleOf(this.canvas, this.view, TOP);
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.base, 0, 0);
    context.setTransform(scale.ratio, 0, 0, scale.ratio, 0, 0);
    paintMarks(context, scale, this);
    this.paintMillis = performance.now() - began;
  }

  move(view) {
    this.view = view;
    this.stale = true;
    const near = view.x1 - view.x0 < this.bounds.x1 - this.bounds.x0 || view.y1 - view.y0 < this.bounds.y1;
    for (const canvas of [this.canvas, this.under]) canvas.style.touchAction = near ? "none" : "pan-y";
    this.tell("viewmove");
    this.redraw();
  }

  timeAt(x) {
    return this.view.x0 + ((x - GUTTER) / (this.canvas.clientWidth - GUTTER)) * (this.view.x1 - this.view.x0);
  }

  // Microseconds a pixel, as far as a pointer is blunt.
  get slack() {
    return (3 * (this.view.x1 - this.view.x0)) / (this.canvas.clientWidth - GUTTER);
  }

  // From a point of the canvas, in CSS pixels, to microseconds and units; `inside` says whether it lies on a unit.
  locate(x, y) {
    const unit = this.view.y0 + ((y - TOP) / (this.canvas.clientHeight - TOP)) * (this.view.y1 - this.view.y0);
    return { time: this.timeAt(x), unit, inside: x >= GUTTER && y >= TOP && unit >= 0 && unit < this.layout.count };
  }

  // From microseconds and a unit to a point of the canvas.
  place(time, unit) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const x = GUTTER + ((time - this.view.x0) / (this.view.x1 - this.view.x0)) * (width - GUTTER);
    return { x: clamp(x, GUTTER, width), y: TOP + ((unit + 0.5 - this.view.y0) / (this.view.y1 - this.view.y0)) * (height - TOP) };
  }
}

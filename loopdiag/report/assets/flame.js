// The section on code: which graph, which part of it, which frame, what a search found.
const FLAME_MOST_ROWS = 60;
const FLAME_KINDS = ["slope", "trial", "time", "difference"];

class FlameGraph {
  constructor({ graphs, frames, classes, leftOut }, fall) {
    Object.assign(this, { graphs, classes, leftOut, fall });
    this.names = flameNames(frames);
    this.canvas = byId("flame");
    this.tip = byId("flame-tip");
    this.arm = byId("flame-arm");
    this.pick = byId("flame-pick");
    this.unpacked = new Map();
    this.mixed = new Map();
    this.colours = flameColours(classes);
    this.arm.addEventListener("change", () => this.fillGraphs());
    this.pick.addEventListener("change", () => this.open(this.graphs[Number(this.pick.value)]));
    for (const button of document.querySelectorAll("[data-flame]")) button.addEventListener("click", () => this.chooseKind(button.dataset.flame));
    this.chooseKind(FLAME_KINDS.find((kind) => graphs.some((graph) => graph.kind === kind)));
    new ResizeObserver(() => this.resize()).observe(byId("flame-frame"));
    followWaterfall(this);
    // Drawn at once, so that the reader does not wait for the next frame.
    this.resize();
    this.paint();
    this.readyMillis = performance.now();
  }

  chooseKind(kind) {
    this.kind = kind;
    for (const button of document.querySelectorAll("[data-flame]")) {
      button.setAttribute("aria-pressed", String(button.dataset.flame === kind));
      if (button.dataset.flame === kind) byId("flame-lead").textContent = button.title;
    }
    const before = this.arm.value;
    const arms = [...new Set(this.graphs.filter((graph) => graph.kind === kind).map((graph) => graph.arm))];
    this.arm.replaceChildren(...arms.map((value) => make("option", { value }, value)));
    this.arm.disabled = arms.length < 2;
    this.arm.value = arms.includes(before) ? before : arms[0];
    this.fillGraphs();
  }

  // The graphs of the chosen kind and arm; the N that is shown stays, else the largest.
  fillGraphs() {
    const fits = [...this.graphs.keys()].filter((k) => this.graphs[k].kind === this.kind && this.graphs[k].arm === this.arm.value);
    const name = ({ n, title, kind }) => (n === null || kind === "difference" ? title : `N = ${n}`);
    const twice = new Set(fits.map((k) => name(this.graphs[k]))).size < fits.length;
    this.pick.replaceChildren(...fits.map((k) => make("option", { value: String(k) }, twice ? this.graphs[k].title : name(this.graphs[k]))));
    this.pick.parentElement.hidden = fits.length < 2;
    const same = fits.find((k) => this.graph && this.graphs[k].n === this.graph.n && this.graph.n !== null);
    this.pick.value = String(same ?? fits[fits.length - 1]);
    this.open(this.graphs[Number(this.pick.value)]);
  }

  open(packed) {
    if (!this.unpacked.has(packed)) this.unpacked.set(packed, unpackFlame(packed));
    this.graph = this.unpacked.get(packed);
    this.chosen = null;
    this.zoomed = null;
    [this.edge, this.top] = this.graph.kind === "time" ? [GUTTER, TOP] : [0, 0];
    this.found = searchFlame(this.graph, this.names, byId("flame-search").value);
    this.hideTip();
    pointFlame(this, null);
    this.canvas.setAttribute("aria-label", `Flame graph: ${this.graph.title}`);
    const parts = [...document.querySelectorAll(".arm-code")];
    const own = parts.some((part) => part.dataset.arm === this.graph.arm);
    for (const part of parts) part.hidden = own && part.dataset.arm !== this.graph.arm;
    drawFlameLegend(this);
    this.settle();
  }

  // Bounds and view anew; where the waterfall shows the same cell, its view.
  settle() {
    this.bounds = flameBounds(this);
    this.zoomed = null;
    this.view = sharesTime(this) ? { x0: this.fall.view.x0, x1: this.fall.view.x1 } : { ...this.bounds };
    this.show(this.view);
  }

  nameOf(k) {
    return this.names.name(this.graph.frame[k]) || (k ? "?" : this.graph.kind === "difference" ? "all changes" : `all of ${this.graph.arm}`);
  }

  isWhole() {
    return this.zoomed === null && this.view.x0 <= this.bounds.x0 && this.view.x1 >= this.bounds.x1;
  }

  resize() {
    if (!this.graph) return;
    const ratio = window.devicePixelRatio || 1;
    const width = byId("flame-frame").clientWidth;
    // Zooming shows deeper frames: the picture may grow, and never gets lower than the whole.
    const deep = [this.bounds, this.view].map((span) => rowsWithin(this.graph, span, Math.max(1, width - this.edge)));
    this.rows = Math.min(Math.max(...deep), FLAME_MOST_ROWS);
    const height = this.top + this.rows * FLAME_ROW;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.height = `${height}px`;
    }
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
    const began = performance.now();
    paintFlame(this);
    this.paintMillis = performance.now() - began;
  }

  // Shows a stretch; a very deep graph begins a few rows above the frame that fills the view.
  show({ x0, x1 }) {
    const { bounds, graph } = this;
    const least = graph.kind === "time" ? LEAST_MICROS : (bounds.x1 - bounds.x0) * 1e-6;
    [x0, x1] = fitted(x0, x1, least, bounds.x0, bounds.x1);
    this.view = { x0, x1 };
    if (this.zoomed !== null && (graph.left[this.zoomed] > x0 + least || graph.right[this.zoomed] < x1 - least)) this.zoomed = null;
    this.resize();
    const deep = graph.depth[this.chosen ?? this.zoomed ?? 0];
    const spare = graph.levels.length - 1 - this.rows;
    this.firstRow = spare > 0 ? clamp(deep - (this.chosen === null ? 4 : Math.round(this.rows * 0.6)), 0, spare) : 0;
    this.canvas.style.touchAction = this.isWhole() ? "pan-y" : "none";
    drawPath(this);
    describeFlame(this);
    leadWaterfall(this);
    this.redraw();
  }

  zoomTo(k) {
    const { graph } = this;
    this.zoomed = k === 0 ? null : k;
    this.hideTip();
    this.show(k === 0 ? this.bounds : { x0: graph.left[k], x1: graph.right[k] });
    byId("flame-spoken").textContent = `Shows ${spokenNode(this, k)}`;
  }

  reset() {
    byId("flame-search").value = "";
    this.found = null;
    this.chosen = null;
    this.zoomTo(0);
  }

  search(text) {
    const began = performance.now();
    this.found = searchFlame(this.graph, this.names, text);
    this.paint();
    describeFlame(this);
    drawPath(this);
    this.searchMillis = performance.now() - began;
  }

  // From match to match, the widest first.
  nextFound(by) {
    if (!this.found?.nodes.length) return;
    const order = (this.found.order ??= [...this.found.nodes].sort((a, b) => this.graph.width[b] - this.graph.width[a]));
    const at = order.indexOf(this.chosen);
    this.select(order[(at < 0 ? (by > 0 ? 0 : order.length - 1) : at + by + order.length) % order.length]);
  }

  // By keys: the frame comes into view, is told and read aloud.
  select(k) {
    const { graph, view } = this;
    this.chosen = k;
    const middle = (graph.left[k] + graph.right[k]) / 2;
    const [wide, shown] = [graph.right[k] - graph.left[k], view.x1 - view.x0];
    if (graph.right[k] <= view.x0 || graph.left[k] >= view.x1 || wide < shown / 600) {
      const span = wide < shown / 600 ? wide * 60 : shown;
      this.zoomed = null;
      this.show({ x0: middle - span / 2, x1: middle + span / 2 });
    } else this.show(view);
    this.paint();
    const { x, y } = this.placeOf(k);
    this.showTip(k, x, y);
    byId("flame-spoken").textContent = spokenNode(this, k);
  }

  placeOf(k) {
    const { graph, view, canvas } = this;
    const middle = (Math.max(graph.left[k], view.x0) + Math.min(graph.right[k], view.x1)) / 2;
    const x = this.edge + ((middle - view.x0) / (view.x1 - view.x0)) * (canvas.clientWidth - this.edge);
    return { x, y: this.top + (graph.depth[k] - this.firstRow + 1) * FLAME_ROW };
  }

  valueAt(x) {
    return this.view.x0 + ((x - this.edge) / (this.canvas.clientWidth - this.edge)) * (this.view.x1 - this.view.x0);
  }

  at(x, y) {
    if (x < this.edge || y < this.top) return null;
    return nodeAt(this.graph, Math.floor((y - this.top) / FLAME_ROW) + this.firstRow, this.valueAt(x));
  }

  showTip(k, x, y) {
    fillFlameTip(this, k);
    this.tip.hidden = false;
    placeBeside(this.tip, x, y + this.tip.offsetHeight / 3 + 6);
  }

  hideTip() {
    this.tip.hidden = true;
  }

  recolour() {
    this.colours = flameColours(this.classes);
    this.mixed.clear();
    drawFlameLegend(this);
    this.redraw();
  }
}

// The accounts of an arm over N: areas that stand on each other, of the total or of a request.
const NAMES_FROM = 640; // pixels of width from which areas are named at their ends
const NAMED_FROM = 13; // pixels of height that a name needs

class AccountAreas {
  constructor(host, ledger) {
    this.host = host;
    this.ledger = ledger;
    this.view = "total";
    this.width = 0;
    this.tip = make("div", { class: "tip", hidden: true });
    new ResizeObserver(() => host.clientWidth !== this.width && this.draw()).observe(host);
    host.addEventListener("keydown", (event) => this.key(event));
    this.draw();
  }

  show(view) {
    this.view = view;
    this.draw();
  }

  // Long totals in seconds.
  get unit() {
    return this.view === "total" && this.most > 2000 ? { name: "s", ms: 1000 } : { name: "ms", ms: 1 };
  }

  // ms of an account at the k-th N.
  value(row, k) {
    return this.view === "total" ? row.ms[k] : row.ms[k] / this.ledger.n[k];
  }

  measure() {
    const { n, rows } = this.ledger;
    this.width = this.host.clientWidth;
    this.height = clamp(this.width * 0.3, 210, 300);
    const names = Math.max(...rows.map((row) => row.name.length)) * 7 + 22;
    this.margin = { left: 56, right: this.width >= NAMES_FROM ? Math.min(names, 190) : 16, top: 26, bottom: 40 };
    this.tops = [];
    let floor = n.map(() => 0);
    for (const row of rows) {
      const top = floor.map((low, k) => low + this.value(row, k));
      this.tops.push([floor, top]);
      floor = top;
    }
    this.most = Math.max(...floor, 1e-9) * 1.04;
    this.far = n[n.length - 1];
    this.near = this.view === "total" && n.length > 1 ? 0 : n[0];
  }

  x(n) {
    const { left, right } = this.margin;
    return left + (this.far === this.near ? 0.5 : (n - this.near) / (this.far - this.near)) * (this.width - left - right);
  }

  y(ms) {
    const { top, bottom } = this.margin;
    return this.height - bottom - (ms / this.most) * (this.height - top - bottom);
  }

  draw() {
    this.measure();
    const { n, rows } = this.ledger;
    const areas = rows.map((row, k) => this.area(row, ...this.tops[k]));
    this.svg = shape("svg", { viewBox: `0 0 ${this.width} ${this.height}`, width: this.width, height: this.height }, ...this.grid(), ...areas, ...this.axis());
    if (this.width >= NAMES_FROM) this.svg.append(...this.names());
    this.cross = shape("line", { class: "cross", y1: this.margin.top, y2: this.height - this.margin.bottom, visibility: "hidden" });
    this.svg.append(this.cross);
    this.svg.addEventListener("pointermove", (event) => {
      const x = event.clientX - this.svg.getBoundingClientRect().left;
      this.read(n.reduce((best, _, k) => (Math.abs(this.x(n[k]) - x) < Math.abs(this.x(n[best]) - x) ? k : best), 0));
    });
    this.svg.addEventListener("pointerleave", () => this.hide());
    this.host.replaceChildren(this.svg, this.tip);
    this.hide();
  }

  area({ account, hatched, name }, low, high) {
    const { n } = this.ledger;
    const start = this.near === 0 && n[0] > 0 ? `M${this.x(0)} ${this.y(0)}L` : "M";
    const up = n.map((value, k) => `${this.x(value).toFixed(1)} ${this.y(high[k]).toFixed(1)}`).join("L");
    const down = n.map((value, k) => `${this.x(value).toFixed(1)} ${this.y(low[k]).toFixed(1)}`).reverse().join("L");
    const fill = hatched ? `url(#hatch-${account})` : `var(--account-${account})`;
    return shape("g", {}, shape("path", { d: `${start}${up}L${down}Z`, fill }, shape("title", {}, name)), shape("path", { class: "edge", d: `${start}${up}` }));
  }

  grid() {
    const { left, right, top } = this.margin;
    const { name, ms } = this.unit;
    const lines = niceTicks(0, this.most / ms, this.height / 60).flatMap((tick) => [
      shape("line", { class: "grid", x1: left, x2: this.width - right, y1: this.y(tick * ms), y2: this.y(tick * ms) }),
      shape("text", { x: left - 8, y: this.y(tick * ms) + 4, "text-anchor": "end" }, String(Number(tick.toPrecision(6)))),
    ]);
    return [...lines, shape("text", { x: 0, y: top - 14 }, `${this.view === "total" ? "T" : "T/N"}, ${name}`)];
  }

  axis() {
    const { left, right, bottom } = this.margin;
    const [floor, end] = [this.height - bottom, this.width - right];
    const shown = this.ledger.n.reduce((list, n) => (list.length && this.x(n) - this.x(list[list.length - 1]) < 34 ? list : [...list, n]), []);
    return [
      shape("line", { class: "axis", x1: left, x2: end, y1: floor, y2: floor }),
      ...shown.flatMap((n) => [
        shape("line", { class: "tick", x1: this.x(n), x2: this.x(n), y1: floor, y2: floor + 5 }),
        shape("text", { x: this.x(n), y: floor + 18, "text-anchor": "middle" }, String(n)),
      ]),
      shape("text", { x: end, y: this.height - 4, "text-anchor": "end" }, "N, requests"),
    ];
  }

  // At the right end of each area that is high enough there.
  names() {
    const last = this.ledger.n.length - 1;
    const edge = this.width - this.margin.right + 8;
    return this.ledger.rows.flatMap(({ name }, k) => {
      const [low, high] = this.tops[k].map((list) => this.y(list[last]));
      return low - high < NAMED_FROM ? [] : [shape("text", { class: "name", x: edge, y: (low + high) / 2 + 4 }, name)];
    });
  }

  read(k) {
    const { n, rows } = this.ledger;
    this.at = k;
    for (const end of ["x1", "x2"]) this.cross.setAttribute(end, this.x(n[k]));
    this.cross.setAttribute("visibility", "visible");
    const whole = rows.reduce((sum, row) => sum + this.value(row, k), 0);
    const shown = [...rows].reverse().filter((row) => this.value(row, k) > 0.002 * whole);
    const body = shown.map((row) => tableRow("th", [make("span", {}, this.swatch(row), row.name), significant(this.value(row, k)), percent(this.value(row, k) / (whole || 1))]));
    const total = tableRow("th", ["sum", significant(whole), ""]);
    this.tip.replaceChildren(make("h4", {}, `N = ${n[k]}`), make("table", {}, make("thead", {}, tableRow("th", ["account", "ms", "share"])), make("tbody", {}, ...body, total)));
    this.tip.hidden = false;
    placeBeside(this.tip, this.x(n[k]), this.height / 4);
  }

  swatch({ account, hatched }) {
    const fill = hatched ? `url(#hatch-${account})` : `var(--account-${account})`;
    return shape("svg", { class: "swatch", width: 14, height: 11 }, shape("rect", { width: 14, height: 11, rx: 2, fill }));
  }

  hide() {
    this.tip.hidden = true;
    this.cross.setAttribute("visibility", "hidden");
  }

  key(event) {
    if (event.key === "Escape") this.hide();
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const last = this.ledger.n.length - 1;
    this.read(this.tip.hidden ? (by > 0 ? 0 : last) : clamp(this.at + by, 0, last));
    byId("time-spoken").textContent = spokenTable(this.tip);
  }
}

function listenToAreas(all) {
  const buttons = [...document.querySelectorAll("[data-accounts]")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      for (const areas of all) areas.show(button.dataset.accounts);
    });
  }
}

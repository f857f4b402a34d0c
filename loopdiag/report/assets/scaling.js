// The scaling plot: trials, fitted laws and bands, on linear or logarithmic axes.
const LABELS_FROM = 640; // pixels of width from which lines are labelled at their ends
const PRESCRIBED_DASH = "13 5";
const dashOf = (arm) => (arm.prescribed ? PRESCRIBED_DASH : arm.dash) || null;

// One trial: a dot, or a diamond where the arm ran with its prescription.
function markOfTrial(arm, x, y, r = 2.9) {
  const style = arm.filled ? "dot filled" : "dot";
  if (!arm.prescribed) return shape("circle", { class: style, cx: x, cy: y, r });
  const far = r * 1.35;
  return shape("path", { class: style, d: `M${x} ${y - far}L${x + far} ${y}L${x} ${y + far}L${x - far} ${y}Z` });
}

class ScalingPlot {
  constructor(host, arms) {
    this.host = host;
    this.arms = arms.filter((arm) => arm.points.length);
    this.values = [...new Set(this.arms.flatMap((arm) => arm.points.map(([n]) => n)))].sort((a, b) => a - b);
    this.log = false;
    this.width = 0;
    new ResizeObserver(() => host.clientWidth !== this.width && this.draw()).observe(host);
    for (const button of document.querySelectorAll("[data-scale]")) button.addEventListener("click", () => this.switchTo(button.dataset.scale));
    this.draw();
  }

  switchTo(scale) {
    this.log = scale === "log";
    for (const button of document.querySelectorAll("[data-scale]")) button.setAttribute("aria-pressed", String(button.dataset.scale === scale));
    this.draw();
  }

  measure() {
    this.width = this.host.clientWidth;
    this.wide = this.width >= LABELS_FROM;
    this.height = clamp(this.width * 0.46, 280, 470);
    const labels = Math.max(...this.arms.map((arm) => arm.name.length)) * 7.6 + 26;
    this.margin = { left: 52, right: this.wide ? Math.min(labels, this.width * 0.35) : 12, top: 26, bottom: 42 };
    const times = this.arms.flatMap((arm) => [...arm.points.flatMap(([, list]) => list), ...arm.curve.map((row) => row[1])]).filter((time) => time > 0);
    const [most, least] = [Math.max(...times), Math.min(...times)];
    const [first, last] = [this.values[0], this.values[this.values.length - 1]];
    this.domain = this.log ? { x: [first / 1.12, last * 1.12], y: [least / 1.25, most * 1.25] } : { x: [0, last * 1.03], y: [0, most * 1.06] };
  }

  part(value, [low, high]) {
    if (!this.log) return (value - low) / (high - low);
    return Math.log(Math.max(value, low / 10) / low) / Math.log(high / low);
  }

  x(n) {
    return this.margin.left + this.part(n, this.domain.x) * (this.width - this.margin.left - this.margin.right);
  }

  y(time) {
    return this.height - this.margin.bottom - this.part(time, this.domain.y) * (this.height - this.margin.top - this.margin.bottom);
  }

  draw() {
    this.measure();
    const clip = shape("clipPath", { id: "inside" }, shape("rect", { x: this.margin.left, y: this.margin.top - 6, width: Math.max(1, this.width - this.margin.left - this.margin.right + 6), height: this.height - this.margin.top - this.margin.bottom + 6 }));
    this.svg = shape("svg", { viewBox: `0 0 ${this.width} ${this.height}`, width: this.width, height: this.height }, clip, ...this.axes());
    for (const arm of this.arms) this.svg.append(this.line(arm));
    for (const arm of this.arms) this.svg.append(this.dots(arm));
    if (this.wide) this.svg.append(...this.labels());
    this.cross = shape("line", { class: "cross", y1: this.margin.top, y2: this.height - this.margin.bottom, visibility: "hidden" });
    this.svg.append(this.cross);
    this.tip ??= make("div", { class: "tip", hidden: true });
    this.tip.hidden = true;
    this.host.replaceChildren(...(this.wide ? [] : [this.legend()]), this.svg, this.tip);
    readout(this);
  }

  xTicks() {
    if (!this.log) return niceTicks(...this.domain.x, this.width / 110);
    return this.values.reduce((kept, n) => (kept.length && this.x(n) - this.x(kept[kept.length - 1]) < 34 ? kept : [...kept, n]), []);
  }

  yTicks() {
    if (!this.log) return niceTicks(...this.domain.y, this.height / 70);
    const [low, high] = this.domain.y;
    const factors = this.height / Math.log10(high / low) < 110 ? [1] : [1, 2, 5];
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) ticks.push(...factors.map((factor) => factor * 10 ** power));
    return ticks.filter((tick) => tick >= low && tick <= high);
  }

  axes() {
    const { left, right, top, bottom } = this.margin;
    const [end, floor] = [this.width - right, this.height - bottom];
    const label = (tick) => String(Number(tick.toPrecision(6)));
    const rows = this.yTicks().flatMap((tick) => [
      shape("line", { class: "grid", x1: left, x2: end, y1: this.y(tick), y2: this.y(tick) }),
      shape("text", { x: left - 9, y: this.y(tick) + 4, "text-anchor": "end" }, label(tick)),
    ]);
    const columns = this.xTicks().flatMap((tick) => [
      shape("line", { class: "axis", x1: this.x(tick), x2: this.x(tick), y1: floor, y2: floor + 5 }),
      shape("text", { x: this.x(tick), y: floor + 20, "text-anchor": "middle" }, label(tick)),
    ]);
    return [
      ...rows,
      shape("line", { class: "axis", x1: left, x2: end, y1: floor, y2: floor }),
      ...columns,
      shape("text", { x: 0, y: top - 14 }, "T, seconds"),
      shape("text", { x: end, y: this.height - 4, "text-anchor": "end" }, "N, requests"),
    ];
  }

  path(rows) {
    return rows.map(([n, time], k) => `${k ? "L" : "M"}${this.x(n).toFixed(1)} ${this.y(time).toFixed(1)}`).join("");
  }

  line(arm) {
    const group = shape("g", { class: `arm-${arm.hue}${arm.prescribed ? " prescribed" : ""}`, "clip-path": "url(#inside)" });
    if (!arm.curve.length) return group;
    const low = arm.curve.map(([n, , value]) => [n, value]);
    const high = arm.curve.map(([n, , , value]) => [n, value]).reverse();
    group.append(shape("path", { class: "band", d: `${this.path([...low, ...high])}Z` }));
    group.append(shape("path", { class: "fit", d: this.path(arm.curve), "stroke-dasharray": dashOf(arm) }));
    return group;
  }

  dots(arm) {
    const marks = arm.points.flatMap(([n, times]) => times.map((time) => markOfTrial(arm, this.x(n), this.y(time))));
    return shape("g", { class: `arm-${arm.hue}${arm.prescribed ? " prescribed" : ""}` }, ...marks);
  }

  // Names at the lines' ends, pushed apart where they would touch.
  labels() {
    const ends = this.arms.map((arm) => {
      const [n, times] = arm.points[arm.points.length - 1];
      return { arm, x: this.x(n), from: this.y(median(times)), to: this.y(median(times)) };
    }).sort((a, b) => a.from - b.from);
    ends.forEach((end, k) => { if (k) end.to = Math.max(end.to, ends[k - 1].to + 19); });
    const over = Math.max(0, ...ends.map((end) => end.to - (this.height - this.margin.bottom)));
    const edge = this.width - this.margin.right + 22;
    return ends.map(({ arm, x, from, to }) => shape("g", { class: `arm-${arm.hue}` },
      shape("path", { class: "leader", d: `M${x + 6} ${from}L${edge - 14} ${to - over}H${edge - 5}`, "stroke-dasharray": dashOf(arm) }),
      shape("text", { class: "label", x: edge, y: to - over + 4 }, arm.name)));
  }

  legend() {
    return make("div", { class: "key" }, ...this.arms.map((arm) => {
      const sample = shape("svg", { width: 30, height: 12, viewBox: "0 0 30 12" },
        shape("path", { class: "fit", d: "M0 6H30", "stroke-dasharray": dashOf(arm) }),
        markOfTrial(arm, 15, 6, 3));
      return make("span", { class: `arm-${arm.hue}` }, sample, arm.name);
    }));
  }
}

// Values of the scaling plot under the pointer, or by the arrow keys.
function fittedAt(arm, n) {
  const after = arm.curve.findIndex(([value]) => value >= n);
  if (after < 0) return null;
  const [b, a] = [arm.curve[after], arm.curve[Math.max(0, after - 1)]];
  if (n < a[0]) return null;
  const share = b[0] === a[0] ? 0 : (n - a[0]) / (b[0] - a[0]);
  return [1, 2, 3].map((k) => a[k] + (b[k] - a[k]) * share);
}

function readoutRows(plot, n) {
  return plot.arms.map((arm) => {
    const [, times] = arm.points.find(([value]) => value === n) || [n, []];
    const fit = fittedAt(arm, n);
    const range = times.length ? `${seconds(Math.min(...times))} – ${seconds(Math.max(...times))}` : "not measured";
    return tableRow("th", [arm.name, times.length ? seconds(median(times)) : "–", range, fit ? seconds(fit[0]) : "–", fit ? `${seconds(fit[1])} – ${seconds(fit[2])}` : "–"]);
  });
}

function showReadout(plot, n) {
  plot.n = n;
  plot.cross.setAttribute("x1", plot.x(n));
  plot.cross.setAttribute("x2", plot.x(n));
  plot.cross.setAttribute("visibility", "visible");
  const head = make("thead", {}, tableRow("th", ["", "median", "range", "law", "95 % band"]));
  plot.tip.replaceChildren(make("h4", {}, `N = ${n}`), make("div", { class: "scroll" }, make("table", {}, head, make("tbody", {}, ...readoutRows(plot, n)))));
  plot.tip.hidden = false;
  const top = plot.svg.getBoundingClientRect().top - plot.host.getBoundingClientRect().top;
  placeBeside(plot.tip, plot.x(n), top + plot.height / 3);
}

function hideReadout(plot) {
  plot.tip.hidden = true;
  plot.cross.setAttribute("visibility", "hidden");
}

function readout(plot) {
  const nearest = (x) => plot.values.reduce((best, n) => (Math.abs(plot.x(n) - x) < Math.abs(plot.x(best) - x) ? n : best));
  plot.svg.addEventListener("pointermove", (event) => showReadout(plot, nearest(event.clientX - plot.svg.getBoundingClientRect().left)));
  plot.svg.addEventListener("pointerleave", () => hideReadout(plot));
  plot.host.onkeydown = (event) => {
    if (event.key === "Escape") hideReadout(plot);
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const from = plot.tip.hidden ? (by > 0 ? -1 : plot.values.length) : plot.values.indexOf(plot.n);
    showReadout(plot, plot.values[clamp(from + by, 0, plot.values.length - 1)]);
    byId("scaling-spoken").textContent = spokenTable(plot.tip);
  };
}

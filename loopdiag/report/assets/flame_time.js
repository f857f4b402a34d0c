// Over time the flame graph shares the waterfall's axis: while both show one cell, they zoom together and a line stands at one time in both.
const sharesTime = (flame) => Boolean(flame.fall && flame.graph.kind === "time" && flame.fall.line.arm === flame.graph.arm && flame.fall.line.n === flame.graph.n);

// What the waterfall shows, if it is this trial or another of its cell; else a way to get there.
function timeNote(flame) {
  const { graph, fall } = flame;
  if (graph.kind !== "time" || !fall) return [];
  if (sharesTime(flame)) {
    const same = graph.trial && fall.line.trial === graph.trial;
    const beyond = Math.max(0, graph.right[0] - fall.bounds.x1) + Math.max(0, fall.bounds.x0 - graph.left[0]);
    const which = same ? "which shows this trial" : "which shows another trial of this cell: times agree roughly";
    return [` · On the time axis of the waterfall, ${which}${beyond ? `; ${micros(beyond)} lie outside it` : ""}.`];
  }
  if (!fall.timelines.some((line) => line.arm === graph.arm && line.n === graph.n)) return [];
  const button = make("button", { type: "button", id: "flame-align" }, `Show ${graph.arm}, N = ${graph.n} in the waterfall`);
  button.addEventListener("click", () => fall.showCell(graph.arm, graph.n));
  return [" · ", button];
}

// The bounds of time: the waterfall's where it shows the same cell.
function flameBounds(flame) {
  const { graph, fall } = flame;
  const [x0, x1] = [graph.left[0], graph.right[0]];
  return sharesTime(flame) ? { x0: fall.bounds.x0, x1: fall.bounds.x1 } : { x0, x1: Math.max(x1, x0 + 1e-9) };
}

function followWaterfall(flame) {
  if (!flame.fall) return;
  const frame = byId("frame");
  frame.addEventListener("viewmove", () => {
    if (!sharesTime(flame)) return;
    const { x0, x1 } = flame.fall.view;
    if (x0 !== flame.view.x0 || x1 !== flame.view.x1) flame.show({ x0, x1 });
  });
  frame.addEventListener("trialchange", () => flame.graph.kind === "time" && flame.settle());
  frame.addEventListener("timepoint", (event) => sharesTime(flame) && pointFlame(flame, event.detail));
}

// Tells the waterfall what is shown here.
function leadWaterfall(flame) {
  if (!sharesTime(flame)) return;
  const { x0, x1 } = flame.view;
  const { view } = flame.fall;
  if (view.x0 !== x0 || view.x1 !== x1) flame.fall.move({ ...view, x0, x1 });
}

// The line of a time; null hides it.
function pointFlame(flame, time) {
  const line = byId("flame-cursor");
  const { view } = flame;
  line.hidden = time === null || flame.graph.kind !== "time" || time < view.x0 || time > view.x1;
  if (line.hidden) return;
  const x = flame.edge + ((time - view.x0) / (view.x1 - view.x0)) * (flame.canvas.clientWidth - flame.edge);
  line.style.left = `${x}px`;
  line.firstChild.textContent = `${milliseconds(time)} ms`;
  line.classList.toggle("late", x > flame.canvas.clientWidth / 2);
}

// Starts the page: the data, the theme, the drawings.
const content = JSON.parse(byId("data").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;

if (byId("plot")) new ScalingPlot(byId("plot"), content.arms);
const areas = [...document.querySelectorAll(".areas")].map((host) => new AccountAreas(host, content.ledgers.find(({ arm }) => arm === host.dataset.arm)));
listenToAreas(areas);
const fall = byId("canvas") && content.timelines.some((line) => line.rows) ? new Waterfall(content.timelines, content.phases, content.leftOut, content.accounts) : null;
if (fall) listen(fall);
const flame = byId("flame") && content.flames.graphs.length ? new FlameGraph(content.flames, fall) : null;
if (flame) listenToFlame(flame);

function recolour() {
  if (flame) flame.recolour();
  if (!fall) return;
  drawLegend(fall);
  fall.drawPathKey();
  fall.stale = true;
  fall.redraw();
}

byId("theme").addEventListener("click", () => {
  const now = root.dataset.theme || (dark.matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  recolour();
});
dark.addEventListener("change", recolour);

// What is drawn, for whoever drives the page from outside.
window.loopdiag = { state: () => (fall ? stateOf(fall) : null), flame: () => (flame ? flameState(flame) : null) };

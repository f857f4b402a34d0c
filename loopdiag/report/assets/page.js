// Starts the page: the data, the theme, the two drawings.
const content = JSON.parse(byId("data").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;

if (byId("plot")) new ScalingPlot(byId("plot"), content.arms);
const fall = byId("canvas") && content.timelines.some((line) => line.rows) ? new Waterfall(content.timelines, content.phases, content.leftOut) : null;
if (fall) listen(fall);

function recolour() {
  if (!fall) return;
  fall.drawLegend();
  fall.redraw();
}

byId("theme").addEventListener("click", () => {
  const now = root.dataset.theme || (dark.matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  recolour();
});
dark.addEventListener("change", recolour);

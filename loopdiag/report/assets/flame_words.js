// A flame graph's frames in words: beside the pointer, for a screen reader, in the path and in the legend.
const powerText = (power) => `N^${power.toFixed(1)}`;

// A value with the unit that suits it: the graph says how many seconds its unit is.
function amount(graph, value) {
  const text = seconds(Math.abs(value) * graph.seconds);
  if (graph.kind === "difference") return `${value >= 0 ? "+" : "−"}${text}`;
  return value < 0 ? `−${text}` : text;
}

const unitWords = (graph) => graph.unit.split(" ").slice(1).join(" ") || "by the clock";
const shareOf = (graph, k) => (graph.width[0] ? graph.width[k] / graph.width[0] : 0);
const parts = (value) => `${significant(value * 100, value < 0.001 ? 1 : 2)} %`;

function flameTitle(flame, k) {
  const name = flame.nameOf(k);
  return k ? name : `A${name.slice(1)}`;
}

// What is known of one frame, as [name, value] rows.
function flameRows(flame, k) {
  const { graph, classes } = flame;
  const rows = [[unitWords(graph), amount(graph, graph.value[k])]];
  if (graph.below) rows.push(["95 % interval", `${amount(graph, graph.value[k] - graph.below[k])} to ${amount(graph, graph.value[k] + graph.over[k])}`]);
  if (graph.kind === "time") rows.push(["from – to", `${milliseconds(graph.left[k])} – ${milliseconds(graph.right[k])} ms`]);
  else if (k) rows.push([graph.kind === "difference" ? "share of all changes" : "of the whole", parts(shareOf(graph, k))]);
  if (k > 0 && graph.depth[k] > 1 && graph.kind !== "time") rows.push(["of its caller", parts(graph.width[graph.parent[k]] ? graph.width[k] / graph.width[graph.parent[k]] : 0)]);
  rows.push(["its own", amount(graph, graph.own[k])]);
  if (!Number.isNaN(graph.exponent[k])) rows.push(["grows as", `${powerText(graph.exponent[k])}: faster than N`]);
  if (k) rows.push(["class", `${classes[graph.code[k]].name}: ${classes[graph.code[k]].meaning}`]);
  return rows;
}

function fillFlameTip(flame, k) {
  const { tip, colours, graph, names } = flame;
  const body = flameRows(flame, k).map(([name, value]) => {
    const cell = make("td", { class: "wraps" }, value);
    if (name === "class") {
      const box = make("span", { class: "swatch" });
      [box.style.background] = colours.codes[graph.code[k]];
      cell.prepend(box);
    }
    return make("tr", {}, make("th", {}, name), cell);
  });
  const where = names.where(graph.frame[k]);
  tip.replaceChildren(make("h4", {}, flameTitle(flame, k)), ...(where ? [make("p", {}, where)] : []), make("table", {}, make("tbody", {}, ...body)));
}

function spokenNode(flame, k) {
  const { graph, names } = flame;
  const called = graph.to[k] - graph.from[k];
  const where = names.where(graph.frame[k]);
  const place = k ? `called by ${flameTitle(flame, graph.parent[k])}, ` : "";
  return `${flameTitle(flame, k)}${where ? `, ${where}` : ""}: ${flameRows(flame, k).map(([name, value]) => `${name} ${value}`).join("; ")}. ${place}${called ? `calls ${called}` : "calls nothing that was seen"}.`;
}

// Where the view is: from the whole to the frame that fills it, each a button.
function drawPath(flame) {
  const path = flame.zoomed === null ? [0] : pathTo(flame.graph, flame.zoomed);
  const shown = path.length > 7 ? [path[0], null, ...path.slice(-5)] : path;
  byId("flame-path").replaceChildren(
    ...shown.map((k, place) => {
      if (k === null) return make("span", {}, "…");
      const last = place === shown.length - 1;
      const button = make("button", { type: "button", "aria-current": last ? "true" : null }, last || !k ? flameTitle(flame, k) : bareName(flame.nameOf(k)));
      button.addEventListener("click", () => flame.zoomTo(k));
      return button;
    }),
  );
  byId("flame-path").scrollLeft = byId("flame-path").scrollWidth;
  byId("flame-reset").disabled = flame.isWhole() && !flame.found;
}

// The classes of the drawn graph with their shares of it; of a difference what its two colours mean.
function drawFlameLegend(flame) {
  const { graph, classes, colours } = flame;
  const entry = (colour, name, text, striped) => {
    const tile = make("canvas", { width: 36, height: 24 });
    const brush = tile.getContext("2d");
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 36, 24);
    if (striped) {
      brush.fillStyle = stripesOf(brush, textOn(colours.ink.page) === "#000000" ? "#000000" : "#ffffff", 2);
      brush.setTransform(2, 0, 0, 2, 0, 0);
      brush.fillRect(0, 0, 18, 12);
    }
    return make("div", {}, tile, make("span", {}, name), make("span", {}, text));
  };
  const sums = new Float64Array(classes.length);
  for (let k = 0; k < graph.count; k += 1) sums[graph.code[k]] += graph.own[k];
  const order = [...sums.keys()].filter((code) => sums[code] > 0).sort((a, b) => sums[b] - sums[a]);
  const all = sums.reduce((total, value) => total + value, 0) || 1;
  const power = graph.exponents.length ? [entry(colours.ink.page, "hatched", "grows faster than N; the label says as which power", true)] : [];
  byId("flame-legend").replaceChildren(
    ...(graph.kind === "difference"
      ? [entry(colours.more[0], "+ more", "needs more CPU; pale: most of it cancels out below"), entry(colours.less[0], "− less", "needs less CPU; widths are changes, whatever their sign")]
      : [...power, ...order.map((code) => entry(colours.codes[code][0], classes[code].name, `${parts(sums[code] / all)} · ${classes[code].meaning}`))]),
  );
}

// One line about the drawn graph, and what a search found.
function describeFlame(flame) {
  const { graph, found } = flame;
  const falls = graph.kind === "slope" ? graph.width[0] - graph.value[0] : 0;
  const left = [falls > graph.width[0] / 1e4 ? `${amount(graph, falls)} that fall with N have no width` : "", graph.narrower ? `${plural(graph.narrower, "narrowest frame")} left out for the size of this page` : "", flame.leftOut ? `${plural(flame.leftOut, "further graph")} in the run's folder only` : ""];
  const facts = [amount(graph, graph.value[0]), unitWords(graph)].filter(Boolean).join(" ");
  const line = [facts, plural(graph.count - 1, "frame"), graph.samples ? plural(graph.samples, "sample") : "", ...left].filter(Boolean).join(" · ");
  const search = found ? `${plural(found.nodes.length, "frame")} found: ${parts(found.share)} of the whole. ` : "";
  byId("flame-said").replaceChildren(make("b", {}, search), search ? "" : line, ...timeNote(flame));
}

// The chosen trial in words: what it took, what its loop did, what was not observed, what the colours mean.
const percent = (part) => `${significant(part * 100, 2)} %`;

function figuresOf(fall) {
  const { line, curves, loop } = fall;
  const missing = line.unattributed === null ? null : `${percent(line.unattributed)} unattributed (median${line.unattributedP95 === null ? "" : `; 95th percentile ${percent(line.unattributedP95)}`})`;
  const most = curves.slice(0, 2).filter((curve) => curve.times.length).map((curve) => `at most ${curve.most} ${curve.name.replace("requests ", "")}`);
  const further = fall.leftOut ? `${plural(fall.leftOut, "further timeline")} in the run's folder only, for the size of this page` : null;
  const bins = loop.count && !loop.single ? `${loop.count} loop iterations summed into bins, for the size of this page` : null;
  const absent = line.absent.length ? `of a very large trial ${line.absent.join(" and ")} are not shown` : null;
  return [plural(line.rows, "attempt"), `${plural(line.connections.number.length, "connection")} opened`, ...most, missing, absent, bins, further].filter(Boolean);
}

function loopFigures({ lag, process, total }) {
  const parts = [];
  if (lag) {
    parts.push(`loop ran ${percent(lag.running / Math.max(1, total))} of the time`);
    parts.push(lag.blocks ? `${plural(lag.blocks, "iteration")} of 10 ms or longer, ${micros(lag.blocked)} in all` : "no iteration of 10 ms or longer");
    parts.push(`longest ${micros(lag.longest)}`, `what arrives at a random moment waits ${micros(lag.expected)} for it`);
    if (lag.kernel !== null) parts.push(`first bytes waited ${micros(lag.kernel)} in the kernel, all requests together`);
  }
  if (process) {
    const { cpu, runQueue, waits, preemptions, descriptors, threads } = process;
    parts.push(cpu === null ? null : `loop's thread used ${micros(cpu)} of CPU`, runQueue === null ? null : `waited ${micros(runQueue)} for a core`);
    parts.push(waits === null ? null : `${plural(waits, "wait")}`, preemptions === null ? null : plural(preemptions, "preemption"));
    parts.push(descriptors === null ? null : `at most ${plural(descriptors, "descriptor")} open`, threads === null ? null : plural(threads, "thread"));
  }
  return parts.filter(Boolean);
}

function describe(fall) {
  const { line } = fall;
  const own = loopFigures(line);
  byId("facts").replaceChildren(
    make("p", {}, make("b", {}, micros(line.total)), ` in all · ${figuresOf(fall).join(" · ")}`),
    ...(own.length ? [make("p", { class: "more" }, own.join(" · "))] : []),
  );
  const notes = [...line.faults.map((fault) => `Broken invariant: ${fault}`), ...line.notObserved.map((note) => `Not observed: ${note}`)];
  const list = make("ul", {}, ...notes.map((note) => make("li", {}, note)));
  byId("faults").replaceChildren(...(notes.length ? [make("details", {}, make("summary", {}, `${plural(notes.length, "note")} on this trial`), list)] : []));
}

function drawLegend(fall) {
  const ratio = window.devicePixelRatio || 1;
  const entries = fall.phases.filter((_, k) => fall.layout.bars[k].row.length).map((phase) => {
    const tile = make("canvas", { width: 18 * ratio, height: 12 * ratio });
    const brush = tile.getContext("2d");
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    [brush.fillStyle] = fills(brush, [phase], cssColour("--page"), ratio);
    brush.fillRect(0, 0, 18, 12);
    return make("div", {}, tile, make("span", {}, phase.name), make("span", {}, phase.meaning));
  });
  byId("legend").replaceChildren(...entries);
}

// What every track says about one moment: how many requests, what the loop did, whether the collector paused it.
function iterationText(loop, time, slack) {
  const block = blockedAt(loop, time, slack);
  if (block && slack * 2 > block[1]) return ranText(loop, ...block);
  const k = iterationAt(loop, time);
  if (k !== null && loop.end[k] - loop.begin[k] > slack) {
    return `polled ${micros(loop.wake[k] - loop.begin[k])} from ${milliseconds(loop.begin[k])} ms, then ${ranText(loop, loop.wake[k], loop.end[k] - loop.wake[k], loop.ready[k])}`;
  }
  if (block) return ranText(loop, ...block);
  return `ran ${Math.round(share(loop, time - slack, time + slack) * 100)} % of the ${micros(2 * slack)} around it`;
}

const ranText = (loop, start, length, ready) => `ran ${micros(length)} from ${milliseconds(start)} ms${loop.knowsReady ? `, ${plural(ready, "callback")} ready` : ""}`;

function momentRows(fall, time, slack) {
  const { curves, loop } = fall;
  const rows = curves.filter((curve) => curve.times.length).map((curve) => [curve.name, String(valueAt(curve, time))]);
  if (loop.count) rows.push(["loop", iterationText(loop, time, slack)]);
  const pause = pauseAt(loop, time, slack);
  if (pause !== null) rows.push(["collector", `generation ${at(loop.pauses.generation, pause)} paused ${micros(loop.pauses.length[pause])} at ${milliseconds(loop.pauses.start[pause])} ms`]);
  return rows;
}

function fillMomentTip(tip, fall, time, slack) {
  const body = momentRows(fall, time, slack).map(([name, value]) => make("tr", {}, make("th", {}, name), make("td", { class: "wraps" }, value)));
  tip.replaceChildren(make("h4", {}, `At ${milliseconds(time)} ms`), make("table", {}, make("tbody", {}, ...body)));
}

const spokenMoment = (fall, time, slack) => `At ${micros(time)}: ${momentRows(fall, time, slack).map(([name, value]) => `${name} ${value}`).join("; ")}`;

// Everything that is known about one connection, beside its lane.
function laneTitle(line, lane) {
  const opener = lane.link === null ? null : at(line.connections.request, lane.link);
  return `Connection ${lane.number}${opener === null ? "" : `, opened by request ${opener}`}`;
}

function laneFacts(line, lane) {
  const k = lane.link;
  const own = (name) => (k === null ? null : at(line.connections[name], k));
  const at0 = lane.rows.length ? line.request : null;
  const carried = lane.rows.map((row) => at(at0, row));
  return [
    `carried ${plural(lane.rows.length, "attempt")}${carried.length ? `: requests ${listed(carried)}` : ""}`,
    lane.depth > 1 ? `at most ${lane.depth} at once` : "",
    own("addresses") > 1 ? `${own("addresses")} addresses tried` : "",
    own("tlsCpu") === null ? "" : `handshake took ${micros(own("tlsCpu"))} of CPU`,
    own("recordCpu") === null ? "" : `records took ${micros(own("recordCpu"))} of CPU`,
    k === null ? "opened before the trial or not observed" : socketText(line, k),
    Number.isNaN(lane.closed) ? "" : `closed at ${micros(lane.closed)}`,
  ].filter(Boolean);
}

function listed(values, most = 8) {
  return values.length <= most ? values.join(", ") : `${values.slice(0, most).join(", ")} and ${values.length - most} more`;
}

function fillLaneTip(tip, line, lane) {
  const marks = lane.link === null ? [] : marksIn(line.connections.stamps, line.linkMarks, lane.link);
  const table = marks.length ? [make("div", { class: "columns" }, stampTable(marks))] : [];
  tip.replaceChildren(make("h4", {}, laneTitle(line, lane)), make("p", {}, laneFacts(line, lane).join(" · ")), ...table);
}

const spokenLane = (line, lane) => `${laneTitle(line, lane)}: ${laneFacts(line, lane).join(", ")}`;

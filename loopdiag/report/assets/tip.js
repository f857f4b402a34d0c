// Everything that is known about one attempt, beside its row.
function swatch(phase) {
  const box = make("span", { class: "swatch" });
  box.style.background = inkOf(phase);
  return box;
}

const tableRow = (kind, cells) => make("tr", {}, ...cells.map((cell, k) => make(k ? "td" : kind, k ? { class: "number" } : {}, cell)));

function phaseTable(line, phases, row, here) {
  const list = phasesOf(line, row);
  const body = list.map(([phase, begin, end]) => {
    const name = make("span", {}, swatch(phases[phase]), phases[phase].name);
    const made = tableRow("th", [name, milliseconds(end - begin), milliseconds(begin)]);
    if (here !== null && begin <= here && here < end) made.className = "here";
    return made;
  });
  const total = tableRow("th", ["sum", milliseconds(line.end[row] - line.begin[row]), ""]);
  return make("table", {}, make("thead", {}, tableRow("th", ["phase", "ms", "from"])), make("tbody", {}, ...body, total));
}

function stampTable(marks) {
  const body = marks.map(([name, time], k) => tableRow("th", [name, milliseconds(time), k ? `+${milliseconds(time - marks[k - 1][1])}` : ""]));
  return make("table", {}, make("thead", {}, tableRow("th", ["stamp", "at, ms", "later"])), make("tbody", {}, ...body));
}

// `waited on connection 7, opened by request 3`, and what that connection's socket said.
function connectionText(line, row) {
  const number = at(line.connection, row);
  if (number === null) return "no connection";
  const k = line.links.get(number);
  if (k === undefined) return `connection ${number}, opened before the trial or not observed`;
  const opener = at(line.connections.request, k);
  const flags = flagsOf(line, row);
  const by = opener === null ? "" : `, opened by request ${opener}`;
  if (flags.includes("shared_connect")) return `waited on connection ${number}${by}`;
  if (opener === at(line.request, row) && !flags.includes("reused")) return `opened connection ${number}`;
  return `connection ${number}${by}`;
}

function socketText(line, k) {
  const { rtt, retransmits } = line.connections;
  if (k === undefined || at(rtt, k) === null) return "";
  const again = at(retransmits, k);
  return `round trip ${micros(at(rtt, k))}${again === null ? "" : `, ${plural(again, "retransmit")}`}`;
}

// How long the first byte was there before the loop read it: the truth by the kernel's stamp, else bounds.
function lagText(line, row) {
  const late = markOf(line, "first_byte", row) - markOf(line, "rx_kernel", row);
  if (!Number.isNaN(late)) return `first byte ${micros(late)} in the kernel before the loop read it`;
  const [low, high] = [at(line.lagLow, row), at(line.lagHigh, row)];
  if (low === null && high === null) return "";
  if (high === null) return `first byte readable at least ${micros(low)} before its callback`;
  return `first byte readable ${low ? `${micros(low)} to ${micros(high)}` : `at most ${micros(high)}`} before its callback`;
}

function title(line, row) {
  const attempt = at(line.attempt, row);
  const status = at(line.status, row);
  const hop = at(line.hop, row);
  return `Request ${at(line.request, row)}${attempt ? `, attempt ${attempt + 1}` : ""}${hop ? `, redirect ${hop}` : ""}: ${status === null ? "no answer" : `status ${status}`}`;
}

function facts(line, row) {
  const given = at(line.assignments, row);
  const size = at(line.bytes, row);
  const k = line.links.get(at(line.connection, row));
  const served = k === undefined ? null : at(line.connections.requests, k);
  return [
    connectionText(line, row),
    served ? `it served ${plural(served, "request")}` : "",
    given > 1 ? `assigned ${given} times` : "",
    size === null ? "" : bytes(size),
    ...flagWordsOf(line, row),
    lagText(line, row),
    socketText(line, k),
  ].filter(Boolean);
}

function fillTip(tip, line, phases, row, here) {
  const list = phasesOf(line, row);
  const tables = [list.length ? phaseTable(line, phases, row, here) : null, stampTable(marksIn(line.stamps, line.marks, row))];
  tip.replaceChildren(
    make("h4", {}, title(line, row)),
    make("p", {}, facts(line, row).join(" · ")),
    make("div", { class: "columns" }, ...tables.filter(Boolean)),
  );
}

// The same in a sentence, for a screen reader.
function spoken(line, phases, row) {
  const list = phasesOf(line, row).map(([phase, begin, end]) => `${phases[phase].name} ${micros(end - begin)}`);
  return `${title(line, row)}, ${micros(line.end[row] - line.begin[row])}: ${list.join(", ")}. ${facts(line, row).join(", ")}`;
}

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

function stampTable(line, row) {
  const body = stampsOf(line, row).map(([name, time], k, all) => tableRow("th", [name, milliseconds(time), k ? `+${milliseconds(time - all[k - 1][1])}` : ""]));
  return make("table", {}, make("thead", {}, tableRow("th", ["stamp", "at, ms", "later"])), make("tbody", {}, ...body));
}

function connectionText(line, row) {
  const number = at(line.connection, row);
  if (number === null) return "no connection";
  const k = line.connections.number.indexOf(number);
  if (k < 0) return `connection ${number}`;
  const served = at(line.connections.requests, k);
  const opener = at(line.connections.request, k);
  const own = opener === at(line.request, row) ? "opened for it" : opener === null ? "" : `opened for request ${opener}`;
  return [`connection ${number}`, own, served ? `served ${served}` : ""].filter(Boolean).join(", ");
}

function title(line, row) {
  const attempt = at(line.attempt, row);
  const status = at(line.status, row);
  return `Request ${at(line.request, row)}${attempt ? `, attempt ${attempt + 1}` : ""}: ${status === null ? "no answer" : `status ${status}`}`;
}

function facts(line, row) {
  const given = at(line.assignments, row);
  const size = at(line.bytes, row);
  const parts = [connectionText(line, row), given > 1 ? `assigned ${given} times` : "", size === null ? "" : bytes(size), ...flagsOf(line, row)];
  return parts.filter(Boolean).join(" · ");
}

function fillTip(tip, line, phases, row, here) {
  const tables = [phasesOf(line, row).length ? phaseTable(line, phases, row, here) : null, stampTable(line, row)];
  tip.replaceChildren(
    make("h4", {}, title(line, row)),
    make("p", {}, facts(line, row)),
    make("div", { class: "columns" }, ...tables.filter(Boolean)),
  );
}

// The same in a sentence, for a screen reader.
function spoken(line, phases, row) {
  const list = phasesOf(line, row).map(([phase, begin, end]) => `${phases[phase].name} ${micros(end - begin)}`);
  return `${title(line, row)}, ${micros(line.end[row] - line.begin[row])}: ${list.join(", ")}`;
}

// What a search finds: frames whose function or file contains the text, and their share of the whole, none counted twice.
function searchFlame(graph, names, text) {
  const sought = text.trim().toLowerCase();
  if (!sought) return null;
  const hit = Uint8Array.from(names.sought, (name) => (name.includes(sought) ? 1 : 0));
  const inside = new Uint8Array(graph.count);
  const nodes = [];
  let sum = 0;
  for (let k = 0; k < graph.count; k += 1) {
    const above = k ? inside[graph.parent[k]] : 0;
    const here = hit[graph.frame[k]];
    inside[k] = above | here;
    if (!here) continue;
    nodes.push(k);
    if (!above) sum += graph.width[k];
  }
  return { text: sought, hit, nodes, share: graph.width[0] ? sum / graph.width[0] : 0 };
}

function listenToSearch(flame) {
  const field = byId("flame-search");
  field.addEventListener("input", () => flame.search(field.value));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") flame.nextFound(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") {
      field.value = "";
      flame.search("");
      flame.canvas.focus();
    } else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLElement && event.target.matches("input, select, textarea");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    field.focus();
    field.select();
  });
}

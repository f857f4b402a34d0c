// Elements from values. Text only ever becomes text: nothing here parses markup.
const byId = (id) => document.getElementById(id);

function grow(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const make = (name, attributes = {}, ...children) => grow(document.createElement(name), attributes, children);
const shape = (name, attributes = {}, ...children) => grow(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const cssColour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Places `box` beside the point (x, y) of its positioned parent, inside the parent's width and the window's height.
function placeBeside(box, x, y) {
  const parent = box.parentElement;
  const frame = parent.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = box;
  const left = x + 16 + width <= frame.width ? x + 16 : x - 16 - width;
  const lowest = Math.min(frame.height, window.innerHeight - frame.top) - height;
  box.style.left = `${clamp(left, 0, Math.max(0, frame.width - width))}px`;
  box.style.top = `${Math.max(Math.min(y - height / 3, lowest), -frame.top, 0)}px`;
}

// What a tip with a table says to those who hear it: its heading, then each row with the names of its columns.
function spokenTable(tip) {
  const heads = [...tip.querySelectorAll("thead tr > *")].map((head) => head.textContent);
  const words = (row) => [...row.children].map(({ textContent: text }, k) => (k && text ? `${heads[k]} ${text}` : text)).filter(Boolean).join(", ");
  return [tip.querySelector("h4").textContent, ...[...tip.querySelectorAll("tbody tr")].map(words)].join("; ");
}

// Draws what lies under the waterfall on the same time axis: step curves, the loop's lane, the collector's pauses.
const CAPTION = 17;
const CURVE = 29;
const LANE = 28;
const TICKS = 10;
const FLOOR = 22;
const GAP = 5;

// Each track with its place, from top to bottom.
function tracksOf(line, curves, loop) {
  let top = 2;
  const place = (track, height) => {
    const placed = { ...track, top: top + CAPTION, height };
    top = placed.top + height + GAP;
    return placed;
  };
  const tracks = curves.filter((curve) => curve.times.length).map((curve) => place({ kind: "curve", curve }, CURVE));
  if (loop.count) tracks.push(place({ kind: "loop" }, LANE));
  if (loop.pauses.start.length) tracks.push(place({ kind: "pauses" }, TICKS));
  return { tracks, height: top + FLOOR };
}

function paintTracks(canvas, line, phases, state) {
  const scale = scaleOf(canvas, state.view, 0);
  const context = blank(canvas, scale);
  const floor = scale.height - FLOOR;
  paintTimes(context, scale, { from: 0, to: floor + 4, label: floor + FLOOR / 2 + 2 });
  const styles = Object.fromEntries(fills(context, phases, scale.ink.page, scale.ratio).map((style, k) => [phases[k].name, style]));
  for (const track of state.tracks) {
    if (track.kind === "curve") paintCurve(context, scale, track, styles[track.curve.fill]);
    else if (track.kind === "loop") paintLoop(context, scale, track, state.loop);
    else paintPauses(context, scale, track, state.loop);
  }
  if (state.trackDrag) paintDrag(context, scale, { ...state.trackDrag, y: 0, toY: floor });
}

function caption(context, scale, track, text, aside = "") {
  const y = track.top - CAPTION / 2 + 1;
  context.textAlign = "left";
  const width = Math.min(context.measureText(text).width, scale.width - GUTTER);
  context.fillStyle = scale.ink.page;
  context.fillRect(GUTTER, track.top - CAPTION + 2, width + 6, CAPTION - 3);
  context.fillStyle = scale.ink.ink;
  context.fillText(text, GUTTER + 1, y, scale.width - GUTTER - 2);
  const room = scale.width - GUTTER - width - 24;
  if (!aside || context.measureText(aside).width > room) return;
  context.fillStyle = scale.ink.page;
  context.fillRect(scale.width - context.measureText(aside).width - 4, track.top - CAPTION + 2, scale.width, CAPTION - 3);
  context.textAlign = "right";
  context.fillStyle = scale.ink.soft;
  context.fillText(aside, scale.width - 2, y);
}

function ground(context, scale, track) {
  context.fillStyle = scale.ink.panel;
  context.fillRect(GUTTER, track.top, scale.width - GUTTER, track.height);
}

// One column a pixel, as high as the largest value in it: no peak is lost between two pixels.
function paintCurve(context, scale, track, style) {
  const { curve, top, height } = track;
  ground(context, scale, track);
  const unit = (height - 2) / Math.max(1, curve.most);
  context.fillStyle = style;
  fillColumns(context, scale, top + height, (from, to) => mostWithin(curve, from, to) * unit);
  context.textAlign = "right";
  context.fillStyle = scale.ink.soft;
  context.fillText(String(curve.most), GUTTER - 6, top + 6);
  context.fillText("0", GUTTER - 6, top + height - 4);
  caption(context, scale, track, `${curve.name}: at most ${curve.most}${curve.mostAt === null || !curve.most ? "" : `, at ${micros(curve.mostAt)}`}`);
  paintPeak(context, scale, track);
}

// The outline of one column a pixel, filled at once.
function fillColumns(context, scale, floor, heightOf) {
  const wide = 1 / scale.ratio;
  context.beginPath();
  context.moveTo(GUTTER, floor);
  let before = 0;
  for (let x = GUTTER; x < scale.width; x += wide) {
    const from = scale.view.x0 + (x - GUTTER) / scale.x;
    const tall = heightOf(from, from + wide / scale.x);
    if (tall !== before) {
      context.lineTo(x, floor - before);
      context.lineTo(x, floor - tall);
    }
    before = tall;
  }
  context.lineTo(scale.width, floor - before);
  context.lineTo(scale.width, floor);
  context.fill();
}

// A dot at the maximum.
function paintPeak(context, scale, { curve, top }) {
  if (!curve.most || curve.mostAt < scale.view.x0 || curve.mostAt > scale.view.x1) return;
  context.beginPath();
  context.arc(scale.left(curve.mostAt), top + 2, 3, 0, 2 * Math.PI);
  context.fillStyle = scale.ink.ink;
  context.fill();
  context.strokeStyle = scale.ink.page;
  context.lineWidth = 1;
  context.stroke();
}

// Far out: the share of time running, a column a pixel. Near: each iteration, its poll light and low, its run solid and tall.
function paintLoop(context, scale, track, loop) {
  ground(context, scale, track);
  const { view } = scale;
  const [first, after] = loop.single ? iterationsWithin(loop, view.x0, view.x1) : [0, Infinity];
  const near = loop.single && after - first <= (scale.width - GUTTER) / 2;
  context.save();
  context.beginPath();
  context.rect(GUTTER, track.top, scale.width - GUTTER, track.height);
  context.clip();
  context.fillStyle = scale.ink.accent;
  if (near) paintIterations(context, scale, track, loop, [first, after]);
  else paintShare(context, scale, track, loop);
  paintBlocked(context, scale, track, loop);
  context.restore();
  const ran = share(loop, view.x0, view.x1);
  const aside = near ? "each block an iteration: poll low, run tall" : "share of time running";
  const wide = scale.width > 480;
  const names = loop.blocked.length ? `, ${wide ? plural(loop.blocked.length, "iteration") : loop.blocked.length} of 10 ms or longer` : "";
  caption(context, scale, track, `loop: ran ${Math.round(ran * 100)} %${wide ? " of the time shown" : ""}${names}`, aside);
}

function paintShare(context, scale, { top, height }, loop) {
  fillColumns(context, scale, top + height, (from, to) => clamp(share(loop, from, to), 0, 1) * height);
}

function paintIterations(context, scale, { top, height }, loop, [first, after]) {
  const poll = mix(scale.ink.accent, scale.ink.page, 0.62);
  for (let k = first; k < after; k += 1) {
    const [begin, wake, end] = [loop.begin[k], loop.wake[k], loop.end[k]].map(scale.left);
    context.fillStyle = poll;
    context.fillRect(begin, top + height * 0.72, wake - begin, height * 0.28);
    context.fillStyle = scale.ink.accent;
    const inset = end - wake > 4 ? 0.5 : 0;
    context.fillRect(wake + inset, top, Math.max(0.5, end - wake - 2 * inset), height);
  }
}

// What kept everything else waiting, with its length where there is room.
function paintBlocked(context, scale, { top, height }, loop) {
  context.textAlign = "center";
  for (const [start, length] of loop.blocked) {
    if (start + length < scale.view.x0 || start > scale.view.x1) continue;
    const [x, wide] = [scale.left(start), Math.max(2, length * scale.x)];
    context.fillStyle = scale.ink.alert;
    context.fillRect(x, top, wide, height);
    const text = micros(length);
    context.fillStyle = scale.ink.page;
    if (context.measureText(text).width + 8 < wide) context.fillText(text, x + wide / 2, top + height / 2 + 1);
  }
}

// Ticks as wide as the pause lasted, the higher the older the generation.
function paintPauses(context, scale, track, { pauses }) {
  context.fillStyle = scale.ink.ink;
  pauses.start.forEach((start, k) => {
    if (start + pauses.length[k] < scale.view.x0 || start > scale.view.x1) return;
    const tall = track.height * [0.35, 0.65, 1][clamp(at(pauses.generation, k), 0, 2)];
    context.fillRect(clamp(scale.left(start), GUTTER, scale.width), track.top + track.height - tall, Math.max(1, pauses.length[k] * scale.x), tall);
  });
  const longest = pauses.length.reduce((most, length) => Math.max(most, length), 0);
  const left = pauses.count > pauses.length.length ? `, the ${pauses.length.length} longest drawn` : "";
  caption(context, scale, track, `garbage collector: ${plural(pauses.count, "pause")}, at most ${micros(longest)}${left}`, "taller: older generation");
}

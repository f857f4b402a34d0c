// What is under the pointer or chosen by keys: a row, a lane or a moment, with its box of facts and the line of its time.
Object.assign(Waterfall.prototype, {
  // The row, or where none is the lane, at a point of the canvas.
  found(x, y) {
    const { time, unit, inside } = this.locate(x, y);
    if (!inside) return null;
    const row = this.layout.rowAt(Math.floor(unit), time, this.slack);
    return { row, lane: row === null ? this.layout.laneAt(Math.floor(unit)) : null, time };
  },

  hover(x, y) {
    this.pointTo(x);
    if (this.pinned) return;
    const found = this.found(x, y);
    [this.row, this.lane] = [found?.row ?? null, found?.lane ?? null];
    if (found) this.showTip(x, y, found.time);
    else this.tip.hidden = true;
    this.redraw();
  },

  hoverTracks(x, y) {
    this.pointTo(x);
    if (this.pinned) return;
    if (x < GUTTER || !this.tracks.length) this.tip.hidden = true;
    else this.showMoment(this.timeAt(x), x, y);
  },

  click(x, y) {
    const found = this.found(x, y);
    if (!found || (this.pinned && this.row === found.row && this.lane === found.lane)) this.release();
    else if (found.row !== null) this.select(found.row);
    else this.selectLane(found.lane);
  },

  clickTracks(x) {
    if (this.pinned || x < GUTTER) this.release();
    else this.chooseMoment(this.timeAt(x));
  },

  release() {
    [this.row, this.lane, this.pinned] = [null, null, false];
    this.tip.hidden = true;
    this.markTime(null);
    this.tell("timepoint", null);
    this.redraw();
  },

  select(row) {
    const unit = this.layout.unitOf(row);
    [this.pinned, this.row, this.lane] = [true, row, null];
    this.view = showing(this.view, unit, this.bounds);
    this.showTip(this.canvas.clientWidth, this.reveal(Math.max(0, unit)), null);
    byId("spoken").textContent = spoken(this.line, this.phases, row);
    this.move(this.view);
  },

  selectLane(lane) {
    const { first } = this.layout.lanes[lane];
    [this.pinned, this.row, this.lane] = [true, null, lane];
    this.view = showing(this.view, first, this.bounds);
    this.showTip(this.canvas.clientWidth, this.reveal(first), null);
    byId("spoken").textContent = spokenLane(this.line, this.layout.lanes[lane]);
    this.move(this.view);
  },

  // Scrolls the page where the unit is not in the window, or behind the tracks; returns where it stands in the frame.
  reveal(unit) {
    const { y } = this.place(0, unit);
    const top = this.canvas.getBoundingClientRect().top + y;
    // On a narrow screen the box of facts is a sheet over the lower half.
    const floor = Math.min(window.innerHeight * (window.innerWidth <= 700 ? 0.5 : 1), this.under.getBoundingClientRect().top);
    if (top < 0 || top > floor - 8) window.scrollBy(0, top - floor / 2);
    return y;
  },

  chooseMoment(time) {
    this.release();
    this.pinned = true;
    this.move(this.view);
    const { x } = this.place(time, 0);
    this.pointTo(x);
    this.showMoment(time, x, 20);
    byId("spoken").textContent = spokenMoment(this, time, this.slack);
  },

  showTip(x, y, time) {
    if (this.row !== null) fillTip(this.tip, this.line, this.phases, this.row, time);
    else fillLaneTip(this.tip, this.line, this.layout.lanes[this.lane]);
    this.tip.hidden = false;
    placeBeside(this.tip, x, y);
  },

  showMoment(time, x, y) {
    fillMomentTip(this.tip, this, time, this.slack);
    this.tip.hidden = false;
    const top = this.under.getBoundingClientRect().top - byId("frame").getBoundingClientRect().top;
    placeBeside(this.tip, x, top + y);
  },

  pointTo(x) {
    const time = x < GUTTER ? null : this.timeAt(x);
    this.markTime(time);
    this.tell("timepoint", time);
  },

  // A thin line through all panes, with the time at its foot; null hides it.
  markTime(time) {
    const line = byId("cursor");
    line.hidden = time === null || time < this.view.x0 || time > this.view.x1;
    if (line.hidden) return;
    const { x } = this.place(time, 0);
    line.style.left = `${x}px`;
    line.firstChild.textContent = `${milliseconds(time)} ms`;
    line.classList.toggle("late", x > this.canvas.clientWidth / 2);
  },
});

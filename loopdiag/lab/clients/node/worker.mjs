// The child side of a trial whose client is Node's own fetch: does one job and ends.
//
// The talk is that of loopdiag's Python worker, a line each: parent → job (JSON) on stdin; worker → "ready"; parent → "go"; worker →
// "done" right after the timed part; then the worker leaves worker.json in the job's folder, and in the timeline tier its tables.
import { readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { PerformanceObserver } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { kindOf } from './errors.mjs';
import { Watch } from './watch.mjs';

const DISPATCHER = Symbol.for('undici.globalDispatcher.1'); // where fetch looks for its connections
const FOREVER_MS = 86_400_000;
const REFUSALS = new Set([429, 503]);
const now = process.hrtime.bigint; // CLOCK_MONOTONIC
const seconds = (ns) => Number(ns) / 1e9;

/** Set the pool that fetch uses; what the scenario leaves out stays Node's default: no limit. */
function limit(pool) {
  const bounds = [pool.limit, pool.limit_per_host].filter((bound) => bound);
  const options = {};
  if (bounds.length) options.connections = Math.min(...bounds);
  if (pool.keepalive_s !== null) options.keepAliveTimeout = options.keepAliveMaxTimeout = pool.keepalive_s * 1000 || FOREVER_MS;
  if (!Object.keys(options).length) return;
  const Agent = globalThis[DISPATCHER]?.constructor;
  if (Agent === undefined) throw new Error('this Node does not show the pool of its fetch: [pool] cannot be set');
  globalThis[DISPATCHER] = new Agent(options);
}

class Work {
  constructor(job, watch) {
    this.job = job;
    this.asked = job.scenario.workload;
    this.base = job.url.replace(/\/+$/, '');
    this.watch = watch;
    this.bodies = new Array(job.spec.n).fill(null);
    this.errors = {};
  }

  path(number) {
    return this.job.scenario.target.path.replaceAll('{i}', String(number));
  }

  /** Make the requests; the clock just before the first, and when the last answer is in. */
  async run() {
    const numbers = Array.from(this.bodies, (_, at) => at + 1);
    let began;
    if (this.asked.kind === 'open') {
      began = now();
      await Promise.all(await this.arriving(numbers, began));
    } else if (this.asked.concurrency !== null) {
      const rest = numbers.values();
      const worker = async () => {
        for (const number of rest) await this.request(number);
      };
      began = now();
      await Promise.all(Array.from({ length: Math.min(this.asked.concurrency, numbers.length) }, worker));
    } else {
      began = now();
      await Promise.all(numbers.map((number) => this.request(number)));
    }
    return [began, now()];
  }

  async arriving(numbers, began) {
    const made = [];
    for (const number of numbers) {
      const due = began + BigInt(Math.round(((number - 1) / this.asked.rate_per_s) * 1e9));
      for (let early = due - now(); early > 0n; early = due - now()) await pause(Math.ceil(Number(early) / 1e6));
      made.push(this.request(number, due));
    }
    return made;
  }

  /** Keep the body, or count the failure. */
  async request(number, due) {
    const row = this.watch?.begin(number, this.base + this.path(number), due);
    let kind = '';
    try {
      kind = await this.fetched(number, row);
    } catch (error) {
      kind = kindOf(error);
      this.watch?.failed(row, kind);
    }
    if (kind) this.errors[kind] = (this.errors[kind] ?? 0) + 1;
    this.watch?.stamp(row, 'done');
  }

  async fetched(number, row) {
    for (let left = this.asked.retries; ; left--) {
      const { status, body, again } = await this.once(this.base + this.path(number), row);
      if (left > 0 && REFUSALS.has(status)) {
        await pause(again);
        continue;
      }
      if (status >= 400) return `status-${Math.floor(status / 100)}xx`;
      if (this.asked.decode === 'json' && this.asked.decode_when === 'inside') {
        JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
        this.watch?.stamp(row, 'decoded');
      }
      this.bodies[number - 1] = body;
      return '';
    }
  }

  async once(address, row) {
    this.watch?.first(row, 'enqueued');
    const headers = this.job.user_agent === null ? {} : { 'user-agent': this.job.user_agent };
    const answer = await fetch(address, { method: this.asked.method, headers, signal: AbortSignal.timeout(this.asked.timeout_s * 1000) });
    this.watch?.answered(row, answer.status);
    const body = new Uint8Array(await answer.arrayBuffer());
    this.watch?.stamp(row, 'body');
    return { status: answer.status, body, again: pauseMs(answer.headers.get('retry-after')) };
  }
}

/** Read a Retry-After field, a number of seconds or a date; a second where there is none. */
function pauseMs(field) {
  if (field === null) return 1000;
  if (/^\s*\d+\s*$/.test(field)) return Number(field) * 1000;
  const at = Date.parse(field);
  return Number.isNaN(at) ? 1000 : Math.max(0, at - Date.now());
}

function peakKiB() {
  const found = /^VmHWM:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'));
  return found ? Number(found[1]) : process.resourceUsage().maxRSS;
}

function decodeAll(work, report) {
  const began = now();
  for (const body of work.bodies) {
    try {
      if (body !== null) JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
    } catch {
      report.errors.decode = (report.errors.decode ?? 0) + 1;
    }
  }
  report.decode_s = seconds(now() - began);
}

async function main() {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const job = JSON.parse((await lines.next()).value);
  const began = now();
  await fetch('data:,'); // loads what fetch is made of
  limit(job.scenario.pool);
  const setup = now() - began;
  if (job.warm_up) await new Work(job, null).once(job.url.replace(/\/+$/, '') + job.scenario.target.path.replaceAll('{i}', '1')).catch(() => {});
  if (job.warm_up) await fresh(job.scenario.pool);
  const watch = job.spec.tier === 'timeline' ? new Watch(job.scenario.target.path.includes('{i}')) : null;
  const work = new Work(job, watch);
  let collections = 0;
  const collector = new PerformanceObserver((list) => (collections += list.getEntries().length));
  collector.observe({ entryTypes: ['gc'] });
  writeSync(1, 'ready\n');
  if ((await lines.next()).value !== 'go') throw new Error('the parent is gone');
  lines.next().then(() => process.exit(1)); // whoever closes the pipe before the end is gone
  collector.takeRecords();
  collections = 0;
  const before = process.cpuUsage();
  const [t0, t1] = await work.run();
  const spent = process.cpuUsage(before);
  collections += collector.takeRecords().length;
  writeSync(1, 'done\n');
  const came = work.bodies.filter((body) => body !== null);
  const report = {
    t0_ns: Number(t0),
    t1_ns: Number(t1),
    total_s: seconds(t1 - t0),
    setup_s: seconds(setup),
    cpu_s: (spent.user + spent.system) / 1e6,
    run_queue_s: null,
    rss_peak_kib: peakKiB(),
    gc_collections: collections,
    errors: work.errors,
    succeeded: came.length,
    body_bytes: came.reduce((sum, body) => sum + body.length, 0),
    versions: { node: process.versions.node, undici: process.versions.undici ?? 'unknown' },
    not_observed: { run_queue_s: 'Node has several threads' },
  };
  if (['profile', 'calls'].includes(job.spec.tier)) report.not_observed[job.spec.tier] = 'the profilers watch Python only, and this client is Node';
  if (job.scenario.workload.decode === 'json' && job.scenario.workload.decode_when === 'after' && watch) decodeAll(work, report);
  watch?.write(job.folder);
  const draft = join(job.folder, 'worker.tmp');
  writeFileSync(draft, JSON.stringify(report));
  renameSync(draft, join(job.folder, 'worker.json'));
  process.exit(0);
}

/** A pool of its own for the timed part, as the scenario wants it. */
async function fresh(pool) {
  const used = globalThis[DISPATCHER];
  if (used === undefined) return;
  globalThis[DISPATCHER] = new used.constructor();
  await used.close();
  limit(pool);
}

main().catch((error) => {
  writeSync(2, `loopdiag's Node worker: ${error.message}\n`);
  process.exit(1);
});

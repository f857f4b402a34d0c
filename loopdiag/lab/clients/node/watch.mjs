// What can be seen of Node's fetch: the program's own marks, and what undici tells on its diagnostics channels.
import { channel } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

// Columns of the tables, as in loopdiag's instruments/schema.py: all "<u4" but the first, "<u8".
const ATTEMPT =
  't0 request connection status flags assignments wire_bytes due created first_run enqueued assigned resumed stream send_start send_end rx_kernel first_byte headers rx_last last_byte body decoded released done'.split(' ');
const LINK =
  't0 request requests flags dns_start dns_end lookup_start lookup_end tcp_start tcp_end tls_start tls_end made closed address_attempts tls_cpu_ns tls_steps rtt_us retransmits local_port record_cpu_ns'.split(' ');
const STAMPS = new Set([...ATTEMPT.slice(7), ...LINK.slice(4, 14)]);
const REUSED = 1;
const ERROR = 1 << 7;
const TIMED_OUT = 1 << 10;
const NEVER = 'assigned resumed stream send_end rx_kernel rx_last released wire_bytes'.split(' ');
const BY_PATH = 'send_start first_byte last_byte'.split(' ');
const HEADER_BYTES = 1024;
const now = process.hrtime.bigint;

export class Watch {
  /** named: whether each request has a path of its own, by which undici's requests are known again. */
  constructor(named) {
    this.attempts = [];
    this.links = [];
    this.named = named;
    this.byPath = new Map();
    this.bySocket = new WeakMap();
    channel('undici:client:connected').subscribe(({ socket }) => this.connected(socket));
    if (named) {
      channel('undici:client:sendHeaders').subscribe(({ request, socket }) => this.sent(this.byPath.get(request.path), socket));
      channel('undici:request:headers').subscribe(({ request }) => this.first(this.byPath.get(request.path), 'first_byte'));
      channel('undici:request:trailers').subscribe(({ request }) => this.first(this.byPath.get(request.path), 'last_byte'));
    }
  }

  begin(number, address, due) {
    const { pathname, search } = new URL(address);
    const at = now();
    const row = { t0: at, request: number, flags: 0, due: due ?? at, created: at, first_run: at };
    this.attempts.push(row);
    this.byPath.set(pathname + search, row);
    return row;
  }

  stamp(row, name) {
    if (row !== undefined) row[name] = now();
  }

  first(row, name) {
    if (row !== undefined && row[name] === undefined) row[name] = now();
  }

  answered(row, status) {
    if (row === undefined) return;
    row.status = status;
    row.headers = now();
  }

  failed(row, kind) {
    if (row !== undefined) row.flags |= kind === 'timeout' ? TIMED_OUT : ERROR;
  }

  connected(socket) {
    const at = now();
    const link = { t0: at, made: at, requests: 0, local_port: socket.localPort ?? 0 };
    this.links.push(link);
    link.row = this.links.length;
    this.bySocket.set(socket, link);
    socket.once('close', () => (link.closed = now()));
  }

  sent(row, socket) {
    if (row === undefined || row.send_start !== undefined) return;
    row.send_start = now();
    const link = this.bySocket.get(socket);
    if (link === undefined) return;
    if (link.requests) row.flags |= REUSED;
    link.requests += 1;
    row.connection = link.row;
  }

  write(folder) {
    save(join(folder, 'attempts.npy'), ATTEMPT, this.attempts);
    save(join(folder, 'connections.npy'), LINK, this.links);
    const unseen = { 'connections.request': 'undici does not tell for which request it connects' };
    for (const name of NEVER) unseen[`attempts.${name}`] = "Node's fetch does not show it";
    if (!this.named) for (const name of BY_PATH) unseen[`attempts.${name}`] = 'target.path is the same for all requests';
    const account = { installed: { undici: process.versions.undici ?? '' }, not_observed: unseen };
    writeFileSync(join(folder, 'instruments.json'), JSON.stringify(account));
  }
}

/** Write a one-dimensional structured .npy file (format 1.0); its row 0 is the sink of loopdiag's own tables, and empty. */
function save(path, columns, rows) {
  const kinds = columns.map((name, at) => `('${name}', '<u${at ? 4 : 8}')`).join(', ');
  const text = `{'descr': [${kinds}], 'fortran_order': False, 'shape': (${rows.length + 1},)}`;
  const width = 4 * (columns.length + 1);
  const out = Buffer.alloc(HEADER_BYTES + (rows.length + 1) * width);
  out.write('\x93NUMPY\x01\x00', 'latin1');
  out.writeUInt16LE(HEADER_BYTES - 10, 8);
  out.write(`${text.padEnd(HEADER_BYTES - 11)}\n`, 10, 'latin1');
  rows.forEach((row, index) => {
    const start = HEADER_BYTES + (index + 1) * width;
    out.writeBigUInt64LE(row.t0, start);
    columns.slice(1).forEach((name, at) => {
      const value = row[name] ?? 0;
      const word = STAMPS.has(name) ? Number((BigInt(value) >> 7n) & 0xffffffffn) : value;
      out.writeUInt32LE(word, start + 8 + 4 * at);
    });
  });
  writeFileSync(path, out);
}

// The kind of a failed request in the words of loopdiag's clients.
const KINDS = [
  ['descriptors', /^E[MN]FILE$/],
  ['tls', /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_|ERR_SSL_|EPROTO$)/],
  ['timeout', /^(ETIMEDOUT|UND_ERR_(HEADERS|BODY|CONNECT)_TIMEOUT)$/],
  ['connect', /^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)$/],
  ['reset', /^(ECONNRESET|EPIPE|ECONNABORTED|UND_ERR_SOCKET|UND_ERR_CLOSED)$/],
];

/** Name the kind: what the system said, anywhere down the chain of causes, goes before the library's wrapping. */
export function kindOf(error) {
  const chain = [];
  for (const rest = [error]; rest.length; ) {
    const link = rest.pop();
    if (!link || chain.includes(link)) continue;
    chain.push(link);
    rest.push(link.cause, ...(link.errors ?? []));
  }
  for (const [kind, pattern] of KINDS) {
    if (chain.some((link) => pattern.test(link.code ?? ''))) return kind;
  }
  if (chain.some((link) => link.name === 'TimeoutError')) return 'timeout';
  if (error instanceof SyntaxError || error?.code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return 'decode';
  if (chain.some((link) => link.name === 'SocketError')) return 'reset';
  return String(chain.at(-1)?.code || chain.at(-1)?.name || 'error');
}

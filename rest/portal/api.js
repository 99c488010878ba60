// Requests to the worker that served this page. An answer that is no success is an error with the worker's own words.

/** Where the worker's paths begin; it may be below a proxy's path. */
export const root = new URL('..', import.meta.url);

export class RequestError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** How long a request may take. Deleting and validating wait for other systems. */
const LIMIT_MS = 90_000;

export async function request(method, path, { body, signal } = {}) {
  const headers = { Accept: 'application/json', 'X-Tidegate-By': 'portal' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const limit = AbortSignal.timeout(LIMIT_MS);
  let response;
  let text;
  try {
    response = await fetch(new URL(path, root), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      cache: 'no-store',
    });
    text = await response.text();
  } catch (cause) {
    if (signal?.aborted) throw cause;
    const why = cause.name === 'TimeoutError' ? `It did not answer within ${LIMIT_MS / 1000} seconds.` : 'Is it running, and the network up?';
    throw new RequestError(0, `The worker can't be reached. ${why}`);
  }
  const answer = read(text);
  if (response.ok) return answer;
  throw new RequestError(response.status, answer?.message ?? (text.slice(0, 500) || `The worker answered ${response.status}.`));
}

function read(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

export const get = (path, options) => request('GET', path, options);
export const jobPath = (name, rest = '') => `jobs/${encodeURIComponent(name)}${rest}`;
export const connectorPath = (name, rest = '') => `connectors/${encodeURIComponent(name)}${rest}`;

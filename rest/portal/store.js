// What this page knows of the jobs: the list, their figures, and what happened lately. It is fed by one stream of events,
// and asks again whenever that may have missed something.

import { get, jobPath, root } from './api.js';
import { WINDOW_MS } from './plots.js';

/** How many jobs are asked for at the same time. */
const AT_ONCE = 4;
/** How often the list is asked for even if the stream seems well. */
const LOOK_AGAIN_MS = 30_000;
const RECONNECT_MS = [1000, 2000, 4000, 8000, 15_000];
const MAX_SAMPLES = 400;
const MAX_NOTICES = 5;

export const store = { jobs: new Map(), loaded: false, link: 'connecting', problem: null };

const listeners = { change: [], notice: [], link: [] };
export const on = (what, listener) => listeners[what].push(listener);
const tell = (what, value) => listeners[what].forEach((listener) => listener(value));

let told = false;
/** Says that something is to be shown anew, at most once a frame. */
export function changed() {
  if (told) return;
  told = true;
  requestAnimationFrame(() => {
    told = false;
    tell('change');
  });
}

function setLink(link, problem = null) {
  if (store.link === link && store.problem === problem) return;
  store.link = link;
  store.problem = problem;
  tell('link');
}

function entryOf(name) {
  let entry = store.jobs.get(name);
  if (!entry) {
    entry = { name, summary: null, job: null, whole: false, gone: false, samples: [], notices: [] };
    store.jobs.set(name, entry);
  }
  return entry;
}

/** What a job shows from second to second. */
export function figures(job) {
  const streaming = job.streaming;
  const rows = job.tables.map((table) => table.rows_per_second).filter((value) => value !== null);
  const reading = job.state === 'running' && job.phase === 'SNAPSHOT';
  return {
    at: Date.now(),
    events: reading ? null : streaming?.events_per_second_1m ?? null,
    rows: reading && rows.length ? rows.reduce((sum, value) => sum + value, 0) : null,
    lag: streaming?.lag_ms ?? null,
    lagBytes: streaming?.lag_bytes ?? null,
  };
}

function take(job, whole) {
  const entry = entryOf(job.name);
  entry.job = { options: {}, history: [], ...entry.job, ...job };
  entry.whole ||= whole;
  entry.summary = { name: job.name, state: job.state, phase: job.phase, type: job.type, updated_at: job.updated_at };
  const sample = figures(entry.job);
  const rate = sample.events ?? sample.rows;
  entry.samples.push({ ...sample, rate });
  const oldest = sample.at - WINDOW_MS;
  while (entry.samples.length > MAX_SAMPLES || entry.samples[0].at < oldest) entry.samples.shift();
  changed();
}

/** Asks for one job with everything. Answers false when there is none. */
export async function loadJob(name) {
  try {
    take(await get(jobPath(name)), true);
    return true;
  } catch (error) {
    if (error.status !== 404) throw error;
    forget(name);
    return false;
  }
}

export function forget(name) {
  const entry = store.jobs.get(name);
  if (entry) entry.gone = true;
  store.jobs.delete(name);
  changed();
}

/** What an action answered. */
export const takeWhole = (job) => take(job, true);

/** Asks for the list, then for the figures of what is not known yet. */
export async function refresh() {
  let jobs;
  try {
    jobs = await get('jobs');
  } catch (error) {
    setLink('lost', error.message);
    throw error;
  }
  const names = new Set(jobs.map((job) => job.name));
  for (const name of store.jobs.keys()) if (!names.has(name)) store.jobs.delete(name);
  for (const summary of jobs) {
    const entry = entryOf(summary.name);
    const stale = entry.summary && (entry.summary.state !== summary.state || entry.summary.updated_at !== summary.updated_at);
    entry.summary = summary;
    if (stale) entry.whole = false;
  }
  store.loaded = true;
  changed();
  const waiting = [...store.jobs.values()].filter((entry) => !entry.whole).map((entry) => entry.name);
  const next = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await loadJob(name);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
}

let source = null;
let tries = 0;
let again = null;

const NOTICES = {
  warning: (data) => data.message,
  failing: (data) => `It has been failing since ${new Date(data.since).toLocaleTimeString()}. ${data.error ?? ''}`,
  flapping: (data) => `It failed ${data.failures} times within ${Math.round(data.within_ms / 60_000)} minutes.`,
};

function connect() {
  clearTimeout(again);
  source?.close();
  const stream = new EventSource(new URL('jobs/-/events', root));
  source = stream;
  stream.onopen = () => {
    tries = 0;
    refresh().then(() => source === stream && setLink('live'), () => {});
  };
  stream.onerror = () => {
    if (source !== stream) return;
    // The browser's own retries stop for good at the first answer that is no stream, so these are ours.
    stream.close();
    const wait = RECONNECT_MS[Math.min(tries, RECONNECT_MS.length - 1)];
    tries += 1;
    setLink('lost', 'The connection to the worker is lost. Figures are those of the last moment; trying again.');
    again = setTimeout(connect, wait);
  };
  stream.addEventListener('progress', (event) => take(JSON.parse(event.data).job, false));
  stream.addEventListener('state_changed', (event) => {
    const data = JSON.parse(event.data);
    tell('notice', { kind: 'state_changed', ...data });
    if (data.new_state === 'deleted') forget(data.job_id);
    else loadJob(data.job_id).catch((error) => setLink('lost', error.message));
  });
  for (const [kind, words] of Object.entries(NOTICES)) {
    stream.addEventListener(kind, (event) => {
      const data = JSON.parse(event.data);
      const notice = { kind, job_id: data.job_id, at: data.timestamp, message: words(data) };
      const entry = entryOf(data.job_id);
      entry.notices = [...entry.notices, notice].slice(-MAX_NOTICES);
      tell('notice', notice);
      changed();
    });
  }
}

/** Begins to listen. A page that nobody sees does not hold a connection, of which a browser has few for one address. */
export function listen() {
  connect();
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) {
      source?.close();
      source = null;
      clearTimeout(again);
    } else {
      connect();
    }
  });
  addEventListener('online', () => source && connect());
  setInterval(() => {
    if (!document.hidden && store.link === 'live') refresh().catch(() => connect());
  }, LOOK_AGAIN_MS);
  setInterval(changed, 1000);
}

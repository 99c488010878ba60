// One job: how it is, how far it is, and what can be done.

import { connectorPath, get } from './api.js';
import { h } from './dom.js';
import { ACTIONS, offered, perform } from './actions.js';
import { overall } from './list.js';
import { badge, bar, plot } from './plots.js';
import { plain, shownBody, shownConfig } from './secrets.js';
import { changed, loadJob, store } from './store.js';
import { ago, bytes, compact, count, duration, MEANING, percent, rate, sentence, signOf, STATES, time, UNKNOWN } from './words.js';
import { trying } from './say.js';

const PHASES = {
  INIT: 'Connections, publication, slot',
  SNAPSHOT: 'Copy of what is there',
  STREAMING: 'Changes as they happen',
};
/** What was warned of is nobody's concern any more in these. */
const OVER = ['completed', 'cancelled'];
const PHASE_STATES = { pending: 'Pending', running: 'Running', paused: 'Paused', completed: 'Completed', failed: 'Failed', cancelled: 'Cancelled' };

const fact = (label, value, title) => h('div', { title }, h('dt', null, label), h('dd', null, value ?? UNKNOWN));
const card = (key, title, ...content) => h('section.card', { 'data-key': key, 'aria-labelledby': `h-${key}` }, h('h2', { id: `h-${key}` }, title), content);

function steps(job) {
  return h('ol.steps', { 'aria-label': 'Phases', 'data-key': 'steps' }, Object.entries(PHASES).map(([phase, meaning]) => {
    const state = job.phases[phase] ?? 'pending';
    return h('li', { 'data-state': state, 'data-phase': phase, 'aria-current': job.phase === phase && state === 'running' ? 'step' : null },
      h('span.sign', null, h('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' }, h('path', { d: signOf(state) }))),
      h('div', null, h('strong', null, phase), h('span.phase-state', null, PHASE_STATES[state] ?? state), h('span.dim', null, meaning)));
  }));
}

function failure(job) {
  const { error } = job;
  if (!error) return null;
  const where = [error.connector, error.task !== null && `task ${error.task}`].filter(Boolean).join(', ');
  return h('section.failure', { 'data-key': 'error', role: 'alert', 'data-mild': job.state !== 'failed' },
    h('h2', null, job.state === 'failed' ? 'This job failed' : 'The last error'),
    h('p.message', null, plain(error.message)),
    error.remedy && h('div.remedy', null, h('h3', null, 'What to do'), h('p', null, plain(error.remedy))),
    h('p.dim', null, h('code', null, error.code), where && ` at ${where}`, ` · ${time(error.at)}`),
    error.connector && h('details', { 'data-trace': error.connector, 'data-key': 'trace' }, h('summary', null, 'Show the trace'),
      h('div', { 'data-key': 'fill' }, h('p.dim', null, 'Reading…'))));
}

function notes(entry, job) {
  const { recovery, retention } = job;
  const next = recovery.next_attempt_at ? Date.parse(recovery.next_attempt_at) - Date.now() : null;
  return h('div.notes', { 'data-key': 'notes' },
    job.waiting_for && h('p.note', { 'data-key': 'waiting' }, h('strong', null, 'Under way: '), job.waiting_for),
    recovery.attempt > 0 && job.state !== 'failed' && h('p.note', { 'data-key': 'recovery', id: 'recovery-note' },
      h('strong', null, `Recovering by itself, attempt ${recovery.attempt} of ${recovery.attempts_max}. `),
      next === null ? 'It is being tried now.' : next > 0 ? `Next attempt in ${duration(Math.ceil(next / 1000) * 1000)}.` : 'Next attempt at any moment.'),
    retention?.warning && h('p.note.warning', { 'data-key': 'retention' }, h('strong', null, 'Log retention: '), retention.warning),
    !OVER.includes(job.state) && entry.notices.filter((notice) => notice.message !== retention?.warning).map((notice) => h('p.note.warning', { 'data-key': `${notice.kind}${notice.at}` }, h('strong', null, `${ago(notice.at)}: `), notice.message)));
}

function tables(entry, job) {
  if (!job.tables.length) return null;
  const value = overall(job);
  const rows = job.tables.reduce((sum, table) => sum + table.rows, 0);
  return card('tables', 'Snapshot',
    h('div.overall', null, bar(value, 'Snapshot as a whole', value >= 100 ? 'done' : job.state === 'failed' ? 'bad' : null), h('strong', { id: 'overall' }, percent(value)), h('span.dim', null, `${count(rows)} rows`)),
    job.state === 'running' && job.phase === 'SNAPSHOT' && h('div.plots', null, plot(entry.samples, 'rows', 'Rows per second', rate)),
    h('div.scroll', null, h('table', null,
      h('caption.unseen', null, 'Tables of the snapshot'),
      h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'Table'), h('th', { scope: 'col' }, 'Status'), h('th', { scope: 'col' }, 'Progress'), h('th.num', { scope: 'col' }, 'Rows'), h('th.num', { scope: 'col' }, 'Rows/s'), h('th.num', { scope: 'col' }, 'Time left'))),
      h('tbody', null, job.tables.map((table) => h('tr', { 'data-key': table.table, 'data-table': table.table },
        h('th', { scope: 'row' }, h('code', null, table.table)),
        h('td', { 'data-label': 'Status' }, h('span.status', { 'data-state': table.status }, PHASE_STATES[table.status] ?? table.status)),
        h('td', { 'data-label': 'Progress' }, h('div.progress', null,
          table.percent === null && table.status !== 'running' ? h('span.dim', null, UNKNOWN) : bar(table.percent, `Progress of ${table.table}`, table.status === 'completed' ? 'done' : table.status === 'failed' ? 'bad' : null),
          h('span.figure', null, table.percent === null ? '' : percent(table.percent)))),
        h('td.num', { 'data-label': 'Rows' }, count(table.rows), table.rows_estimated !== null && table.status !== 'completed' && h('span.dim', null, ` of about ${compact(table.rows_estimated)}`)),
        h('td.num', { 'data-label': 'Rows/s' }, table.status === 'running' ? rate(table.rows_per_second) : UNKNOWN),
        h('td.num', { 'data-label': 'Time left' }, table.time_left_ms ? `about ${duration(table.time_left_ms)}` : UNKNOWN)))))));
}

function streaming(entry, job) {
  const figures = job.streaming;
  if (!figures) return null;
  const lag = figures.lag_ms !== null ? plot(entry.samples, 'lag', 'Lag', duration) : plot(entry.samples, 'lagBytes', 'Lag', bytes);
  const moves = job.state === 'running';
  return card('streaming', 'Streaming',
    moves && h('div.plots', null, plot(entry.samples, 'events', 'Events per second', rate), lag),
    h('dl.facts', null,
      fact('Events/s, 1 min', rate(figures.events_per_second_1m)),
      fact('Events/s, 5 min', rate(figures.events_per_second_5m)),
      fact('Lag', `${duration(figures.lag_ms)} · ${bytes(figures.lag_bytes)}`),
      fact('Last commit', ago(figures.last_commit_at), time(figures.last_commit_at)),
      fact('At', figures.last_commit_lsn && h('code', null, figures.last_commit_lsn)),
      figures.sinks.map((sink) => fact(`Waiting for ${sink.connector}`, `${count(sink.lag_records)} records`))));
}

function checkpoint(job) {
  const saved = job.checkpoint;
  return card('checkpoint', 'Checkpoint', saved ? h('dl.facts', null,
    fact('Position', saved.lsn && h('code', null, saved.lsn)),
    saved.table && fact('Table', h('code', null, saved.table)),
    fact('Last commit', ago(saved.last_commit_at), time(saved.last_commit_at)),
    fact('Saved', ago(saved.saved_at), time(saved.saved_at))) : h('p.dim', null, 'None has been saved yet.'));
}

function retention(job) {
  const kept = job.retention;
  if (!kept) return null;
  const budget = kept.safe_wal_size === null || kept.retained_bytes === null ? null : kept.retained_bytes + kept.safe_wal_size;
  const used = budget ? (kept.retained_bytes / budget) * 100 : null;
  const tone = kept.wal_status === 'lost' || used >= 80 ? 'bad' : used >= 50 || kept.wal_status === 'unreserved' ? 'caution' : null;
  return card('retention', 'Log kept at the source',
    budget !== null && h('div.overall', null, bar(used, 'Part of the log’s budget that is used', tone), h('strong', null, percent(used)), h('span.dim', null, `${bytes(kept.retained_bytes)} of ${bytes(budget)}`)),
    h('dl.facts', null,
      fact('Slot', h('code', null, kept.slot)),
      fact('State', kept.wal_status ?? 'the slot does not exist'),
      budget === null && fact('Kept', bytes(kept.retained_bytes)),
      fact('Limit', kept.safe_wal_size !== null ? `${bytes(kept.safe_wal_size)} left` : kept.wal_status === null ? UNKNOWN : 'none set'),
      fact('Written', kept.wal_bytes_per_second === null ? UNKNOWN : `${bytes(kept.wal_bytes_per_second)}/s`),
      fact('Lasts for', kept.exhausted_in_ms === null ? UNKNOWN : `about ${duration(kept.exhausted_in_ms)}`)));
}

function recovery(job) {
  const { attempt, attempts_max: most, first_failure_at: first, next_attempt_at: next, kind } = job.recovery;
  if (!attempt && !first) return null;
  return card('recovery', 'Recovery', h('dl.facts', null,
    fact('Attempt', `${count(attempt)} of ${count(most)}`), fact('Kind', kind), fact('First failure', ago(first), time(first)),
    fact('Next attempt', next ? (Date.parse(next) > Date.now() ? `in ${duration(Math.ceil((Date.parse(next) - Date.now()) / 1000) * 1000)}` : 'now') : UNKNOWN, time(next))));
}

function history(job) {
  const all = [...job.history].reverse();
  return card('history', 'History', all.length ? h('ol.history', null, all.map((change) => h('li', { 'data-state': change.to },
    h('span.badge.small', { 'data-state': change.to }, h('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' }, h('path', { d: signOf(change.to) })), STATES[change.to] ?? change.to),
    h('span', null, sentence(plain(change.cause))), h('span.dim', { title: time(change.at) }, `${ago(change.at)} · by ${change.by}`)))) : h('p.dim', null, 'Nothing yet.'));
}

function connectors(job) {
  if (!job.connectors.length) return null;
  return card('connectors', 'Connectors and tasks', job.connectors.map((connector) => h('div.connector', { 'data-key': connector.name },
    h('h3', null, connector.name, h('span.dim', null, connector.type), h('span.status', { 'data-state': (connector.state ?? 'unassigned').toLowerCase() }, sentence((connector.state ?? 'not assigned').toLowerCase()))),
    h('ul.tasks', null, connector.tasks.map((task) => h('li', { 'data-key': task.id }, `Task ${task.id}`, h('span.status', { 'data-state': task.state.toLowerCase() }, sentence(task.state.toLowerCase())), h('span.dim', null, task.worker_id)))),
    h('details', { 'data-config': connector.name }, h('summary', null, 'Configuration'), h('div', { 'data-key': 'fill' }, h('p.dim', null, 'Reading…'))))));
}

function options(job) {
  const entries = Object.entries(job.options);
  return card('options', 'Options', entries.length ? h('dl.config', null, entries.map(([key, value]) => {
    const shown = typeof value === 'object' && value !== null ? JSON.stringify(value, shownBody) : String(shownBody(key, value));
    return h('div', null, h('dt', null, key), h('dd', null, shown));
  })) : h('p.dim', null, 'None: everything is as the worker has it.'));
}

/** Fills opened details, each time with what is there then. */
async function fill(details, read) {
  const place = details.querySelector('[data-key=fill]');
  place.removeAttribute('data-filled');
  try {
    place.replaceChildren(await read());
  } catch (error) {
    place.replaceChildren(h('p.error', { role: 'alert' }, error.message));
  }
  place.setAttribute('data-filled', '');
}

async function config(name) {
  const entries = await shownConfig(await get(connectorPath(name, '/config')));
  return h('dl.config', null, entries.map(([key, value]) => h('div', null, h('dt', null, key), h('dd', null, value ?? 'null'))));
}

async function trace(name) {
  const status = await get(connectorPath(name, '/status'));
  const traces = [status.connector, ...status.tasks].filter((unit) => unit.trace);
  if (!traces.length) return h('p.dim', null, 'There is no trace any more.');
  return h('div', null, traces.map((unit) => h('pre', { tabindex: 0 }, plain(unit.trace))));
}

export function jobPage(name) {
  let busy = null;
  let missing = false;
  let problem = null;
  let asking = false;
  const load = async () => {
    if (asking) return;
    asking = true;
    try {
      missing = !await loadJob(name);
      problem = null;
    } catch (error) {
      problem = error.message;
    }
    asking = false;
    changed();
  };
  return {
    name: 'job',
    title: name,
    enter: load,
    act: (what, button) => {
      const entry = store.jobs.get(name);
      if (what === 'retry-load') load();
      else if (entry?.job && !busy && ACTIONS[what]) {
        perform(entry.job, what, (value) => {
          busy = value;
          changed();
          // The button that was pressed may be gone, and the focus with it: the next Tab begins at the actions again.
          if (value === null) setTimeout(() => document.activeElement === document.body && document.querySelector('main h1')?.focus(), 100);
        });
      } else if (what === 'copy') trying(() => navigator.clipboard.writeText(button.dataset.text));
    },
    toggled: (details) => {
      if (!details.open) return;
      if (details.dataset?.config) fill(details, () => config(details.dataset.config));
      if (details.dataset?.trace) fill(details, () => trace(details.dataset.trace));
    },
    view: () => {
      const entry = store.jobs.get(name);
      const back = h('p.back', null, h('a', { href: '#/' }, '← All jobs'));
      if (!entry?.job) {
        const bare = h('div.head', { 'data-key': 'head' }, h('div', null, h('h1', { tabindex: -1 }, name)));
        if (problem) return [back, bare, h('div.empty', { role: 'alert' }, h('p', null, problem), h('button', { type: 'button', 'data-do': 'retry-load' }, 'Try again'))];
        if (missing || (store.loaded && !entry)) return [back, bare, h('p.empty', null, 'There is no such job. It may have been deleted.')];
        return [back, bare, h('p.empty', { role: 'status' }, 'Reading the job…')];
      }
      if (!entry.whole && !problem) load();
      const { job } = entry;
      return [
        back,
        h('div.head', { 'data-key': 'head' },
          h('div', null,
            h('h1', { tabindex: -1 }, name, badge(job.state)),
            h('p.reason', { id: 'reason' }, sentence(plain(job.reason || MEANING[job.state] || '')),
              job.uptime_ms !== null && h('span.dim', null, ` · up ${duration(job.uptime_ms)}`),
              h('span.dim', { title: time(job.updated_at) }, ` · updated ${ago(job.updated_at)}`))),
          h('div.actions', { role: 'group', 'aria-label': 'Actions' }, offered(job).map((action) => h(`button.${ACTIONS[action]?.tone ?? 'plain-button'}`, {
            type: 'button', 'data-do': action, 'data-key': action, disabled: busy !== null, 'aria-busy': busy === action ? 'true' : null,
          }, ACTIONS[action]?.label(job) ?? action)))),
        problem && h('p.error', { role: 'alert' }, problem),
        failure(job),
        notes(entry, job),
        steps(job),
        h('div.cards', { 'data-key': 'cards' },
          h('div.wide', null, tables(entry, job), streaming(entry, job), connectors(job)),
          h('div.narrow', null, checkpoint(job), retention(job), recovery(job), history(job), options(job))),
      ];
    },
  };
}

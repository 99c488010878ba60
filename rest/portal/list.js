// The list of jobs.

import { request } from './api.js';
import { h } from './dom.js';
import { badge, bar, sparkline } from './plots.js';
import { store, changed, refresh } from './store.js';
import { ago, count, duration, bytes, percent, rate, STATES, UNKNOWN } from './words.js';
import { toast, trying } from './say.js';
import { confirm } from './actions.js';

/** Groups of states that one looks for. */
const GROUPS = [
  ['all', 'All', () => true],
  ['running', 'Running', (state) => ['running', 'starting', 'pending'].includes(state)],
  ['paused', 'Paused', (state) => state === 'paused'],
  ['failed', 'Failed', (state) => state === 'failed'],
  ['idle', 'Not running', (state) => ['created', 'stopped'].includes(state)],
  ['ended', 'Ended', (state) => ['completed', 'cancelled'].includes(state)],
];

/** What a reader looks for, kept while other pages are open. */
const wish = { group: 'all', text: '' };

/** How far a job's snapshot is, in percent; null when that is not known. */
export function overall(job) {
  if (!job) return null;
  if (job.phases?.SNAPSHOT === 'completed') return 100;
  const { tables } = job;
  if (!tables.length) return null;
  if (tables.every((table) => table.rows_estimated !== null)) {
    const all = tables.reduce((sum, table) => sum + Math.max(table.rows_estimated, table.rows), 0);
    const done = tables.reduce((sum, table) => sum + (table.status === 'completed' ? Math.max(table.rows_estimated, table.rows) : table.rows), 0);
    return all ? (done / all) * 100 : null;
  }
  const parts = tables.map((table) => table.percent).filter((value) => value !== null);
  return parts.length ? parts.reduce((sum, value) => sum + value, 0) / tables.length : null;
}

function progress({ job, summary }) {
  const value = overall(job);
  if (value === null) return h('span.dim', null, UNKNOWN);
  const live = value >= 100 && summary.state === 'running' && summary.phase === 'STREAMING';
  return h('div.progress', null,
    bar(value, `Snapshot of ${summary.name}`, value >= 100 ? 'done' : summary.state === 'failed' ? 'bad' : null),
    h('span.figure', null, live ? 'Live' : percent(value)));
}

function lagOf(sample) {
  if (!sample) return UNKNOWN;
  return sample.lag !== null ? duration(sample.lag) : bytes(sample.lagBytes);
}

function row(entry) {
  const { name, summary, samples, job } = entry;
  const last = summary.state === 'running' ? samples.at(-1) : null;
  const unit = last?.rows !== null && last?.rows !== undefined ? 'rows/s' : 'events/s';
  const running = Boolean(last);
  return h('tr', { 'data-key': name, 'data-job': name },
    h('th', { scope: 'row' },
      h('a', { href: `#/jobs/${encodeURIComponent(name)}` }, name),
      h('span.dim', null, summary.type === 'connector' ? 'single connector' : job?.connectors?.length ? `${count(job.connectors.length)} connectors` : 'pipeline')),
    h('td', { 'data-label': 'State' }, badge(summary.state),
      job?.recovery?.attempt > 0 && summary.state !== 'failed' && h('span.dim', null, `attempt ${job.recovery.attempt} of ${job.recovery.attempts_max}`),
      job?.retention?.warning && h('span.warn', { title: job.retention.warning }, 'log retention')),
    h('td', { 'data-label': 'Phase' }, summary.phase ? h('code', null, summary.phase) : h('span.dim', null, UNKNOWN)),
    h('td', { 'data-label': 'Progress' }, progress(entry)),
    h('td.num', { 'data-label': 'Rate' }, running && last.rate !== null
      ? h('div.trend', null, sparkline(samples, 'rate', `${unit} of ${name} in the last five minutes`), h('span.figure', null, rate(last.rate), h('small', null, ` ${unit}`)))
      : h('span.dim', null, UNKNOWN)),
    h('td.num', { 'data-label': 'Lag' }, running && (last.lag !== null || last.lagBytes !== null)
      ? h('div.trend.short', null, sparkline(samples, last.lag !== null ? 'lag' : 'lagBytes', `Lag of ${name} in the last five minutes`), h('span.figure', null, lagOf(last)))
      : h('span.dim', null, UNKNOWN)),
    h('td.when', { 'data-label': 'Updated' }, ago(summary.updated_at)));
}

function empty(filtered) {
  if (!store.loaded) return h('p.empty', { role: 'status' }, store.link === 'lost' ? 'The jobs could not be read.' : 'Reading the jobs…');
  if (filtered) return h('p.empty', null, 'No job is like that. ', h('button.plain', { type: 'button', 'data-do': 'clear' }, 'Show all jobs'));
  return h('div.empty', null,
    h('h2', null, 'No jobs yet'),
    h('p', null, 'A job copies tables of a Postgres database to MongoDB, and keeps the copy up to date.'),
    h('a.button.primary', { href: '#/new' }, 'Create the first job'));
}

const CONFIRM = {
  pause: {
    title: 'Pause all jobs?',
    text: (names) => `${names.length} running: ${names.slice(0, 6).join(', ')}${names.length > 6 ? ' and others' : ''}. Nothing new is read until they are resumed.`,
    warning: 'While jobs are paused their sources keep their logs. Resume each of them within the retention period of its source, or changes are lost. Each job’s page says how long that is.',
    label: 'Pause all',
    tone: 'caution',
  },
  resume: { title: 'Resume all jobs?', text: (names) => `${names.length} paused: ${names.slice(0, 6).join(', ')}${names.length > 6 ? ' and others' : ''}. They go on where they were.`, label: 'Resume all', tone: 'primary' },
};

async function all(action, names) {
  const { title, text, warning, label, tone } = CONFIRM[action];
  if (!await confirm({ title, text: text(names), warning, label, tone })) return;
  await trying(async () => {
    const jobs = await request('PUT', `jobs/-/${action}`);
    toast(jobs.length ? `${action === 'pause' ? 'Pausing' : 'Resuming'} ${jobs.map((job) => job.name).join(', ')}` : 'No job had to be changed.');
    await refresh();
  });
}

export function listPage() {
  const entries = () => [...store.jobs.values()].filter((entry) => entry.summary).sort((a, b) => a.name.localeCompare(b.name));
  const allowing = (action) => entries().filter((entry) => entry.job?.actions?.includes(action)).map((entry) => entry.name);
  return {
    name: 'list',
    title: 'Jobs',
    enter: (main) => {
      const search = main.querySelector('#search');
      search.value = wish.text;
      main.addEventListener('input', (event) => {
        if (event.target !== main.querySelector('#search')) return;
        wish.text = event.target.value;
        changed();
      });
    },
    act: (what, button) => {
      if (what === 'group') wish.group = button.dataset.group;
      else if (what === 'pause' || what === 'resume') all(what, allowing(what));
      else if (what === 'clear') {
        wish.group = 'all';
        wish.text = '';
        document.getElementById('search').value = '';
      }
      changed();
    },
    view: () => {
      const found = entries();
      const text = wish.text.trim().toLowerCase();
      const [, , inGroup] = GROUPS.find(([id]) => id === wish.group);
      const wanted = (entry) => !text || `${entry.name} ${STATES[entry.summary.state]} ${entry.summary.phase ?? ''}`.toLowerCase().includes(text);
      const shown = found.filter((entry) => inGroup(entry.summary.state) && wanted(entry));
      return [
        h('div.head', null,
          h('h1', { tabindex: -1 }, 'Jobs'),
          h('div.actions', null,
            h('button', { type: 'button', 'data-do': 'pause', disabled: !allowing('pause').length }, 'Pause all'),
            h('button', { type: 'button', 'data-do': 'resume', disabled: !allowing('resume').length }, 'Resume all'),
            h('a.button.primary', { href: '#/new' }, 'New job'))),
        h('div.tools', null,
          h('label.search', null, h('span.unseen', null, 'Search jobs'), h('input', { id: 'search', type: 'search', placeholder: 'Search by name, state or phase', autocomplete: 'off', spellcheck: 'false' })),
          h('div.chips', { role: 'group', 'aria-label': 'Show' }, GROUPS.map(([id, label, matches]) => h('button.chip', {
            type: 'button', 'data-do': 'group', 'data-group': id, 'data-key': id, 'aria-pressed': String(wish.group === id),
          }, label, h('span.count', null, count(found.filter((entry) => matches(entry.summary.state)).length)))))),
        shown.length === 0 ? empty(found.length > 0) : h('div.scroll', { 'data-key': 'jobs' }, h('table.jobs', null,
          h('caption.unseen', null, 'Jobs with their state, progress, rate and lag'),
          h('thead', null, h('tr', null, ['Name', 'State', 'Phase', 'Progress', 'Rate', 'Lag', 'Updated'].map((label) => h('th', { scope: 'col', class: ['Rate', 'Lag'].includes(label) ? 'num' : null }, label)))),
          h('tbody', null, shown.map(row)))),
      ];
    },
  };
}

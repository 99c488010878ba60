// Making a job. Both ends are tried while one types; what is wrong is said beside the field it is about.

import { request } from './api.js';
import { h, show } from './dom.js';
import { toast } from './say.js';
import { shownBody } from './secrets.js';
import { takeWhole } from './store.js';

const POSTGRES = 'io.debezium.connector.postgresql.PostgresConnector';
const MONGODB = 'com.mongodb.kafka.connect.MongoSinkConnector';
const HANDLER = 'com.mongodb.kafka.connect.sink.cdc.debezium.rdbms.postgres.PostgresHandler';

/** How long a reader may think between two keys. */
const PAUSE_MS = 500;

/** The fields: their part of the body, and the key of a configuration that they are. */
const FIELDS = [
  { id: 'name', end: 'job', label: 'Name', hint: 'What you will find the job by.', required: true, placeholder: 'shop' },
  { id: 'host', end: 'source', key: 'database.hostname', label: 'Host', required: true, placeholder: 'db.example.com', size: 'wide' },
  { id: 'port', end: 'source', key: 'database.port', label: 'Port', value: '5432', inputmode: 'numeric', size: 'small' },
  { id: 'dbname', end: 'source', key: 'database.dbname', label: 'Database', required: true, placeholder: 'shop', size: 'small' },
  { id: 'user', end: 'source', key: 'database.user', label: 'User', required: true, placeholder: 'replicator', size: 'small' },
  { id: 'password', end: 'source', key: 'database.password', label: 'Password', type: 'password', required: true, size: 'small' },
  { id: 'tables', end: 'source', key: 'table.include.list', label: 'Tables to include', placeholder: 'public.orders, public.customers', hint: 'As schema.table, separated by commas; regular expressions may stand here, too. Empty: every table.', size: 'full', list: true },
  { id: 'slot', end: 'source', key: 'slot.name', label: 'Replication slot', hint: 'Made when it does not exist.', own: (name) => identifier(name) },
  { id: 'publication', end: 'source', key: 'publication.name', label: 'Publication', hint: 'Made for these tables when it does not exist.', own: (name) => identifier(name) },
  { id: 'uri', end: 'sink', key: 'connection.uri', label: 'Connection URI', required: true, placeholder: 'mongodb://user:password@mongo.example.com', size: 'full', hint: 'Hidden once the job is made.' },
  { id: 'database', end: 'sink', key: 'database', label: 'Database', required: true, placeholder: 'shop' },
];
const ADVANCED = { source: 'source-more', sink: 'sink-more' };
const TITLES = { job: 'Job', source: 'From: PostgreSQL', sink: 'To: MongoDB' };
const KEYS = { source: 'snapshot.mode=initial', sink: 'writemodel.strategy=…' };

const identifier = (name) => name.toLowerCase().replace(/[^a-z0-9_]+/g, '_').replace(/^_+|_+$/g, '').slice(0, 63);
const prefix = (name) => name.replace(/[^A-Za-z0-9._-]+/g, '_');
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Lines of key=value. What is none is said by its number. */
function pairs(text) {
  const config = {};
  const problems = [];
  text.split('\n').forEach((line, at) => {
    const words = line.trim();
    if (!words || words.startsWith('#')) return;
    const mark = words.indexOf('=');
    if (mark < 1) problems.push(`Line ${at + 1} is not of the form key=value.`);
    else config[words.slice(0, mark).trim()] = words.slice(mark + 1).trim();
  });
  return { config, problems };
}

function field({ id, label, hint, type = 'text', required, placeholder, value, inputmode, size }) {
  return h('div.field', { 'data-size': size, id: `f-${id}` },
    h('label', { for: id }, label, required && h('span.required', { 'aria-hidden': 'true' }, ' *')),
    h('input', { id, name: id, type, value, placeholder, inputmode, required, autocomplete: type === 'password' ? 'new-password' : 'off', spellcheck: 'false', autocapitalize: 'off', 'aria-describedby': `${id}-hint ${id}-error`,}),
    h('p.hint', { id: `${id}-hint` }, hint),
    h('p.problem', { id: `${id}-error` }));
}

function advanced(end) {
  const id = ADVANCED[end];
  return h('details.advanced', { id: `${id}-details` }, h('summary', null, 'More settings'),
    h('div.field', { 'data-size': 'full', id: `f-${id}` },
      h('label', { for: id }, 'One key=value a line'),
      h('textarea', { id, name: id, rows: 5, spellcheck: 'false', autocapitalize: 'off', placeholder: KEYS[end], 'aria-describedby': `${id}-hint ${id}-error` }),
      h('p.hint', { id: `${id}-hint` }, 'Any key of the connector. It counts more than the fields above.'),
      h('p.problem', { id: `${id}-error` })));
}

function part(end, ...more) {
  return h('fieldset.card', { 'data-end': end },
    h('legend', null, TITLES[end]),
    end !== 'job' && h('p.judged', { id: `judged-${end}`, role: 'status', 'data-judged': 'incomplete' }, 'Not checked yet'),
    h('div.fields', null, FIELDS.filter((one) => one.end === end).map(field)),
    more);
}

const check = (id, label, hint, checked) => h('label.check', null, h('input', { type: 'checkbox', id, name: id, checked }), h('span', null, label, h('small', null, hint)));

function form() {
  return h('form', { id: 'create', novalidate: true },
    h('p.lead', null, 'A job copies tables of a Postgres database to MongoDB, and then keeps the copy up to date. Both ends are tried while you type; nothing is changed until you create the job.'),
    h('aside.card.help', { 'aria-labelledby': 'help' }, h('h2', { id: 'help' }, 'Before you start'), h('ul', null,
      h('li', null, 'Postgres needs ', h('code', null, 'wal_level = logical'), ' and a free replication slot.'),
      h('li', null, 'Its user needs the right to replicate (', h('code', null, 'REPLICATION'), ') and to read the tables.'),
      h('li', null, 'The user of MongoDB needs the right to write to the database.'),
      h('li', null, 'Each table becomes a collection called like its topic, for example ', h('code', null, 'shop.public.orders'), '.'))),
    part('job'),
    part('source', advanced('source')),
    part('sink', advanced('sink')),
    h('fieldset.card', null, h('legend', null, 'Options'),
      check('start', 'Start at once', 'Otherwise the job is created and waits for you.', true),
      check('drop', 'Drop destination collections before migration', 'The collections that the tables are copied to are dropped once, before the snapshot. Their data is gone then.', false)),
    h('details.card', null, h('summary', null, 'What will be sent'), h('pre', { id: 'preview', tabindex: 0 })),
    h('div.failure', { id: 'refused', role: 'alert', tabindex: -1, hidden: true }),
    h('div.actions', null, h('a.button', { href: '#/' }, 'Cancel'), h('button.primary', { type: 'submit', id: 'submit' }, 'Create job')));
}

export function createPage() {
  const touched = new Set();
  let element;
  let asked = null;
  let waiting = null;
  let checking = false;
  let submitted = false;
  let judged = null;
  let local = {};

  const input = (id) => element.querySelector(`#${id}`);
  const given = (one) => {
    const text = input(one.id).value.trim();
    if (one.list) return text.split(',').map((word) => word.trim()).filter(Boolean).join(',');
    return one.type === 'password' ? input(one.id).value : text || one.own?.(input('name').value.trim()) || '';
  };

  /** The body of the request, and what is wrong with it before anybody is asked. */
  function body() {
    const name = given(FIELDS[0]);
    const of = (end) => Object.fromEntries(FIELDS.filter((one) => one.end === end).map((one) => [one.key, given(one)]).filter(([, value]) => value));
    const more = { source: pairs(input(ADVANCED.source).value), sink: pairs(input(ADVANCED.sink).value) };
    local = { [ADVANCED.source]: more.source.problems, [ADVANCED.sink]: more.sink.problems };
    const topics = prefix(name);
    const source = {
      'connector.class': POSTGRES, 'tasks.max': '1', 'plugin.name': 'pgoutput', 'publication.autocreate.mode': 'filtered',
      ...(topics ? { 'topic.prefix': topics } : {}), ...of('source'), ...more.source.config,
    };
    const topicsBelow = source['topic.prefix'];
    const sink = {
      'connector.class': MONGODB, 'tasks.max': '1', ...(topicsBelow ? { 'topics.regex': `${escaped(topicsBelow)}\\..*` } : {}),
      'change.data.capture.handler': HANDLER, ...of('sink'), ...more.sink.config,
    };
    if ('topics' in more.sink.config) delete sink['topics.regex'];
    const options = input('drop').checked ? { drop_destination_collections: true } : {};
    return { name, source, sinks: [sink], options, start: input('start').checked };
  }

  function place(id, problems) {
    const about = input(id);
    show(input(`${id}-error`), problems.map((problem) => h('span', null, problem)));
    if (problems.length) about.setAttribute('aria-invalid', 'true');
    else about.removeAttribute('aria-invalid');
  }

  /** Shows what is wrong: of fields that were not touched yet only once the job was to be made. */
  function showProblems() {
    const found = { source: new Map(), sink: new Map() };
    for (const [end, answer] of [['source', judged?.source], ['sink', judged?.sinks?.[0]]]) {
      for (const { value } of answer?.configs ?? []) if (value.errors.length) found[end].set(value.name, value.errors);
    }
    for (const one of FIELDS) {
      const told = submitted || touched.has(one.id);
      const own = told && one.required && !given(one) ? [`${one.label} is needed.`] : [];
      const from = one.end === 'job' ? judged?.problems ?? [] : found[one.end].get(one.key) ?? [];
      if (one.end !== 'job') found[one.end].delete(one.key);
      place(one.id, own.length ? own : told ? from : []);
    }
    for (const [end, id] of Object.entries(ADVANCED)) {
      // What no field is about stands with the other settings.
      const rest = [...found[end]].filter(([key]) => submitted || !['topic.prefix', 'topics.regex', 'topics'].includes(key));
      const problems = [...local[id] ?? [], ...rest.flatMap(([key, errors]) => errors.map((error) => (error.includes(key) ? error : `${key}: ${error}`)))];
      place(id, problems);
      if (problems.length) input(`${id}-details`).open = true;
    }
    for (const end of ['source', 'sink']) {
      const incomplete = FIELDS.some((one) => one.end === end && one.required && !given(one));
      const wrong = element.querySelectorAll(`[data-end=${end}] [aria-invalid]`).length;
      if (checking) judgedAs(end, 'checking', 'Checking…');
      else if (wrong) judgedAs(end, 'wrong', wrong === 1 ? 'One thing is wrong' : `${wrong} things are wrong`);
      else if (incomplete || !judged) judgedAs(end, 'incomplete', 'Not complete yet');
      else judgedAs(end, 'good', 'Checked: this works');
    }
  }

  function judgedAs(end, state, words) {
    const note = input(`judged-${end}`);
    note.dataset.judged = state;
    show(note, words);
  }

  /** Has what stands in the fields now judged; an answer that a later question overtook counts for nothing. */
  async function judge() {
    clearTimeout(waiting);
    asked?.abort();
    const mine = new AbortController();
    asked = mine;
    checking = true;
    showProblems();
    try {
      const answer = await request('POST', 'jobs/validate', { body: body(), signal: mine.signal });
      if (asked !== mine) return false;
      judged = answer;
      refused(null);
    } catch (error) {
      if (asked !== mine) return false;
      judged = null;
      refused(['This could not be checked.', error.message]);
    }
    checking = false;
    showProblems();
    return true;
  }

  function refused(words) {
    const note = input('refused');
    note.hidden = !words;
    show(note, words && [h('h2', null, words[0]), words.slice(1).map((line) => h('p', null, line))]);
  }

  function soon() {
    clearTimeout(waiting);
    asked?.abort();
    asked = null;
    waiting = setTimeout(judge, PAUSE_MS);
    checking = true;
    showProblems();
  }

  function typed(event) {
    if (event.target.id) touched.add(event.target.id);
    const name = input('name').value.trim();
    for (const one of FIELDS) if (one.own) input(one.id).placeholder = one.own(name);
    input('preview').textContent = JSON.stringify(body(), shownBody, 2);
    soon();
  }

  async function submit(event) {
    event.preventDefault();
    submitted = true;
    const button = input('submit');
    button.disabled = true;
    button.setAttribute('aria-busy', 'true');
    try {
      if (!await judge()) return;
      const wrong = element.querySelector('[aria-invalid]');
      const problems = judged ? judged.error_count : 1;
      if (wrong || problems) {
        if (judged) refused([problems > 1 || !problems ? 'Some things have to be put right first.' : 'One thing has to be put right first.', 'They are marked beside their fields.']);
        (wrong ?? input('refused')).focus();
        return;
      }
      const job = await request('POST', 'jobs', { body: body() });
      takeWhole(job);
      toast(h('span', null, h('strong', null, job.name), ' was created.'));
      location.hash = `#/jobs/${encodeURIComponent(job.name)}`;
    } catch (error) {
      refused(['The job was not created.', error.message]);
      input('refused').focus();
    } finally {
      button.disabled = false;
      button.removeAttribute('aria-busy');
    }
  }

  return {
    name: 'new',
    title: 'New job',
    enter: (main) => {
      element = form();
      main.append(h('h1', { tabindex: -1 }, 'New job'), element);
      element.addEventListener('input', typed);
      element.addEventListener('focusout', (event) => {
        if (FIELDS.some((one) => one.id === event.target.id) && event.target.value) {
          touched.add(event.target.id);
          showProblems();
        }
      });
      element.addEventListener('submit', submit);
      input('preview').textContent = JSON.stringify(body(), shownBody, 2);
    },
    leave: () => {
      clearTimeout(waiting);
      asked?.abort();
    },
  };
}

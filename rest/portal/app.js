// The frame: which page is shown, what is said, and whether there is a worker to talk to.

import { get } from './api.js';
import { h, show } from './dom.js';
import { listPage } from './list.js';
import { toast } from './say.js';
import { jobPage } from './job.js';
import { createPage } from './create.js';
import { listen, on, refresh, store } from './store.js';
import { STATES } from './words.js';

const $ = (id) => document.getElementById(id);
const LINKS = { connecting: 'Connecting', live: 'Live', lost: 'Disconnected' };

let page = null;
let shownAt = null;

function pageOf(hash) {
  const path = hash.replace(/^#\/?/, '');
  if (path.startsWith('jobs/')) return jobPage(decoded(path.slice('jobs/'.length)));
  return path === 'new' ? createPage() : listPage();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function open() {
  page?.leave?.();
  const first = shownAt === null;
  shownAt = location.hash;
  page = pageOf(location.hash);
  document.title = `${page.title} · Tidegate`;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.dataset.page === page.name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  $('main').replaceChildren();
  draw();
  page.enter?.($('main'));
  if (!first) {
    scrollTo(0, 0);
    // Who does not see the page is told that it is another one.
    ($('main').querySelector('#name') ?? $('main').querySelector('h1') ?? $('main')).focus();
  }
}

function draw() {
  if (page.view) show($('main'), page.view());
}

on('change', draw);
on('link', () => {
  $('link').dataset.link = store.link;
  show($('link-text'), LINKS[store.link]);
  $('lost').hidden = store.link !== 'lost';
  show($('lost'), store.link === 'lost' ? store.problem : null);
});
on('notice', (notice) => {
  if (notice.kind === 'state_changed') {
    show($('said'), `${notice.job_id}: ${STATES[notice.new_state] ?? notice.new_state}`);
  } else {
    toast(h('span', null, h('strong', null, notice.job_id), ` ${notice.message}`), 'warning');
  }
});

addEventListener('hashchange', open);
addEventListener('unhandledrejection', (event) => {
  event.preventDefault();
  toast(event.reason?.message ?? String(event.reason), 'error');
});
$('skip').addEventListener('click', (event) => {
  event.preventDefault();
  $('main').focus();
});
document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-do]');
  if (button && !button.disabled) page.act?.(button.dataset.do, button, event);
});
document.addEventListener('toggle', (event) => page.toggled?.(event.target), true);
document.addEventListener('keydown', (event) => {
  const typing = event.target.closest?.('input, textarea, select, dialog');
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'n') {
    event.preventDefault();
    location.hash = '#/new';
  } else if (event.key === '/') {
    event.preventDefault();
    if (page.name === 'list') $('search')?.focus();
    else location.hash = '#/';
  }
});

open();
listen();
refresh().catch(() => {});
get('').then((worker) => show($('about'), `Tidegate · Kafka Connect API ${worker.version} · cluster ${worker.kafka_cluster_id || 'unknown'}`), () => {});

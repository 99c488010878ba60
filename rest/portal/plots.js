// Small plots. Lines are stretched to their place, so words are beside them and not in them.

import { h } from './dom.js';
import { duration, STATES, signOf } from './words.js';

/** How far back plots look. */
export const WINDOW_MS = 300_000;
/** How far back they look at least, so that the first figures are no lines yet. */
const LEAST_MS = 30_000;

const windowOf = (samples, now) => Math.min(WINDOW_MS, Math.max(LEAST_MS, now - (samples[0]?.at ?? now)));

const round = (value) => Math.round(value * 10) / 10;

/** Points of a line through the samples in a box of 100 by `height`; pieces end where a figure is not known. */
function pieces(samples, key, height, top, now) {
  const lines = [[]];
  const span = windowOf(samples, now);
  for (const sample of samples) {
    const value = sample[key];
    if (value === null || value === undefined) {
      if (lines.at(-1).length) lines.push([]);
      continue;
    }
    const x = 100 - ((now - sample.at) / span) * 100;
    if (x < 0) continue;
    lines.at(-1).push([round(Math.min(100, x)), round(height - 1.5 - (Math.max(0, value) / top) * (height - 3))]);
  }
  return lines.filter((line) => line.length > 0).map((line) => (line.length > 1 ? line : [line[0], [line[0][0] + 0.5, line[0][1]]]));
}

function highest(samples, key) {
  return samples.reduce((most, sample) => Math.max(most, sample[key] ?? 0), 0);
}

/** A top of an axis that people can read: 1, 2 or 5 times a power of ten. */
function axisTop(most) {
  if (most <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= most) ?? most;
}

function drawn(samples, key, height, top, now, kind) {
  const lines = pieces(samples, key, height, top, now);
  const path = (line) => line.map(([x, y], at) => `${at ? 'L' : 'M'}${x} ${y}`).join('');
  return [
    kind === 'plot' && lines.map((line) => h('path.area', { d: `${path(line)}L${line.at(-1)[0]} ${height}L${line[0][0]} ${height}Z` })),
    lines.map((line) => h('path.line', { d: path(line) })),
  ];
}

/** The line of a row of the list. */
export function sparkline(samples, key, label) {
  const now = Date.now();
  return h('svg.spark', { viewBox: '0 0 100 24', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    drawn(samples, key, 24, highest(samples, key) || 1, now, 'spark'));
}

/** A plot with a scale. */
export function plot(samples, key, title, write) {
  const now = Date.now();
  const top = axisTop(highest(samples, key));
  const last = samples.at(-1)?.[key];
  const oldest = Math.max(...samples.map((sample) => now - sample.at), 0);
  return h('figure.plot', { 'data-key': `plot-${key}` },
    h('figcaption', null, h('span', null, title), h('strong', null, write(last))),
    h('div.frame', null,
      h('span.top', { 'aria-hidden': 'true' }, write(top)),
      h('svg', { viewBox: '0 0 100 60', preserveAspectRatio: 'none', role: 'img', 'aria-label': `${title}, the last five minutes, now ${write(last)}` },
        [0.5, 20, 40, 59.5].map((y) => h('line.grid', { x1: 0, x2: 100, y1: y, y2: y })),
        drawn(samples, key, 60, top, now, 'plot')),
      oldest < 4000 && h('span.waiting', null, 'Collecting figures…')),
    h('div.scale', { 'aria-hidden': 'true' }, h('span', null, `${duration(Math.round(windowOf(samples, now) / 1000) * 1000)} ago`), h('span', null, 'now')));
}

/** A bar; without a figure it says only that something is under way. */
export function bar(value, label, tone) {
  const known = value !== null && value !== undefined;
  return h('progress', { max: 100, value: known ? round(value) : null, 'aria-label': label, 'data-tone': tone });
}

export function badge(state) {
  return h('span.badge', { 'data-state': state },
    h('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' }, h('path', { d: signOf(state) })), STATES[state] ?? state);
}

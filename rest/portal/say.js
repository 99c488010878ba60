// What the page says to its reader, beside what it shows.

import { h } from './dom.js';

const TOAST_MS = 8000;
const MAX_TOASTS = 4;

/** Says something for a while; errors and warnings stay until they are dismissed. */
export function toast(message, kind = 'done') {
  const stays = kind !== 'done';
  const close = h('button.close', { type: 'button', 'aria-label': 'Dismiss' }, '×');
  const note = h('div.toast', { 'data-kind': kind, role: stays ? 'alert' : 'status' }, h('p', null, message), close);
  close.addEventListener('click', () => note.remove());
  const all = document.getElementById('toasts');
  all.append(note);
  while (all.children.length > MAX_TOASTS) all.firstElementChild.remove();
  if (!stays) setTimeout(() => note.remove(), TOAST_MS);
}

/** Runs what may fail, and shows how. */
export async function trying(what) {
  try {
    return await what();
  } catch (error) {
    toast(error.message, 'error');
    return undefined;
  }
}

// What can be done with a job, and what is asked before.

import { jobPath, request } from './api.js';
import { h } from './dom.js';
import { bytes, duration, minute } from './words.js';
import { forget, takeWhole } from './store.js';
import { toast, trying } from './say.js';

/**
 * Asks in a dialog. Answers null when it was called off, else the choice made: {checked}. Focus stays within, Escape calls
 * off, and focus goes back to where it came from.
 */
export function confirm({ title, text, warning, label, tone, choice }) {
  return new Promise((resolve) => {
    const box = choice && h('input', { type: 'checkbox', id: 'choice' });
    const dialog = h('dialog', { 'aria-labelledby': 'dialog-title', 'aria-describedby': 'dialog-text' },
      h('form', { method: 'dialog' },
        h('h2', { id: 'dialog-title' }, title),
        h('div', { id: 'dialog-text' },
          [text].flat().map((words) => h('p', null, words)),
          warning && h('p.warning', null, warning)),
        choice && h('label.check', null, box, h('span', null, choice.label, h('small', null, choice.hint))),
        h('div.actions', null,
          h('button', { value: '', autofocus: tone === 'danger' }, 'Cancel'),
          h(`button.${tone}`, { value: 'yes', autofocus: tone !== 'danger' }, label))));
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes' ? { checked: Boolean(box?.checked) } : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** How long a pause can last, as far as it is known. */
export function pauseWarning(job) {
  const kept = job.retention;
  const always = 'You must resume the job within the retention period of the source’s log to ensure that no events are lost.';
  if (!kept) return job.type === 'connector' ? null : `${always} How long that is, is not known at present.`;
  if (kept.exhausted_in_ms !== null) {
    const until = minute(Date.now() + kept.exhausted_in_ms);
    const speed = kept.wal_bytes_per_second === null ? '' : ` of ${bytes(kept.wal_bytes_per_second)}/s`;
    return `${always} At the present rate${speed} the source keeps its log for about ${duration(kept.exhausted_in_ms)}: until ${until}.`;
  }
  if (kept.safe_wal_size === null) {
    return 'The source keeps its log without a limit (max_slot_wal_keep_size is not set): no events are lost, but its disk fills while the job is paused. Do not leave it paused.';
  }
  return `${always} It can still write ${bytes(kept.safe_wal_size)} of log; how fast it does is not known at present.`;
}

const streaming = (job) => job.phase === 'STREAMING';

/** Label, colour, and what is asked before, for each action. `done` is said once it was accepted. */
export const ACTIONS = {
  start: { label: () => 'Start', tone: 'primary', done: 'is starting' },
  resume: { label: () => 'Resume', tone: 'primary', done: 'goes on where it was' },
  retry: { label: () => 'Retry', tone: 'primary', done: 'tries again from the last checkpoint' },
  pause: {
    label: () => 'Pause',
    done: 'is pausing',
    ask: (job) => ({
      title: `Pause ${job.name}?`,
      text: 'Nothing new is read until you resume it. Its position, and the slot at the source, are kept.',
      warning: pauseWarning(job),
      label: streaming(job) ? 'Pause CDC' : 'Pause',
      tone: 'caution',
    }),
  },
  complete: {
    label: () => 'Complete CDC',
    tone: 'success',
    done: 'is completing; this may take a minute',
    ask: (job) => ({
      title: `Complete ${job.name}?`,
      text: ['Everything that the source has committed until now is replicated and verified. Then the job ends as “CDC Completed”, and its slot, publication and temporary data are removed.',
        'This takes up to a minute. A completed job can’t be resumed. The data at the destination stays.'],
      label: 'Complete CDC',
      tone: 'success',
    }),
  },
  stop: {
    label: () => 'Stop',
    done: 'is stopping',
    ask: (job) => ({
      title: `Stop ${job.name}?`,
      text: ['Pending batches are written, then the job’s tasks end. It can be started again.'],
      warning: job.retention ? 'Unless its resources are cleaned up, the source keeps its log for a stopped job just as for a paused one.' : null,
      choice: { label: 'Clean up resources (slot, publication)', hint: 'Nothing is kept at the source then. Started again, the job takes a new snapshot. Data at the destination stays.' },
      label: 'Stop',
      tone: 'caution',
    }),
  },
  restart: {
    label: () => 'Restart from scratch',
    tone: 'quiet-danger',
    done: 'is restarting from scratch',
    ask: (job) => ({
      title: `Restart ${job.name} from scratch?`,
      text: ['The job stops, forgets its position, and takes a new snapshot of every table.',
        job.options?.drop_destination_collections
          ? 'Its option drop_destination_collections is on: the collections at the destination are dropped before the snapshot.'
          : 'Documents at the destination stay and are written over; rows deleted at the source since then stay at the destination.'],
      label: 'Restart from scratch',
      tone: 'danger',
    }),
  },
  terminate: {
    label: () => 'Terminate',
    tone: 'quiet-danger',
    done: 'is terminating; this may take a minute',
    ask: (job) => ({
      title: `Terminate ${job.name}?`,
      text: ['The snapshot ends now, and the job as “Snapshot cancelled”. Rows that were written already stay at the destination.',
        'A cancelled job can’t be resumed. To migrate the data after all, create a new job and let it drop the destination collections first.'],
      label: 'Terminate',
      tone: 'danger',
    }),
  },
  delete: {
    label: () => 'Delete',
    tone: 'quiet-danger',
    done: 'was deleted',
    ask: (job) => ({
      title: `Delete ${job.name}?`,
      text: job.type === 'connector'
        ? ['The connector is deleted, and what it keeps at its system (slot, publication) is dropped.', 'Data at the destination stays.']
        : [`The job ends and its connectors (${job.connectors.map((connector) => connector.name).join(', ') || 'none'}) are deleted; slot and publication at the source are dropped.`, 'Data at the destination stays.'],
      label: 'Delete',
      tone: 'danger',
    }),
  },
};

/** What is offered: what the job's state allows, and to begin afresh, which the list of actions leaves to those who know it. */
export const offered = (job) => ordered([...new Set([...job.actions, ...(['failed', 'stopped'].includes(job.state) ? ['restart'] : [])])]);

/** In which order actions stand, the likeliest first. */
const ORDER = ['start', 'resume', 'retry', 'pause', 'complete', 'stop', 'restart', 'terminate', 'delete'];
export const ordered = (actions) => [...actions].sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b));

/** Does an action, after asking. `busy` is told while a request is under way. */
export async function perform(job, action, busy) {
  const { ask, done } = ACTIONS[action];
  const choice = ask ? await confirm(ask(job)) : { checked: false };
  if (!choice) return;
  busy(action);
  await trying(async () => {
    if (action === 'delete') {
      await request('DELETE', jobPath(job.name));
      forget(job.name);
      location.hash = '#/';
    } else {
      const query = action === 'stop' && choice.checked ? '?cleanup=true' : '';
      const answer = await request('PUT', jobPath(job.name, `/${action}${query}`));
      const { warning, ...changed } = answer;
      takeWhole(changed);
      if (warning) toast(warning, 'warning');
    }
    toast(h('span', null, h('strong', null, job.name), ` ${done}.`));
  });
  busy(null);
}

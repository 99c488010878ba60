// How figures, times and states are written for people.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const shortForm = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const minuteClock = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

export const UNKNOWN = '–';
const known = (value) => value !== null && value !== undefined;

export const count = (value) => (known(value) ? whole.format(value) : UNKNOWN);
export const compact = (value) => (known(value) ? (value < 10_000 ? whole.format(value) : shortForm.format(value)) : UNKNOWN);
export const rate = (value) => (known(value) ? (value < 10 ? tenths.format(value) : whole.format(value)) : UNKNOWN);
export const percent = (value) => (known(value) ? `${value >= 100 ? 100 : Math.min(99.9, Math.floor(value * 10) / 10)} %` : UNKNOWN);

export function bytes(value) {
  if (!known(value)) return UNKNOWN;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  let left = value;
  while (left >= 1024 && at < units.length - 1) {
    left /= 1024;
    at += 1;
  }
  return `${left < 10 && at > 0 ? tenths.format(left) : whole.format(left)} ${units[at]}`;
}

/** 2 h 14 min, 35 s, 40 ms. */
export function duration(ms) {
  if (!known(ms)) return UNKNOWN;
  if (ms < 1000) return `${whole.format(Math.max(0, ms))} ms`;
  const seconds = Math.floor(ms / 1000);
  const [d, hr, min, s] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  if (d) return hr ? `${d} d ${hr} h` : `${d} d`;
  if (hr) return min ? `${hr} h ${min} min` : `${hr} h`;
  if (min) return s && min < 10 ? `${min} min ${s} s` : `${min} min`;
  return `${s} s`;
}

export const time = (iso) => (iso ? clock.format(new Date(iso)) : UNKNOWN);
export const minute = (ms) => minuteClock.format(new Date(ms));

export function ago(iso) {
  if (!iso) return UNKNOWN;
  const seconds = Math.floor((Date.now() - Date.parse(iso)) / 1000);
  if (seconds < 2) return 'just now';
  const [size, unit] = [[86_400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']].find(([size]) => seconds >= size);
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

/** Names of states; those in which a job has ended say how. */
export const STATES = {
  created: 'Created', pending: 'Pending', starting: 'Starting', running: 'Running', paused: 'Paused', stopped: 'Stopped',
  failed: 'Failed', completed: 'CDC Completed', cancelled: 'Snapshot cancelled', deleted: 'Deleted',
};

/** What a state means, for who meets it for the first time. */
export const MEANING = {
  created: 'Defined, and not started yet.',
  pending: 'Asked to start; no worker has taken it yet.',
  starting: 'A worker is getting it ready.',
  running: 'Changes are being replicated.',
  paused: 'Nothing new is read. The position and the slot at the source are kept.',
  stopped: 'Shut down. The slot and the publication at the source are kept unless they were cleaned up.',
  failed: 'It ended with an error and needs you.',
  completed: 'Everything was replicated and the temporary resources were removed. This is final.',
  cancelled: 'Ended during the snapshot. Rows already written stay. This is final.',
};

/** Signs that tell states apart without colours. */
const SIGNS = {
  created: 'M4 8h8', pending: 'M8 4v4l3 2', starting: 'M12 8a4 4 0 1 1-1.200-2.800M12 3v3H9', running: 'M6 4l6 4-6 4z', paused: 'M6 4v8M10 4v8',
  stopped: 'M5 5h6v6H5z', failed: 'M8 4v5M8 11.500v.5', completed: 'M4 8.500l3 3 5-6', cancelled: 'M5 5l6 6M11 5l-6 6', deleted: 'M5 5l6 6M11 5l-6 6',
};
export const signOf = (state) => SIGNS[state] ?? SIGNS.pending;

export const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1) : '');

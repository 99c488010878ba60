// Configurations as they may be shown to whoever looks over a shoulder: no passwords, whatever they are called.

import { get } from './api.js';

const HIDDEN = '••••••••';
const NAMES = /passw|passphrase|secret|token|credential|jaas|api[._-]?key|private[._-]?key/i;

const known = new Map();

/** The keys of a plugin that it declares to be passwords. They are asked for once. */
async function passwordKeys(plugin) {
  if (!plugin) return new Set();
  if (!known.has(plugin)) {
    const keys = get(`connector-plugins/${encodeURIComponent(plugin)}/config`);
    known.set(plugin, keys.then((all) => new Set(all.filter((key) => key.type === 'PASSWORD').map((key) => key.name))));
  }
  try {
    return await known.get(plugin);
  } catch {
    known.delete(plugin);
    return null;
  }
}

/** Text without the passwords that URIs and the like carry. */
export function plain(text) {
  return text
    .replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/?#]*@/gi, `$1${HIDDEN}@`)
    .replace(/((?:pass(?:word|wd)?|secret|token)["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s&;,]+)/gi, `$1${HIDDEN}`);
}

const isSecret = (key, declared) => declared.has(key) || NAMES.test(key);

/** Entries of a configuration with its secrets hidden. Without the declarations of its plugin nothing but names is shown. */
export async function shownConfig(config) {
  const declared = await passwordKeys(config['connector.class']);
  return Object.keys(config).sort().map((key) => {
    const value = config[key];
    if (value === null) return [key, null];
    if (declared === null && !/class$|^name$|^tasks\.max$|^topics/.test(key)) return [key, HIDDEN];
    return [key, isSecret(key, declared ?? new Set()) ? HIDDEN : plain(value)];
  });
}

/** An object as it would be sent, for people to see. */
export const shownBody = (key, value) => (typeof value === 'string' ? (isSecret(key, new Set()) && value ? HIDDEN : plain(value)) : value);

// Pages are functions from what is known to elements. What they give is not put in place of what is there: it is compared
// with that and only the differences are made, so that focus, selections and opened details survive every second's figures.

const SVG = 'http://www.w3.org/2000/svg';
const DRAWN = new Set(['svg', 'path', 'rect', 'line', 'circle', 'polyline', 'g']);

/** Makes an element: h('p.note', {id: 'x'}, 'text', [elements], null). False and null attributes are left out. */
export function h(name, attributes, ...children) {
  const [tag, ...classes] = name.split('.');
  const element = DRAWN.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  if (classes.length) element.setAttribute('class', classes.join(' '));
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(key, value === true ? '' : String(value));
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(element, child);
    else if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/** Makes `element` show `children`, with as few changes as there are differences. */
export function show(element, ...children) {
  const next = document.createElement('div');
  add(next, children);
  matchChildren(element, next);
}

const keyOf = (node) => (node.nodeType === 1 ? node.getAttribute('data-key') : null);
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

function match(node, next) {
  if (node.nodeType !== 1) {
    if (node.data !== next.data) node.data = next.data;
    return;
  }
  // What a reader opens, and what is filled in later, is theirs.
  const keeps = (name) => name === 'open' || name === 'data-filled';
  for (const { name } of [...node.attributes]) {
    if (!next.hasAttribute(name) && !keeps(name)) node.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (node.getAttribute(name) !== value && !keeps(name)) node.setAttribute(name, value);
  }
  if (!node.hasAttribute('data-filled')) matchChildren(node, next);
}

function matchChildren(node, next) {
  const kept = new Map();
  for (const child of node.childNodes) {
    const key = keyOf(child);
    if (key !== null) kept.set(key, child);
  }
  let at = node.firstChild;
  for (const wanted of [...next.childNodes]) {
    const key = keyOf(wanted);
    const found = key === null ? at : kept.get(key) ?? null;
    if (found && alike(found, wanted) && (key === null || found.parentNode === node)) {
      if (found === at) at = at.nextSibling;
      else node.insertBefore(found, at);
      match(found, wanted);
    } else {
      node.insertBefore(wanted, at);
      // An element without a key takes the place of the one that stood there.
      if (key === null && at && keyOf(at) === null) {
        const gone = at;
        at = at.nextSibling;
        gone.remove();
      }
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

// The live page: one event stream of whole entities (GET /v1/stream), drawn as
// they come; a chart reads the last hour once and then follows the stream.
import { Chart } from './chart.js';
import { age, value, relative } from './words.js';

const byID = (id) => document.getElementById(id);
const nothing = () => ({ sites: new Map(), rooms: new Map(), devices: new Map(), alarms: new Map() });
let state = nothing();
let coming = null; // what a new stream tells of: it takes the state's place when it is whole
const chart = new Chart(byID('detail'));
let changed = false;

function connect() {
  const stream = new EventSource('v1/stream');
  stream.onopen = () => {
    link('live', 'live');
    coming = nothing();
  };
  stream.onerror = () => {
    link('broken', 'no connection: the values below are the last known');
    if (stream.readyState === EventSource.CLOSED) {
      setTimeout(connect, 2000); // refused; an interrupted one is retried by the browser
    }
  };
  stream.onmessage = (m) => {
    take(JSON.parse(m.data), coming ?? state);
    if (!coming && !changed) {
      changed = true;
      requestAnimationFrame(draw);
    }
  };
}

function link(mode, text) {
  byID('link').dataset.state = mode;
  byID('link').textContent = text;
}

// take puts one event into a state. An entity replaces the one before.
function take(event, into) {
  if (event.site) into.sites.set(event.site.site, event.site);
  if (event.room) into.rooms.set(event.room.room, event.room);
  if (event.device) {
    into.devices.set(event.device.device, event.device);
    chart.follow(event.device);
  }
  if (event.alarm) {
    if (event.alarm.state === 'active') into.alarms.set(alarmKey(event.alarm.pipeline, event.alarm), event.alarm);
    else into.alarms.delete(alarmKey(event.alarm.pipeline, event.alarm));
  }
  if (event.gone?.kind === 'room') into.rooms.delete(event.gone.name);
  if (event.gone?.kind === 'alarm') into.alarms.delete(alarmKey(event.gone.name, event.gone));
  if (event.ready) {
    state = into;
    coming = null;
  }
}

const alarmKey = (pipeline, of) => `${pipeline} ${of.device} ${of.stage ?? 0}`;
const siteOf = (name) => name.split('/', 1)[0];
const sorted = (map, site) => [...map].filter(([name]) => siteOf(name) === site).sort(([a], [b]) => (a < b ? -1 : 1)).map(([, v]) => v);

function draw() {
  changed = false;
  drawAlarms();
  keep(byID('sites'), [...state.sites.keys()].sort(), siteNode, (node, name) => drawSite(node, state.sites.get(name)));
  byID('empty').hidden = state.sites.size > 0 || byID('link').dataset.state !== 'live';
}

// keep makes the children of parent those of keys, in their order, and keeps
// the nodes that are there: focus and selection stay.
function keep(parent, keys, make, fill) {
  const present = new Map([...parent.children].map((n) => [n.dataset.key, n]));
  keys.forEach((key, i) => {
    let node = present.get(key);
    if (!node) {
      node = make(key);
      node.dataset.key = key;
    }
    present.delete(key);
    if (parent.children[i] !== node) parent.insertBefore(node, parent.children[i] ?? null);
    fill(node, key);
  });
  present.forEach((node) => node.remove());
}

function element(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

const text = (node, s) => { if (node.textContent !== s) node.textContent = s; };
const mark = (node, name, on) => { if (on) node.dataset[name] = ''; else delete node.dataset[name]; };

function siteNode(name) {
  const head = element('thead', '', element('tr', '', ...['device', 'values', 'profile', 'age'].map((t) => element('th', '', t))));
  const table = element('table', '', element('caption', '', `Devices of ${name}: choose a value for its last hour`), head, element('tbody'));
  return element('section', 'site', element('h2', '', element('span', 'title'), element('small')), element('div', 'rooms'), table);
}

function drawSite(node, site) {
  text(node.querySelector('h2 .title'), site.site);
  text(node.querySelector('h2 small'), `${site.live} of ${site.devices} devices live`);
  keep(node.querySelector('.rooms'), sorted(state.rooms, site.site).map((r) => r.room), roomNode, (n, key) => drawRoom(n, state.rooms.get(key)));
  keep(node.querySelector('tbody'), sorted(state.devices, site.site).map((d) => d.device), deviceNode, (n, key) => drawDevice(n, state.devices.get(key)));
}

function roomNode() {
  return element('article', 'room', element('h3'), element('div', 'big'), element('div', 'rest'), element('div', 'live'));
}

function drawRoom(node, room) {
  const [heading, big, rest, live] = node.children;
  text(heading, room.title || relative(room.room));
  const main = room.aggregates.find((a) => a.point === 'temperature') ?? room.aggregates.find((a) => a.kind === 'number');
  text(big, main ? value(main.mean, main.unit, main.kind) : '–');
  text(rest, room.aggregates.filter((a) => a !== main).map((a) => (
    a.kind === 'boolean' ? `${a.point} ${a.any ? 'yes' : 'no'}` : `${a.point} ${value(a.mean, a.unit, a.kind)}`)).join(' · '));
  text(live, `${room.live} of ${room.devices.length} live`);
  mark(node, 'partial', room.live < room.devices.length);
  mark(node, 'alarm', room.alarms > 0);
}

function deviceNode() {
  return element('tr', '', element('td', 'name'), element('td', 'values'), element('td'), element('td', 'age'));
}

function drawDevice(row, device) {
  const [name, values, profile, last] = row.children;
  row.dataset.liveness = device.liveness;
  text(name, relative(device.device));
  text(profile, device.profile ?? '');
  // What it measures comes before how it is.
  const points = device.points.map((p) => p.point).filter((p) => p !== 'health');
  if (points.length < device.points.length) points.push('health');
  keep(values, points, (point) => {
    const button = element('button', 'value');
    button.addEventListener('click', () => chart.open(state.devices.get(device.device), point));
    return button;
  }, (button, point) => {
    const p = device.points.find((x) => x.point === point);
    text(button, `${point} ${value(p.text ?? p.value, p.unit, p.kind)}`);
    button.dataset.quality = p.quality;
  });
  last.dataset.at = newest(device);
  drawAge(last);
}

const newest = (device) => Math.max(0, ...device.points.map((p) => Date.parse(p.sampled_at) || 0));

function drawAge(cell) {
  const at = Number(cell.dataset.at);
  text(cell, at ? age(Date.now() - at) : '');
  mark(cell, 'old', at && Date.now() - at > 15_000);
}

function drawAlarms() {
  const box = byID('alarms');
  const keys = [...state.alarms.keys()].sort();
  box.hidden = keys.length === 0;
  keep(box, keys, () => element('p'), (node, key) => {
    const a = state.alarms.get(key);
    text(node, `${a.severity}: ${a.device}: ${a.text} (${a.value.toFixed(1)}, limit ${a.threshold})`);
  });
}

setInterval(() => {
  document.querySelectorAll('td.age').forEach(drawAge);
  const ages = [...state.devices.values()].map(newest).filter((t) => t > 0);
  text(byID('age'), ages.length ? `newest value ${age(Date.now() - Math.max(...ages))} old` : '');
}, 500);

connect();

// The chart of one point's last hour, drawn by uPlot.
import { value } from './words.js';

const hour = 3600; // seconds
const height = 240;
const page = 10000; // readings a request, the API's most

export class Chart {
  #box; #plot = null; #device = ''; #point = null; #times = []; #values = []; #opening = 0; #drawn = 0;

  constructor(box) {
    this.#box = box;
    box.querySelector('#detail-close').addEventListener('click', () => this.close());
    addEventListener('resize', () => this.#plot?.setSize(this.#size()));
  }

  close() {
    this.#opening++;
    this.#plot?.destroy();
    this.#plot = null;
    this.#device = '';
    this.#box.hidden = true;
    delete document.body.dataset.detail;
  }

  // open reads the last hour of a point. A later open or close wins.
  async open(device, point) {
    const mine = ++this.#opening;
    this.#device = device.device;
    this.#point = device.points.find((p) => p.point === point);
    [this.#times, this.#values] = [[], []];
    this.#box.hidden = false;
    document.body.dataset.detail = '';
    this.#heading(device, point);
    if (this.#point.kind === 'text') {
      this.#plot?.destroy();
      this.#plot = null;
      this.#note(`${value(this.#point.text, '', 'text')}: a text has no chart`);
      return;
    }
    this.#note('reading the last hour');
    try {
      const readings = await history(device.device, point, () => mine !== this.#opening);
      if (mine !== this.#opening) return;
      // What came by the stream meanwhile is newer than the answer.
      const [times, values] = [this.#times, this.#values];
      const last = readings.length ? Date.parse(readings.at(-1).time) / 1000 : 0;
      this.#times = readings.map((r) => Date.parse(r.time) / 1000).concat(times.filter((t) => t > last));
      this.#values = readings.map((r) => r.value).concat(values.filter((_, i) => times[i] > last));
      this.#draw();
    } catch (e) {
      if (mine === this.#opening) this.#note(`the history cannot be read: ${e.message}`);
    }
  }

  // follow takes a device's newest value while its chart is open.
  follow(device) {
    if (device.device !== this.#device || this.#point.kind === 'text') return;
    const p = device.points.find((x) => x.point === this.#point.point);
    const t = Date.parse(p?.sampled_at) / 1000;
    if (!(t > (this.#times.at(-1) ?? 0))) return;
    this.#times.push(t);
    this.#values.push(p.value);
    const from = this.#times.findIndex((x) => x >= t - hour);
    this.#times.splice(0, from);
    this.#values.splice(0, from);
    if (this.#plot && performance.now() - this.#drawn > 200) this.#draw();
  }

  #heading(device, point) {
    this.#box.querySelector('#detail-name').textContent = device.device;
    this.#box.querySelector('#detail-points').replaceChildren(...device.points.map((p) => {
      const b = document.createElement('button');
      b.textContent = p.point;
      b.setAttribute('aria-pressed', p.point === point);
      b.addEventListener('click', () => this.open(device, p.point));
      return b;
    }));
  }

  #note(s) { this.#box.querySelector('#detail-note').textContent = s; }

  #size() { return { width: Math.max(200, this.#box.querySelector('#chart').clientWidth), height }; }

  #draw() {
    this.#drawn = performance.now();
    const data = [this.#times, this.#values];
    const { point, unit, kind } = this.#point;
    if (this.#plot && this.#plot.point === point && this.#plot.device === this.#device) {
      this.#plot.setData(data);
    } else {
      this.#plot?.destroy();
      const line = { stroke: color('--line'), width: 1 };
      const axis = { stroke: color('--quiet'), grid: line, ticks: line };
      this.#plot = new uPlot({
        ...this.#size(),
        scales: { x: { time: true } },
        series: [{}, {
          label: point, stroke: color('--accent'), width: 1.5, spanGaps: false,
          value: (_, v) => value(v, unit, kind), paths: kind === 'boolean' ? uPlot.paths.stepped({ align: 1 }) : undefined,
        }],
        axes: [axis, { ...axis, size: 60 }],
      }, data, this.#box.querySelector('#chart'));
      this.#plot.point = point;
      this.#plot.device = this.#device;
    }
    this.#note(`${this.#times.length} readings of the last hour`);
  }
}

// color resolves a colour of the page's theme, which a canvas cannot.
function color(name) {
  const probe = document.createElement('i');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const resolved = getComputedStyle(probe).color;
  probe.remove();
  return resolved;
}

// history reads all pages of a point's last hour.
async function history(device, point, cancelled) {
  const [site, name] = device.split('/');
  const readings = [];
  let after = '';
  do {
    const q = new URLSearchParams({ point, since: '1h', limit: page });
    if (after) q.set('after', after);
    const answer = await fetch(`v1/sites/${site}/devices/${name}/history?${q}`);
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.detail ?? answer.statusText);
    readings.push(...body.items);
    after = body.next ?? '';
  } while (after && !cancelled());
  return readings;
}

// How values and times are written.
const units = { 1: '', '': '', Cel: ' °C', '%RH': ' %' };

// value is a number, or the text of a text point.
export function value(v, unit, kind) {
  if (v === null || v === undefined) return '–';
  if (kind === 'text') return v;
  if (kind === 'boolean') return v ? 'yes' : 'no';
  if (kind === 'counter') return v.toLocaleString('en');
  const digits = Math.abs(v) >= 1000 ? 0 : Math.abs(v) >= 100 ? 1 : 2;
  return v.toFixed(digits) + (units[unit] ?? ` ${unit}`);
}

export function age(ms) {
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return `${Math.round(s / 3600)} h`;
}

// relative drops the site from SITE/NAME: the section says it.
export const relative = (name) => name.slice(name.indexOf('/') + 1);

// A small chart of one figure.

import { html, svg } from "./vendor/lit-html/lit-html.js";

const [WIDTH, HEIGHT] = [240, 48];

/** Draw *values*, of which null is a gap; the newest is on the right. */
export function chart(title, values, show) {
  const known = values.filter((value) => value !== null);
  const most = Math.max(...known, 0) || 1;
  const step = WIDTH / Math.max(values.length - 1, 1);
  const points = values.map((value, index) => (value === null ? null : [index * step, HEIGHT - 3 - (value / most) * (HEIGHT - 6)]));
  const latest = values.at(-1) ?? null;
  return html`<figure class="chart">
    <figcaption>${title}<strong>${latest === null ? "–" : show(latest)}</strong></figcaption>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${describe(title, known, show)}>
      ${runs(points).map((run) => svg`<polyline points=${run.map((point) => point.map((n) => n.toFixed(1)).join(",")).join(" ")}/>`)}
    </svg>
    <p class="quiet">${known.length ? `at most ${show(Math.max(...known))} in the last hour` : "nothing yet"}</p>
  </figure>`;
}

function describe(title, known, show) {
  return known.length ? `${title}: from ${show(Math.min(...known))} to ${show(Math.max(...known))}` : `${title}: nothing yet`;
}

function runs(points) {
  const found = [[]];
  for (const point of points) point ? found.at(-1).push(point) : found.push([]);
  return found.filter((run) => run.length > 0).map((run) => (run.length === 1 ? [run[0], [run[0][0] + 2, run[0][1]]] : run));
}

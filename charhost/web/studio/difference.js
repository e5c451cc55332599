// The lines that differ between two texts: a longest common subsequence (Myers needs less, prompts are short).

import { count } from "./text.js";

const MOST_CELLS = 4_000_000;
const CONTEXT = 2;

/** Return [{kind: "same" | "removed" | "added", text}]. */
export function difference(before, after) {
  const [a, b] = [before.split("\n"), after.split("\n")];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const lines = (texts, kind) => texts.map((text) => ({ kind, text }));
  return [
    ...lines(a.slice(0, start), "same"),
    ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end), lines),
    ...lines(a.slice(a.length - end), "same"),
  ];
}

/** Replace the lines that are far from any difference by one of the kind "skipped" for each run. */
export function folded(lines) {
  const isNear = (index) => lines.slice(Math.max(index - CONTEXT, 0), index + CONTEXT + 1).some((line) => line.kind !== "same");
  const found = [];
  lines.forEach((line, index) => {
    if (isNear(index)) found.push(line);
    else if (found.at(-1)?.kind === "skipped") found.at(-1).count += 1;
    else found.push({ kind: "skipped", count: 1 });
  });
  return found.map((line) => (line.kind === "skipped" ? { ...line, text: `⋯ ${count(line.count, "equal line")}` } : line));
}

function middle(a, b, lines) {
  if (a.length * b.length > MOST_CELLS) return [...lines(a, "removed"), ...lines(b, "added")];
  const common = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      common[i][j] = a[i] === b[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  const found = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      found.push({ kind: "same", text: a[i] });
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && common[i + 1][j] >= common[i][j + 1])) found.push({ kind: "removed", text: a[i++] });
    else found.push({ kind: "added", text: b[j++] });
  }
  return found;
}

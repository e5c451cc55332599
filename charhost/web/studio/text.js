// Text for people: Markdown, times and sizes.

import { marked } from "./vendor/marked/marked.esm.js";

export const HELD = "The files on the disk were refused or rolled back: the watcher waits until they change.";

const FORBIDDEN = { FORBID_TAGS: ["style", "form", "input", "button", "img", "svg", "math"], FORBID_ATTR: ["style", "class", "id", "name"] };

const escape = (text) => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);

// HTML in an answer is text, and so is an image: its address would tell another server that it was read.
marked.use({ gfm: true, breaks: true, renderer: { html: ({ text }) => escape(text), image: ({ text, href }) => escape(text || href) } });

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  }
});

/** Return safe HTML of a text in Markdown. */
export function markdown(text) {
  return DOMPurify.sanitize(marked.parse(text), FORBIDDEN);
}

export function seconds(value) {
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`;
}

export function bytes(value) {
  return `${Math.round(value / (1 << 20))} MiB`;
}

export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

export function time(iso) {
  return clock.format(new Date(iso));
}

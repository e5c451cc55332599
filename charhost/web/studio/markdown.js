// The Markdown of answers.

import "./vendor/dompurify/purify.min.js"; // makes a global `DOMPurify`
import { marked } from "./vendor/marked/marked.esm.js";

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

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

/** Return safe HTML of a text in Markdown, which may have come to an end in the middle. */
export function markdown(text) {
  const isOpen = text.split("**").length % 2 === 0;
  return DOMPurify.sanitize(marked.parse(isOpen ? `${text.trimEnd()}**` : text), FORBIDDEN);
}

/** Return that HTML with the words after the first letters marked, so many of the text as have sounded. */
export function markdownSounded(text, letters) {
  const template = document.createElement("template");
  template.innerHTML = markdown(text);
  let left = lettersOf(text.slice(0, letters));
  const nodes = document.createTreeWalker(template.content, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (nodes.nextNode()) texts.push(nodes.currentNode);
  for (const node of texts) {
    const there = lettersOf(node.data);
    if (left < there) wrap(left > 0 ? node.splitText(endOfWord(node.data, left)) : node);
    left -= there;
  }
  return template.innerHTML;
}

const LETTER = /[\p{L}\p{N}]/gu;

function lettersOf(text) {
  return text.match(LETTER)?.length ?? 0;
}

/** Return the index after the word in which the letter of that number is. */
function endOfWord(text, number) {
  const { index } = [...text.matchAll(LETTER)][number - 1];
  return index + text.slice(index).search(/\s|$/);
}

function wrap(node) {
  const span = Object.assign(document.createElement("span"), { className: "unheard" });
  node.replaceWith(span);
  span.append(node);
}

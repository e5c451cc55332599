// The conversations of this tab; they survive a reload of the page and of the characters.

import { Talk } from "./talk.js";
import { update } from "./store.js";

const STORE = "talks";
export const talks = restore();
export const shown = { talk: talks.at(-1) ?? null };

/** Show the conversation with a character, and begin one if there is none. */
export function openTalk(name) {
  const found = talks.find((talk) => talk.character === name && !talk.isOver);
  found ? show(found) : beginTalk(name);
}

export function beginTalk(name) {
  const talk = new Talk(name, save);
  talks.push(talk);
  show(talk);
  talk.connect();
}

export function show(talk) {
  shown.talk = talk;
  save();
  update();
}

export function closeTalk(talk) {
  talk.close();
  talks.splice(talks.indexOf(talk), 1);
  if (shown.talk === talk) shown.talk = talks.at(-1) ?? null;
  save();
  update();
}

/** Note in each conversation what a new set means for its character. */
export function charactersChanged(before, after) {
  for (const talk of talks) {
    const was = before.characters.find((entry) => entry.name === talk.character);
    const is = after.characters.find((entry) => entry.name === talk.character);
    if (!is) talk.note(`${talk.character} was removed in generation ${after.generation}.`);
    else if (was?.fingerprint !== is.fingerprint) {
      talk.note(`${talk.character} is new: generation ${is.generation}.`, { before: was?.generation, after: is.generation });
    }
  }
}

function save() {
  try {
    sessionStorage.setItem(STORE, JSON.stringify({ talks: talks.map((talk) => talk.saved), shown: talks.indexOf(shown.talk) }));
  } catch {
    // The store is full: these conversations will not survive a reload of the page.
  }
}

function restore() {
  try {
    const { talks: saved } = JSON.parse(sessionStorage.getItem(STORE)) ?? { talks: [] };
    const restored = saved.map((fields) => Talk.from(fields, save));
    // The key may not be known before the page has started; conversations that it begins connect themselves.
    queueMicrotask(() => restored.forEach((talk) => talk.connect()));
    return [...restored];
  } catch {
    return [];
  }
}

addEventListener("pagehide", save);

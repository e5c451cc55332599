// Keeps the state up to date: by events for an admin, by asking now and then for others.

import { Refused, get, readEvents } from "./api.js";
import { catalog } from "./catalog.js";
import { DEFAULT_SET, catalogs, notify, state, update } from "./store.js";
import { charactersChanged } from "./talks.js";

const HOUR = 360;
const HEALTH_PAUSE = 15_000;
let healthAsked = 0;
let lastId = "";
let run = 0;
let shownError = "";
let denied = null; // the key that is no admin's

/** Find out what the key allows, load everything, and follow the server from then on. */
export async function start() {
  run += 1;
  lastId = "";
  denied = null;
  await follow(run);
}

async function follow(mine) {
  for (let pause = 500; mine === run; pause = Math.min(pause * 2, 5000)) {
    try {
      await load();
      pause = 500;
      if (state.isAdmin) await readAll(mine);
      else await new Promise((resolve) => setTimeout(resolve, 4500));
    } catch (error) {
      if (error instanceof Refused && error.status === 401) return update();
    }
    if (state.feed === "open") state.feed = "closed";
    update();
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

async function load() {
  await Promise.all([loadHealth(), loadCatalog()]);
  if (denied !== state.key) await loadForAdmin();
  await loadOthers(); // with their errors, which are for admins
  state.feed = state.isAdmin ? state.feed : "open";
  update();
}

async function loadForAdmin() {
  try {
    const parts = ["v1/characters/status", "v1/characters/reloads?limit=50", "v1/figures"];
    [state.status, state.history, { figures: state.figures }] = await Promise.all(parts.map(get));
    state.isAdmin = true;
    state.running.clear();
    mark(state.status.last_reload);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (state.key) notify(`This key lets you talk, but not administer: ${error.message}`);
    denied = state.key;
    state.isAdmin = false;
  }
}

async function loadHealth() {
  healthAsked = performance.now();
  state.health = await get("v1/health");
  state.model = state.health.model ? await get("v1/model") : null;
}

async function loadCatalog() {
  try {
    const before = state.catalog;
    state.catalog = await catalog();
    state.mayChat = true;
    state.keyProblem = "";
    update(); // the list need not wait for what is asked beside it
    if (before && before.revision !== state.catalog.revision) charactersChanged(before, state.catalog);
  } catch (error) {
    state.mayChat = false;
    state.keyProblem = state.key ? error.message : "";
    throw error;
  }
}

/** Load the sets beside the first one. */
async function loadOthers() {
  const [, ...sets] = (await get("v1/sets")).sets;
  const before = new Map(state.others.map((other) => [other.set, other]));
  state.others = await Promise.all(sets.map(({ name }) => loadOther(name)));
  for (const other of state.others) {
    const known = before.get(other.set);
    if (known && known.revision !== other.revision) charactersChanged(known, other);
  }
}

async function loadOther(set) {
  const query = new URLSearchParams({ set });
  const status = state.isAdmin ? await get(`v1/characters/status?${query}`) : null;
  mark(status?.last_reload);
  const catalog = await get(`v1/characters?${query}`);
  const characters = catalog.characters.map((entry) => ({ ...entry, name: `${set}/${entry.name}` }));
  const history = set === state.operated ? await get(`v1/characters/reloads?limit=50&${query}`) : null;
  return { ...catalog, set, characters, report: status?.last_error ?? null, status, history };
}

async function readAll(mine) {
  const onOpen = () => {
    state.feed = "open";
    update();
    catchUp().catch(() => {}); // the next event or connection tries again
  };
  lastId = await readEvents("v1/events", lastId, onOpen, (kind, content) => {
    if (mine === run) obey(kind, content);
  });
}

/** Load everything again if something changed after it was loaded, and before the events began. */
async function catchUp() {
  const [{ last_reload: last }, { sets }] = await Promise.all([get("v1/characters/status"), get("v1/sets")]);
  const generations = (found) => found.map(({ generation }) => generation).join();
  if (generations(sets) !== generations(catalogs()) || last?.reload_id !== state.status.last_reload?.reload_id) await load();
}

function obey(kind, content) {
  if (kind === "figures") {
    const last = state.figures.at(-1);
    // The history has one of ten seconds, and the newest one after it.
    if (last && state.figures.length > 1 && content.time - state.figures.at(-2).time < 10) state.figures.pop();
    state.figures = [...state.figures, content].slice(-HOUR);
    if (performance.now() - healthAsked > HEALTH_PAUSE) loadHealth().then(update, () => {});
  } else if (kind === "sessions") state.status.generations = content;
  else if (kind === "watcher") state.status.watcher = content;
  else if (kind === "model") loadHealth().then(update, () => {});
  else if (kind === "sets") setsChanged(content);
  else if (kind === "reload.started") state.running.set(content.set, content);
  else if (kind === "reload.ended") reloadEnded(content);
  else if (kind === "characters.changed") refresh();
  update();
}

function setsChanged(names) {
  const known = [DEFAULT_SET, ...state.others.map((other) => other.set)];
  if (names.join() !== known.join()) refresh();
}

function reloadEnded(report) {
  state.running.delete(report.set);
  if (!report.dry_run) noteEnd(report);
  if (report.set !== DEFAULT_SET) {
    refresh();
    return;
  }
  if (!state.history.reloads.some((known) => known.reload_id === report.reload_id)) {
    state.history.reloads = [report, ...state.history.reloads].slice(0, 100);
  }
  if (report.dry_run) return;
  state.status.last_reload = report;
  state.status.last_error = report.errors.length || !report.success ? report : null;
  state.status.serving = report.serving;
}

/** Note what a reload of any set changed, and its first error, in place of that of the one before. */
function noteEnd(report) {
  mark(report);
  const [first] = report.errors;
  if (!first && state.notice !== shownError) return; // the notice is about something else
  shownError = first ? `${prefixOf(report.set)}${first.file}: ${first.message}` : "";
  notify(shownError);
}

function mark(report) {
  if (report?.outcome !== "applied") return;
  const kinds = report.trigger === "startup" ? [] : ["added", "modified"]; // at the start all are new
  const marked = kinds.flatMap((kind) => report.changes[kind].map((name) => [prefixOf(report.set) + name, kind]));
  state.marks.set(report.set, new Map(marked));
}

function prefixOf(set) {
  return set === DEFAULT_SET ? "" : `${set}/`;
}

/** Have the view of reloads be about a set. */
export async function operate(set) {
  state.operated = set;
  await refresh();
}

async function refresh() {
  try {
    const [, history] = await Promise.all([loadCatalog(), get("v1/characters/reloads?limit=50"), loadHealth(), loadOthers()]);
    state.history = history;
  } catch {
    // The next event or connection tries again.
  }
  update();
}

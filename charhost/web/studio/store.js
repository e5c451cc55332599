// The state of the page, which every view reads; `update` renders it again.

export const DEFAULT_SET = "default";

export const state = {
  route: { view: "characters", name: "" },
  key: sessionStorage.getItem("key") ?? "",
  keyProblem: "",
  mayChat: true,
  isAdmin: false,
  catalog: null, // of the first set
  others: [], // the catalogs of the other sets, each with its errors; their characters have the name of the set in front
  health: null,
  status: null,
  history: null,
  model: null, // the language model in use, null for the stand-in
  figures: [],
  operated: DEFAULT_SET, // the set of the view of reloads
  running: new Map(), // the reload that runs, by set
  feed: "closed", // or "open"
  marks: new Map(), // by set: what the last reload did to a character, "added" or "modified"
  filter: "",
  notice: "",
};

/** Return the catalogs of all sets, each with its status, and the report of its last reload if that has errors. */
export function catalogs() {
  return state.catalog ? [{ ...state.catalog, set: DEFAULT_SET, report: state.status?.last_error ?? null, status: state.status, history: state.history }, ...state.others] : [];
}

/** Return the characters of all sets. */
export function characters() {
  return catalogs().flatMap((catalog) => catalog.characters);
}

let render = () => {};
let isDue = false;

export function onUpdate(callback) {
  render = callback;
}

/** Render soon, once for all changes of the same frame. */
export function update() {
  if (isDue) return;
  isDue = true;
  const now = () => {
    isDue = false;
    render();
  };
  // A tab in the background has no frames.
  document.hidden ? setTimeout(now) : requestAnimationFrame(now);
}

export function notify(text) {
  state.notice = text;
  update();
  clearTimeout(notify.timer);
  notify.timer = setTimeout(() => {
    state.notice = "";
    update();
  }, 8000);
}

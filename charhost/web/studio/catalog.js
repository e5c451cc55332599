// The list of characters, which is asked for while the modules of the page are still on their way.

import { get } from "./api.js";

const PATH = "v1/characters";
let first = get(PATH);
first.catch(() => {}); // that is for the caller of `catalog`

export function catalog() {
  const asked = first ?? get(PATH);
  first = null;
  return asked;
}

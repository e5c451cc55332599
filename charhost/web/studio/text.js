// Text for people: times and sizes.

export const HELD = "The files on the disk were refused or rolled back: the watcher waits until they change.";

export function seconds(value) {
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`;
}

export function bytes(value) {
  return `${Math.round(value / (1 << 20))} MiB`;
}

export function count(number, noun) {
  const digits = String(number).replace(/\B(?=(\d{3})+$)/g, ","); // `toLocaleString` takes 10 ms the first time
  return `${digits} ${noun}${number === 1 ? "" : "s"}`;
}

let clock; // takes a browser some time to make

export function time(iso) {
  clock ??= new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
  return clock.format(new Date(iso));
}

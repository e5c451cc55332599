// Plays the sound of one conversation, and knows how much of it was heard.

const RATE = 24_000;
const LEAD = 0.05; // seconds before the first sound, so that the next one is there in time

export class Loudspeaker {
  constructor() {
    this.context = new AudioContext({ sampleRate: RATE });
    this.pieces = []; // {item, node, start, seconds} of each item until it is forgotten
    this.end = 0;
  }

  /** Play samples of 16 bits in base64 after all that waits; returns the seconds until they sound. */
  play(item, base64) {
    const samples = new Int16Array(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)).buffer);
    if (!samples.length) return 0;
    const buffer = this.context.createBuffer(1, samples.length, RATE);
    buffer.copyToChannel(Float32Array.from(samples, (sample) => sample / 32_768), 0);
    const node = new AudioBufferSourceNode(this.context, { buffer });
    node.connect(this.context.destination);
    const start = Math.max(this.end, this.context.currentTime + LEAD);
    node.start(start);
    this.pieces.push({ item, node, start, seconds: buffer.duration });
    this.end = start + buffer.duration;
    return start - this.context.currentTime + this.delay;
  }

  /** Return the ms of an item that came so far. */
  came(item) {
    return 1000 * this.of(item).reduce((sum, { seconds }) => sum + seconds, 0);
  }

  /** Return the ms of an item that have left the machine. */
  heard(item) {
    return 1000 * this.of(item).reduce((sum, { start, seconds }) => sum + Math.max(0, Math.min(this.heardAt - start, seconds)), 0);
  }

  /** Be silent at once; returns [item, ms that were heard] of each item that was cut. */
  stop() {
    const cut = [...new Set(this.pieces.filter(({ start, seconds }) => start + seconds > this.heardAt).map(({ item }) => item))];
    const heard = cut.map((item) => [item, Math.round(this.heard(item))]);
    for (const { node } of this.pieces.splice(0)) node.stop();
    this.end = 0;
    return heard;
  }

  forget(item) {
    this.pieces = this.pieces.filter((piece) => piece.item !== item);
  }

  close() {
    this.stop();
    this.context.close();
  }

  of(item) {
    return this.pieces.filter((piece) => piece.item === item);
  }

  get delay() {
    return this.context.outputLatency || 0;
  }

  get heardAt() {
    return this.context.currentTime - this.delay;
  }
}

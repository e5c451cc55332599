// An AudioWorklet: sends the sound of a microphone on as 16 bits at 24 kHz, in pieces of 40 ms.

const RATE = 24_000;
const PIECE = RATE / 25;

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.step = sampleRate / RATE; // samples of the microphone for one that is sent: their average
    this.missing = this.step;
    this.sum = 0;
    this.piece = new Int16Array(PIECE);
    this.filled = 0;
  }

  process([[samples = []]]) {
    for (const sample of samples) {
      let left = 1;
      while (left >= this.missing) {
        this.send(this.sum + sample * this.missing);
        left -= this.missing;
        this.missing = this.step;
        this.sum = 0;
      }
      this.sum += sample * left;
      this.missing -= left;
    }
    return true;
  }

  send(sum) {
    this.piece[this.filled++] = Math.max(-1, Math.min(sum / this.step, 1)) * 32_767;
    if (this.filled < PIECE) return;
    this.port.postMessage(this.piece.buffer, [this.piece.buffer]);
    this.piece = new Int16Array(PIECE);
    this.filled = 0;
  }
}

registerProcessor("recorder", Recorder);

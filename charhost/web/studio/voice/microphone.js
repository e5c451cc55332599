// The microphone of this machine.

const CONSTRAINTS = { audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true } };
const PROBLEMS = {
  NotAllowedError: "The browser may not use the microphone. Allow it beside the address of the page, then try again.",
  NotFoundError: "There is no microphone. Connect one, then try again.",
  NotReadableError: "Another program uses the microphone. Close it there, then try again.",
};

export class Microphone {
  /** Open it; `onPiece` gets the bytes of each 40 ms. Rejects with an error for people. */
  static async open(onPiece) {
    if (!navigator.mediaDevices) throw new Error("A browser opens the microphone for pages of this machine and for https only.");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia(CONSTRAINTS);
    } catch (error) {
      throw new Error(PROBLEMS[error.name] ?? `The microphone does not open: ${error.message}`);
    }
    const context = new AudioContext();
    await context.audioWorklet.addModule(new URL("recorder.js", import.meta.url));
    const recorder = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
    recorder.port.onmessage = ({ data }) => onPiece(new Uint8Array(data));
    context.createMediaStreamSource(stream).connect(recorder);
    return new Microphone(stream, context);
  }

  constructor(stream, context) {
    this.stream = stream;
    this.context = context;
  }

  close() {
    this.stream.getTracks().forEach((track) => track.stop());
    this.context.close();
  }
}

/** Return how loud 16-bit samples are: 0 for 60 dB below the loudest, which is 1. */
export function loudness(bytes) {
  const samples = new Int16Array(bytes.buffer);
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  return Math.max(0, 1 + Math.log10((power + 1) / 2 ** 30) / 6);
}

// Finds a command's output in the bytes of a console: what stands between a begin and an end marker, both with a token that
// the command can't guess. Works on bytes, piece by piece, so that any output passes unchanged and none is kept.

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
/** ` STATUS\r\n` after the end marker. */
const MAX_STATUS = 8;

export interface FrameMarkers {
  /** Output begins after the line that holds this text and nothing after it. */
  readonly begin: string;
  /** Output ends before this text; a space, the exit status and the end of the line follow it. */
  readonly end: string;
}

export class FramedOutput {
  readonly #begin: Uint8Array;
  readonly #end: Uint8Array;
  readonly #onOutput: (bytes: Uint8Array) => void;
  #pending: Buffer = Buffer.alloc(0);
  #isInside = false;
  /** The command's exit status once the end marker was seen. */
  status: number | undefined;

  constructor(markers: FrameMarkers, onOutput: (bytes: Uint8Array) => void) {
    this.#begin = Buffer.from(markers.begin);
    this.#end = Buffer.from(markers.end);
    this.#onOutput = onOutput;
  }

  /** Whether the begin marker was seen. */
  get hasBegun(): boolean {
    return this.#isInside || this.status !== undefined;
  }

  feed(bytes: Uint8Array): void {
    if (this.status !== undefined) return;
    this.#pending = Buffer.concat([this.#pending, bytes]);
    if (!this.#isInside) this.#findBegin();
    if (this.#isInside) this.#findEnd();
  }

  #findBegin(): void {
    for (let from = 0; ; ) {
      const at = this.#pending.indexOf(this.#begin, from);
      if (at < 0) break;
      let end = at + this.#begin.length;
      if (this.#pending[end] === CARRIAGE_RETURN) end++;
      if (end >= this.#pending.length) return;
      if (this.#pending[end] === LINE_FEED) {
        this.#pending = this.#pending.subarray(end + 1);
        this.#isInside = true;
        return;
      }
      from = at + 1;
    }
    // What can't be the beginning of a marker any more.
    this.#pending = this.#pending.subarray(Math.max(0, this.#pending.length - this.#begin.length - 1));
  }

  #findEnd(): void {
    for (let from = 0; ; ) {
      const at = this.#pending.indexOf(this.#end, from);
      if (at < 0) {
        this.#release(this.#pending.length - this.#end.length + 1);
        return;
      }
      const rest = this.#pending.subarray(at + this.#end.length).toString("latin1");
      const status = /^ (\d{1,3})\r?\n/.exec(rest);
      if (status) {
        this.#release(at);
        this.#isInside = false;
        this.status = Number(status[1]);
        return;
      }
      if (rest.length < MAX_STATUS && !rest.includes("\n")) {
        this.#release(at);
        return;
      }
      from = at + 1;
    }
  }

  /** Hands on the first `count` pending bytes. */
  #release(count: number): void {
    if (count <= 0) return;
    this.#onOutput(this.#pending.subarray(0, count));
    this.#pending = this.#pending.subarray(count);
  }
}

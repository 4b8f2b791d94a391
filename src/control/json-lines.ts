// JSON-RPC's framing on a stream: one message a line. A peer that sends a line without end is told apart from one that is slow.

const LINE_FEED = 0x0a;

/** Longest line, bytes: a domain's configuration with everything in it is far shorter. */
export const MAX_LINE = 1 << 20;

export class LineReader {
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  /**
   * Takes a piece of the stream; `onLine` returns false to leave the rest of it unread.
   * @returns what was left, or undefined when all was taken
   * @throws RangeError when a line is longer than MAX_LINE
   */
  feed(bytes: Uint8Array, onLine: (line: string) => boolean): Uint8Array | undefined {
    let rest = bytes;
    for (let at = rest.indexOf(LINE_FEED); at >= 0; at = rest.indexOf(LINE_FEED)) {
      const line = Buffer.concat([...this.#pieces, rest.subarray(0, at)]);
      this.#pieces = [];
      this.#bytes = 0;
      rest = rest.subarray(at + 1);
      if (line.length > MAX_LINE) throw new RangeError(`a line has more than ${MAX_LINE} bytes`);
      if (!onLine(line.toString())) return rest;
    }
    this.#bytes += rest.length;
    if (this.#bytes > MAX_LINE) throw new RangeError(`a line has more than ${MAX_LINE} bytes`);
    if (rest.length > 0) this.#pieces.push(rest);
    return undefined;
  }
}

// Follows the modes that a guest switches on the user's terminal, so that they can be undone when the guest ends in the middle of
// vi or top: DEC private modes (CSI ? n h, CSI ? n l), the keypad (ESC =, ESC >), the scrolling region (CSI r) and attributes.

const ESC = 0x1b;
const MAX_SEQUENCE = 32;

/** Modes that are on in a fresh terminal; all others are off. */
const ON_BY_DEFAULT = new Set(["7", "25"]);
/** Modes left alone: column count, smooth scrolling, reports and the like do no harm or can't be known. */
const WATCHED = new Set([
  ...["1", "5", "6", "7", "9", "25", "47", "1047", "1049"],
  ...["1000", "1002", "1003", "1004", "1005", "1006", "1015", "2004"],
]);

export class TerminalModes {
  readonly #changed = new Set<string>();
  #hasKeypad = false;
  #hasRegion = false;
  #hasAttributes = false;
  /** What came after an ESC, until the sequence is complete. */
  #sequence: string | undefined;

  /** Looks at output on its way to the terminal. */
  feed(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (byte === ESC) this.#sequence = "";
      else if (this.#sequence !== undefined) this.#continue(this.#sequence + String.fromCharCode(byte), byte);
    }
  }

  #continue(sequence: string, byte: number): void {
    const isComplete = sequence !== "[" && (!sequence.startsWith("[") || byte >= 0x40);
    if (isComplete) this.#apply(sequence);
    this.#sequence = isComplete || sequence.length >= MAX_SEQUENCE ? undefined : sequence;
  }

  #apply(sequence: string): void {
    if (sequence === "=") this.#hasKeypad = true;
    else if (sequence === ">") this.#hasKeypad = false;
    else if (sequence === "c") this.#reset();
    else if (/^\[[\d;:]*m$/.test(sequence)) this.#hasAttributes = !/^\[0*m$/.test(sequence);
    else if (/^\[[\d;]*r$/.test(sequence)) this.#hasRegion = sequence !== "[r";
    const mode = /^\[\?([\d;]+)([hl])$/.exec(sequence);
    if (!mode) return;
    for (const number of mode[1]!.split(";")) {
      if (!WATCHED.has(number)) continue;
      if ((mode[2] === "h") === ON_BY_DEFAULT.has(number)) this.#changed.delete(number);
      else this.#changed.add(number);
    }
  }

  #reset(): void {
    this.#changed.clear();
    this.#hasKeypad = false;
    this.#hasRegion = false;
    this.#hasAttributes = false;
  }

  /** What puts the terminal back; "" when nothing is to be done. */
  restoring(): string {
    const modes = [...this.#changed].map((mode) => `\x1b[?${mode}${ON_BY_DEFAULT.has(mode) ? "h" : "l"}`).join("");
    const region = this.#hasRegion ? "\x1b7\x1b[r\x1b8" : "";
    return `${region}${modes}${this.#hasKeypad ? "\x1b>" : ""}${this.#hasAttributes ? "\x1b[0m" : ""}`;
  }
}

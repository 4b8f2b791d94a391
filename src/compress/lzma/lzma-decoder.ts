// The LZMA decoder core: range decoder plus the LZ state machine, as described in the LZMA
// specification of the LZMA SDK. It serves both the .lzma container and LZMA2 (xz).
// `run` is one long function on purpose: the range decoder's state lives in locals and every bit decode is
// written out, because that is what makes a 65 MB kernel unpack in about two seconds.
// Invariants: the output buffer is the dictionary; out.length >= dictStart; all model indices are within
// `probs` by construction; a read past the input yields 0 and is reported at the end of the symbol.

import { CompressError } from "../compress-error.js";
import type { OutputBuffer } from "../output-buffer.js";

// Offsets of the probability models in one array. 12 states, up to 16 position states.
const IS_MATCH = 0;
const IS_REP = IS_MATCH + 12 * 16;
const IS_REP0 = IS_REP + 12;
const IS_REP1 = IS_REP0 + 12;
const IS_REP2 = IS_REP1 + 12;
const IS_REP0_LONG = IS_REP2 + 12;
const DIST_SLOT = IS_REP0_LONG + 12 * 16;
const DIST_SPECIAL = DIST_SLOT + 4 * 64;
const DIST_ALIGN = DIST_SPECIAL + 115;
const MATCH_LEN = DIST_ALIGN + 16;
// A length coder: two choice bits, 16 low trees and 16 mid trees of 8, one high tree of 256.
const LEN_LOW = 2;
const LEN_MID = LEN_LOW + 16 * 8;
const LEN_HIGH = LEN_MID + 16 * 8;
const REP_LEN = MATCH_LEN + LEN_HIGH + 256;
const LITERAL = REP_LEN + LEN_HIGH + 256;

const PROB_INIT = 1024;
const TOP = 0x1000000;

export class LzmaDecoder {
  /** Next input byte. */
  inPos = 0;
  /** Index in the output at which the dictionary was last reset: no match reaches before it. */
  dictStart = 0;
  /** Dictionary size in bytes: no match reaches further back. */
  dictSize = 0;

  readonly #input: Uint8Array;
  readonly #out: OutputBuffer;
  #inEnd = 0;
  #probs = new Uint16Array(0);
  #lc = 0;
  #lpMask = 0;
  #pbMask = 0;
  #state = 0;
  #rep0 = 0;
  #rep1 = 0;
  #rep2 = 0;
  #rep3 = 0;
  #range = 0;
  #code = 0;

  constructor(input: Uint8Array, out: OutputBuffer) {
    this.#input = input;
    this.#out = out;
  }

  /** True when the range coder stands where an encoder leaves it after its last symbol. */
  get atCleanEnd(): boolean {
    return this.#code === 0;
  }

  /** Sets lc, lp, pb from the properties byte (lc + 9 * (lp + 5 * pb)); false when it is out of range. Resets the state too. */
  setProperties(byte: number): boolean {
    if (byte >= 9 * 5 * 5) return false;
    const lc = byte % 9;
    const lp = Math.floor(byte / 9) % 5;
    this.#lc = lc;
    this.#lpMask = (1 << lp) - 1;
    this.#pbMask = (1 << Math.floor(byte / 45)) - 1;
    const size = LITERAL + (0x300 << (lc + lp));
    if (this.#probs.length !== size) this.#probs = new Uint16Array(size);
    this.resetState();
    return true;
  }

  resetState(): void {
    this.#probs.fill(PROB_INIT);
    this.#state = 0;
    this.#rep0 = this.#rep1 = this.#rep2 = this.#rep3 = 0;
  }

  /** Starts the range decoder at `inPos`; it may read up to `inEnd`. */
  startRangeCoder(inEnd: number): void {
    const input = this.#input;
    if (this.inPos + 5 > inEnd) throw this.#fail("truncated", "range coder start needs 5 bytes");
    if (input[this.inPos] !== 0) throw this.#fail("corrupt", "the first byte of a range coder stream is not 0");
    let code = 0;
    for (let i = 1; i <= 4; i++) code = (code << 8) | input[this.inPos + i]!;
    this.#code = code >>> 0;
    this.#range = 0xffffffff;
    this.inPos += 5;
    this.#inEnd = inEnd;
  }

  /**
   * Decodes symbols until the output is at least `softEnd` bytes long or the end marker is met (then true).
   * A match may run past softEnd but not past `hardEnd`, to which the output must already have room.
   */
  run(softEnd: number, hardEnd: number): boolean {
    const input = this.#input;
    const out = this.#out.bytes;
    const probs = this.#probs;
    const inEnd = this.#inEnd;
    const dictStart = this.dictStart;
    const dictSize = this.dictSize;
    const lc = this.#lc;
    const lpMask = this.#lpMask;
    const pbMask = this.#pbMask;
    let inPos = this.inPos;
    let outPos = this.#out.length;
    let state = this.#state;
    let rep0 = this.#rep0;
    let rep1 = this.#rep1;
    let rep2 = this.#rep2;
    let rep3 = this.#rep3;
    let range = this.#range;
    let code = this.#code;
    let ended = false;
    let index = 0;
    let p = 0;
    let bound = 0;

    while (outPos < softEnd) {
      if (inPos > inEnd) throw this.#fail("truncated", "LZMA data ends early", inEnd);
      const posState = (outPos - dictStart) & pbMask;

      index = IS_MATCH + (state << 4) + posState;
      p = probs[index]!;
      bound = Math.imul(range >>> 11, p) >>> 0;
      if (code < bound) {
        // A literal.
        range = bound;
        probs[index] = p + ((2048 - p) >>> 5);
        if (range < TOP) {
          range = (range << 8) >>> 0;
          code = ((code << 8) | input[inPos++]!) >>> 0;
        }
        const previous = outPos > dictStart ? out[outPos - 1]! : 0;
        const base = LITERAL + 0x300 * ((((outPos - dictStart) & lpMask) << lc) + (previous >>> (8 - lc)));
        let symbol = 1;
        if (state >= 7) {
          // After a match the byte at distance rep0 picks the models, until a bit differs from it.
          let matchByte = out[outPos - rep0 - 1]!;
          let offset = 0x100;
          do {
            matchByte <<= 1;
            const matchBit = matchByte & offset;
            index = base + offset + matchBit + symbol;
            p = probs[index]!;
            bound = Math.imul(range >>> 11, p) >>> 0;
            if (code < bound) {
              range = bound;
              probs[index] = p + ((2048 - p) >>> 5);
              symbol <<= 1;
              offset &= ~matchBit;
            } else {
              range = (range - bound) >>> 0;
              code = (code - bound) >>> 0;
              probs[index] = p - (p >>> 5);
              symbol = (symbol << 1) | 1;
              offset &= matchBit;
            }
            if (range < TOP) {
              range = (range << 8) >>> 0;
              code = ((code << 8) | input[inPos++]!) >>> 0;
            }
          } while (symbol < 0x100);
          state = state < 10 ? state - 3 : state - 6;
        } else {
          do {
            index = base + symbol;
            p = probs[index]!;
            bound = Math.imul(range >>> 11, p) >>> 0;
            if (code < bound) {
              range = bound;
              probs[index] = p + ((2048 - p) >>> 5);
              symbol <<= 1;
            } else {
              range = (range - bound) >>> 0;
              code = (code - bound) >>> 0;
              probs[index] = p - (p >>> 5);
              symbol = (symbol << 1) | 1;
            }
            if (range < TOP) {
              range = (range << 8) >>> 0;
              code = ((code << 8) | input[inPos++]!) >>> 0;
            }
          } while (symbol < 0x100);
          state = state < 4 ? 0 : state - 3;
        }
        out[outPos++] = symbol;
        continue;
      }

      range = (range - bound) >>> 0;
      code = (code - bound) >>> 0;
      probs[index] = p - (p >>> 5);
      if (range < TOP) {
        range = (range << 8) >>> 0;
        code = ((code << 8) | input[inPos++]!) >>> 0;
      }

      let lengthModel = MATCH_LEN;
      let isRep = false;
      index = IS_REP + state;
      p = probs[index]!;
      bound = Math.imul(range >>> 11, p) >>> 0;
      if (code < bound) {
        range = bound;
        probs[index] = p + ((2048 - p) >>> 5);
        if (range < TOP) {
          range = (range << 8) >>> 0;
          code = ((code << 8) | input[inPos++]!) >>> 0;
        }
      } else {
        // One of the four most recent distances again.
        range = (range - bound) >>> 0;
        code = (code - bound) >>> 0;
        probs[index] = p - (p >>> 5);
        if (range < TOP) {
          range = (range << 8) >>> 0;
          code = ((code << 8) | input[inPos++]!) >>> 0;
        }
        isRep = true;
        lengthModel = REP_LEN;
        index = IS_REP0 + state;
        p = probs[index]!;
        bound = Math.imul(range >>> 11, p) >>> 0;
        if (code < bound) {
          range = bound;
          probs[index] = p + ((2048 - p) >>> 5);
          if (range < TOP) {
            range = (range << 8) >>> 0;
            code = ((code << 8) | input[inPos++]!) >>> 0;
          }
          index = IS_REP0_LONG + (state << 4) + posState;
          p = probs[index]!;
          bound = Math.imul(range >>> 11, p) >>> 0;
          if (code < bound) {
            range = bound;
            probs[index] = p + ((2048 - p) >>> 5);
            if (range < TOP) {
              range = (range << 8) >>> 0;
              code = ((code << 8) | input[inPos++]!) >>> 0;
            }
            // Short rep: one byte at distance rep0.
            if (rep0 >= outPos - dictStart) throw this.#fail("corrupt", "match before the dictionary", inPos);
            state = state < 7 ? 9 : 11;
            out[outPos] = out[outPos - rep0 - 1]!;
            outPos++;
            continue;
          }
          range = (range - bound) >>> 0;
          code = (code - bound) >>> 0;
          probs[index] = p - (p >>> 5);
          if (range < TOP) {
            range = (range << 8) >>> 0;
            code = ((code << 8) | input[inPos++]!) >>> 0;
          }
        } else {
          range = (range - bound) >>> 0;
          code = (code - bound) >>> 0;
          probs[index] = p - (p >>> 5);
          if (range < TOP) {
            range = (range << 8) >>> 0;
            code = ((code << 8) | input[inPos++]!) >>> 0;
          }
          // Two more bits at most: rep1 (0), rep2 (10), rep3 (11).
          let which = 1;
          index = IS_REP1 + state;
          for (;;) {
            p = probs[index]!;
            bound = Math.imul(range >>> 11, p) >>> 0;
            const one = code >= bound;
            if (one) {
              range = (range - bound) >>> 0;
              code = (code - bound) >>> 0;
              probs[index] = p - (p >>> 5);
              which++;
            } else {
              range = bound;
              probs[index] = p + ((2048 - p) >>> 5);
            }
            if (range < TOP) {
              range = (range << 8) >>> 0;
              code = ((code << 8) | input[inPos++]!) >>> 0;
            }
            if (!one || which === 3) break;
            index = IS_REP2 + state;
          }
          let distance = rep1;
          if (which > 1) {
            if (which === 3) {
              distance = rep3;
              rep3 = rep2;
            } else {
              distance = rep2;
            }
            rep2 = rep1;
          }
          rep1 = rep0;
          rep0 = distance;
        }
      }

      // Length: three trees, of which the two choice bits name one.
      let tree = 0;
      let treeSize = 8;
      let length = 2;
      index = lengthModel;
      p = probs[index]!;
      bound = Math.imul(range >>> 11, p) >>> 0;
      if (code < bound) {
        range = bound;
        probs[index] = p + ((2048 - p) >>> 5);
        tree = lengthModel + LEN_LOW + (posState << 3);
      } else {
        range = (range - bound) >>> 0;
        code = (code - bound) >>> 0;
        probs[index] = p - (p >>> 5);
        if (range < TOP) {
          range = (range << 8) >>> 0;
          code = ((code << 8) | input[inPos++]!) >>> 0;
        }
        index = lengthModel + 1;
        p = probs[index]!;
        bound = Math.imul(range >>> 11, p) >>> 0;
        if (code < bound) {
          range = bound;
          probs[index] = p + ((2048 - p) >>> 5);
          tree = lengthModel + LEN_MID + (posState << 3);
          length = 10;
        } else {
          range = (range - bound) >>> 0;
          code = (code - bound) >>> 0;
          probs[index] = p - (p >>> 5);
          tree = lengthModel + LEN_HIGH;
          length = 18;
          treeSize = 256;
        }
      }
      if (range < TOP) {
        range = (range << 8) >>> 0;
        code = ((code << 8) | input[inPos++]!) >>> 0;
      }
      let node = 1;
      do {
        index = tree + node;
        p = probs[index]!;
        bound = Math.imul(range >>> 11, p) >>> 0;
        if (code < bound) {
          range = bound;
          probs[index] = p + ((2048 - p) >>> 5);
          node <<= 1;
        } else {
          range = (range - bound) >>> 0;
          code = (code - bound) >>> 0;
          probs[index] = p - (p >>> 5);
          node = (node << 1) | 1;
        }
        if (range < TOP) {
          range = (range << 8) >>> 0;
          code = ((code << 8) | input[inPos++]!) >>> 0;
        }
      } while (node < treeSize);
      length += node - treeSize;

      if (isRep) {
        state = state < 7 ? 8 : 11;
      } else {
        state = state < 7 ? 7 : 10;
        rep3 = rep2;
        rep2 = rep1;
        rep1 = rep0;
        // Distance: a 6-bit slot, then middle bits at even odds or modelled, low bits modelled.
        tree = DIST_SLOT + ((length < 6 ? length - 2 : 3) << 6);
        node = 1;
        do {
          index = tree + node;
          p = probs[index]!;
          bound = Math.imul(range >>> 11, p) >>> 0;
          if (code < bound) {
            range = bound;
            probs[index] = p + ((2048 - p) >>> 5);
            node <<= 1;
          } else {
            range = (range - bound) >>> 0;
            code = (code - bound) >>> 0;
            probs[index] = p - (p >>> 5);
            node = (node << 1) | 1;
          }
          if (range < TOP) {
            range = (range << 8) >>> 0;
            code = ((code << 8) | input[inPos++]!) >>> 0;
          }
        } while (node < 64);
        const slot = node - 64;
        if (slot < 4) {
          rep0 = slot;
        } else {
          let bits = (slot >>> 1) - 1;
          rep0 = ((2 | (slot & 1)) << bits) >>> 0;
          if (slot < 14) {
            tree = DIST_SPECIAL + rep0 - slot;
          } else {
            let direct = 0;
            for (bits -= 4; bits > 0; bits--) {
              range >>>= 1;
              if (code >= range) {
                code = (code - range) >>> 0;
                direct = (direct << 1) | 1;
              } else {
                direct <<= 1;
              }
              if (range < TOP) {
                range = (range << 8) >>> 0;
                code = ((code << 8) | input[inPos++]!) >>> 0;
              }
            }
            rep0 = (rep0 + (direct << 4)) >>> 0;
            tree = DIST_ALIGN;
            bits = 4;
          }
          // Reverse tree: the lowest bit comes first.
          node = 1;
          for (let bit = 0; bit < bits; bit++) {
            index = tree + node;
            p = probs[index]!;
            bound = Math.imul(range >>> 11, p) >>> 0;
            if (code < bound) {
              range = bound;
              probs[index] = p + ((2048 - p) >>> 5);
              node <<= 1;
            } else {
              range = (range - bound) >>> 0;
              code = (code - bound) >>> 0;
              probs[index] = p - (p >>> 5);
              node = (node << 1) | 1;
              rep0 = (rep0 + (1 << bit)) >>> 0;
            }
            if (range < TOP) {
              range = (range << 8) >>> 0;
              code = ((code << 8) | input[inPos++]!) >>> 0;
            }
          }
          if (rep0 === 0xffffffff) {
            ended = true;
            break;
          }
        }
      }

      if (rep0 >= outPos - dictStart || rep0 >= dictSize) {
        throw this.#fail("corrupt", `match distance ${rep0 + 1} reaches before the dictionary`, inPos);
      }
      if (length > hardEnd - outPos) throw this.#fail("corrupt", "match runs past the end of the data", inPos);
      let from = outPos - rep0 - 1;
      if (length > 48 && rep0 >= length) {
        out.copyWithin(outPos, from, from + length);
        outPos += length;
      } else {
        for (const end = outPos + length; outPos < end; ) out[outPos++] = out[from++]!;
      }
    }

    if (inPos > inEnd) throw this.#fail("truncated", "LZMA data ends early", inEnd);
    this.inPos = inPos;
    this.#out.length = outPos;
    this.#state = state;
    this.#rep0 = rep0;
    this.#rep1 = rep1;
    this.#rep2 = rep2;
    this.#rep3 = rep3;
    this.#range = range;
    this.#code = code;
    return ended;
  }

  #fail(code: "truncated" | "corrupt", detail: string, offset = this.inPos): CompressError {
    return new CompressError(code, this.#out.format, offset, detail);
  }
}

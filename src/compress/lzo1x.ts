// The LZO1X byte code (Linux Documentation/staging/lzo.rst). An instruction gives a match (length, distance) and in
// two bits how many literals follow it at once; what a byte below 16 means depends on that count:
// `state` is 0 after none, 1-3 after so many, 4 after a long literal run.

import { CompressError } from "./compress-error.js";
import type { OutputBuffer } from "./output-buffer.js";

/** Decodes input[start, end), which must give exactly `size` bytes, and appends them to `out`. */
export function decodeLzo1x(input: Uint8Array, start: number, end: number, out: OutputBuffer, size: number): void {
  out.ensure(size, start);
  const bytes = out.bytes;
  const outStart = out.length;
  const outEnd = outStart + size;
  let outPos = outStart;
  let inPos = start;
  const corrupt = (detail: string) => new CompressError("corrupt", "lzo", inPos, detail);

  const literals = (count: number) => {
    if (count > end - inPos) throw corrupt("literals run past the block's end");
    if (count > outEnd - outPos) throw corrupt(`block unpacks to more than ${size} bytes`);
    for (const stop = outPos + count; outPos < stop; ) bytes[outPos++] = input[inPos++]!;
  };
  const next = () => {
    if (inPos >= end) throw corrupt("block ends inside an instruction");
    return input[inPos++]!;
  };
  /** A length of 0 in the instruction: `base` plus 255 for each zero byte plus the next byte. */
  const longLength = (base: number) => {
    let length = base;
    for (;;) {
      const byte = next();
      if (byte !== 0) return length + byte;
      length += 255;
    }
  };

  let state = 0;
  // The first byte may be a literal run of its own kind.
  if (start < end && input[start]! > 17) {
    const count = input[inPos++]! - 17;
    literals(count);
    state = Math.min(count, 4);
  }
  for (;;) {
    const code = next();
    let length: number;
    let distance: number;
    let following: number;
    if (code < 16) {
      if (state === 0) {
        literals(code === 0 ? longLength(18) : code + 3);
        state = 4;
        continue;
      }
      following = code & 3;
      const high = next();
      if (state === 4) {
        length = 3;
        distance = (high << 2) + (code >> 2) + 2049;
      } else {
        length = 2;
        distance = (high << 2) + (code >> 2) + 1;
      }
    } else if (code < 32) {
      length = (code & 7) === 0 ? longLength(9) : (code & 7) + 2;
      const word = next() | (next() << 8);
      following = word & 3;
      distance = 16384 + ((code & 8) << 11) + (word >> 2);
      // Distance 16384 exactly is the end mark.
      if (distance === 16384) {
        if (length !== 3 || following !== 0) throw corrupt("malformed end mark");
        break;
      }
    } else if (code < 64) {
      length = (code & 31) === 0 ? longLength(33) : (code & 31) + 2;
      const word = next() | (next() << 8);
      following = word & 3;
      distance = (word >> 2) + 1;
    } else {
      following = code & 3;
      distance = (next() << 3) + ((code >> 2) & 7) + 1;
      length = code < 128 ? 3 + ((code >> 5) & 1) : 5 + ((code >> 5) & 3);
    }
    if (distance > outPos - outStart) throw corrupt(`match distance ${distance}`);
    if (length > outEnd - outPos) throw corrupt(`block unpacks to more than ${size} bytes`);
    for (const stop = outPos + length; outPos < stop; outPos++) bytes[outPos] = bytes[outPos - distance]!;
    literals(following);
    state = following;
  }
  if (outPos !== outEnd) throw corrupt(`block unpacks to ${outPos - outStart} bytes instead of ${size}`);
  if (inPos !== end) throw corrupt("bytes after the end mark");
  out.length = outPos;
}

// LZMA2: the chunked framing of LZMA inside an xz block (.xz file format 5.3.1 and the SDK's description).
// A chunk starts with a control byte:
//   00 end; 01/02 stored bytes with/without dictionary reset; 80+ LZMA with reset level in bits 6-5:
//   0 none, 1 state, 2 state and properties, 3 the same and dictionary.

import { ByteReader } from "../byte-reader.js";
import type { OutputBuffer } from "../output-buffer.js";
import { LzmaDecoder } from "./lzma-decoder.js";

/** Unpacks LZMA2 chunks from `offset` on, appending to `out`; returns the offset after the end marker. */
export function decodeLzma2(bytes: Uint8Array, offset: number, dictSize: number, out: OutputBuffer): number {
  const reader = new ByteReader(bytes, out.format, offset);
  const decoder = new LzmaDecoder(bytes, out);
  decoder.dictSize = dictSize;
  let needDictReset = true;
  let needProperties = true;

  for (;;) {
    const chunkStart = reader.offset;
    const control = reader.u8("LZMA2 control byte");
    if (control === 0) return reader.offset;
    if (control >= 0xe0 || control === 1) {
      needDictReset = false;
      needProperties = true;
      decoder.dictStart = out.length;
    } else if (needDictReset) {
      throw reader.corrupt("the first LZMA2 chunk doesn't reset the dictionary", chunkStart);
    }

    if (control < 0x80) {
      if (control > 2) throw reader.corrupt(`LZMA2 control byte 0x${control.toString(16)}`, chunkStart);
      const size = reader.u16be("LZMA2 stored size") + 1;
      out.append(reader.take(size, "LZMA2 stored chunk"), chunkStart);
      continue;
    }

    const size = ((control & 0x1f) << 16) + reader.u16be("LZMA2 unpacked size") + 1;
    const packedSize = reader.u16be("LZMA2 packed size") + 1;
    if (control >= 0xc0) {
      const properties = reader.u8("LZMA2 properties");
      // LZMA2 limits lc + lp to 4.
      if ((properties % 9) + (Math.floor(properties / 9) % 5) > 4 || !decoder.setProperties(properties)) {
        throw reader.corrupt(`LZMA2 properties 0x${properties.toString(16)}`, chunkStart);
      }
      needProperties = false;
    } else if (needProperties) {
      throw reader.corrupt("LZMA2 chunk without properties", chunkStart);
    } else if (control >= 0xa0) {
      decoder.resetState();
    }

    reader.need(packedSize, "LZMA2 chunk");
    const packedEnd = reader.offset + packedSize;
    out.ensure(size, chunkStart);
    const outEnd = out.length + size;
    decoder.inPos = reader.offset;
    decoder.startRangeCoder(packedEnd);
    if (decoder.run(outEnd, outEnd)) throw reader.corrupt("end marker inside LZMA2", decoder.inPos);
    if (decoder.inPos !== packedEnd || !decoder.atCleanEnd) {
      throw reader.corrupt("LZMA2 chunk doesn't end where its header says", chunkStart);
    }
    reader.offset = packedEnd;
  }
}

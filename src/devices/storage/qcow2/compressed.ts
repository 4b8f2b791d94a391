// Unpacks a compressed cluster: raw deflate with a 4 KiB window, or zstd. What follows the data in its last sector is not its own.

import { promisify } from "node:util";
import { inflateRaw } from "node:zlib";
import { decompress } from "../../../compress/index.js";
import type { Qcow2Header } from "./header.js";

const inflate = promisify(inflateRaw);

/** @returns the cluster, or undefined when the data is damaged */
export async function unpackCluster(
  packed: Uint8Array,
  clusterSize: number,
  compression: Qcow2Header["compression"],
): Promise<Uint8Array | undefined> {
  try {
    const bytes =
      compression === "deflate"
        ? await inflate(packed, { maxOutputLength: clusterSize })
        : decompress(packed.subarray(0, zstdFrameLength(packed)), { format: "zstd", maxOutput: clusterSize });
    return bytes.length === clusterSize ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** Bytes of the first frame (RFC 8878, 3.1.1): a header, blocks that name their sizes, and perhaps a checksum. */
function zstdFrameLength(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const descriptor = view.getUint8(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const contentSizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >>> 6]!;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!;
  let at = 5 + (isSingleSegment ? 0 : 1) + dictionaryBytes + contentSizeBytes;
  for (;;) {
    const block = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    const isRunLength = ((block >>> 1) & 3) === 1;
    at += 3 + (isRunLength ? 1 : block >>> 3);
    if (block & 1) return at + (descriptor & 4 ? 4 : 0);
  }
}

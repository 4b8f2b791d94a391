// The Internet checksum (RFC 1071): the one's complement sum of 16-bit big-endian words.

/** Adds `bytes[start, end)` to a running sum that isn't folded yet. An odd last byte counts as the high half of a word. */
export function sumWords(bytes: Uint8Array, start: number, end: number, sum = 0): number {
  let at = start;
  // 64 KiB of words can't exceed 2^32, so nothing is lost before the fold.
  for (; at + 1 < end; at += 2) sum += (bytes[at]! << 8) | bytes[at + 1]!;
  if (at < end) sum += bytes[at]! << 8;
  return sum;
}

/** The checksum field's value for a sum of everything that it covers. */
export function foldSum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return ~folded & 0xffff;
}

export function internetChecksum(bytes: Uint8Array, start = 0, end = bytes.length): number {
  return foldSum(sumWords(bytes, start, end));
}

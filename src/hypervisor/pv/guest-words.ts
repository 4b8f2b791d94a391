// Reads and writes runs of 8-byte words in guest memory through the vCPU's current page tables, for the frames that PV entry
// and exit put on guest stacks. They are user accesses: the guest kernel runs at CPL 3.

import type { PvContext } from "./pv-context.js";
import { type MemoryHolder, translate } from "./translate.js";

const PAGE_MASK = 0xfffn;

/** Writes words[0..count) at `va`; nothing is written when a page of them can't be. */
export function writeGuestWords(
  host: MemoryHolder,
  vcpu: PvContext,
  va: bigint,
  words: BigUint64Array,
  count: number,
): boolean {
  const { memory } = host;
  const first = translate(host, vcpu, va, true);
  if (first < 0) return false;
  const onFirst = Math.min(count, Math.floor((0x1000 - Number(va & PAGE_MASK)) / 8));
  let second = -1;
  if (onFirst < count) {
    // Frames are 8-byte aligned (the stack is 16-byte aligned), so no word crosses a page.
    second = translate(host, vcpu, BigInt.asUintN(64, va + BigInt(onFirst * 8)), true);
    if (second < 0) return false;
  }
  for (let i = 0; i < count; i++) {
    const at = i < onFirst ? first + i * 8 : second + (i - onFirst) * 8;
    memory.writeU64(at, words[i]!);
  }
  return true;
}

/** Reads `count` words at `va` (any alignment) into `words`; false when a page can't be read. */
export function readGuestWords(
  host: MemoryHolder,
  vcpu: PvContext,
  va: bigint,
  words: BigUint64Array,
  count: number,
): boolean {
  const { memory } = host;
  const offset = Number(va & PAGE_MASK);
  if (offset + count * 8 <= 0x1000) {
    const at = translate(host, vcpu, va, false);
    if (at < 0) return false;
    for (let i = 0; i < count; i++) words[i] = memory.readU64(at + i * 8);
    return true;
  }
  for (let i = 0; i < count; i++) {
    let value = 0n;
    for (let byte = 0; byte < 8; byte++) {
      const at = translate(host, vcpu, BigInt.asUintN(64, va + BigInt(i * 8 + byte)), false);
      if (at < 0) return false;
      value |= BigInt(memory.readU8(at)) << BigInt(byte * 8);
    }
    words[i] = value;
  }
  return true;
}

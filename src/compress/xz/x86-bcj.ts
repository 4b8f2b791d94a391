// The x86 branch filter of xz (filter id 4), undone in place. The packer replaced the relative operand of
// CALL (E8) and JMP (E9) by an absolute address where its top byte looked like a sign extension (00 or FF); here
// it becomes relative again. Whether an opcode byte was eligible depends on the opcode bytes up to three before it
// that were passed over, since each of these could share operand bytes with it.

/** True for a byte that can be the sign extension of a 25-bit displacement. */
function isSign(byte: number): boolean {
  return byte === 0x00 || byte === 0xff;
}

/** Undoes the filter on data[start, end), whose first byte has position `position` in the filtered stream. */
export function undoX86Bcj(data: Uint8Array, start: number, end: number, position: number): void {
  // Bit d-1 set: the byte d places back is a passed-over opcode byte.
  let passed = 0;
  for (let i = start; i + 5 <= end; i++) {
    const isOpcode = (data[i]! & 0xfe) === 0xe8;
    if (!isOpcode) {
      passed = (passed << 1) & 7;
      continue;
    }
    // Distance of the passed-over opcode; more than one rules the conversion out.
    const distance = passed === 0 ? 0 : passed === 1 ? 1 : passed === 2 ? 2 : passed === 4 ? 3 : -1;
    const eligible = distance >= 0 && isSign(data[i + 4]!) && (distance === 0 || !isSign(data[i + 4 - distance]!));
    if (!eligible) {
      passed = ((passed << 1) | 1) & 7;
      continue;
    }
    const next = (position + (i - start) + 5) | 0;
    const value = data[i + 1]! | (data[i + 2]! << 8) | (data[i + 3]! << 16) | (data[i + 4]! << 24);
    let relative = (value - next) | 0;
    if (distance > 0) {
      // The byte that overlaps the earlier opcode's top byte must not look like a sign afterwards either.
      const shift = 32 - 8 * distance;
      if (isSign((relative >>> (shift - 8)) & 0xff)) {
        relative = ((relative ^ ((1 << shift) - 1)) - next) | 0;
      }
    }
    // Sign-extend from bit 24.
    relative = (relative << 7) >> 7;
    data[i + 1] = relative;
    data[i + 2] = relative >>> 8;
    data[i + 3] = relative >>> 16;
    data[i + 4] = relative >>> 24;
    i += 4;
    passed = 0;
  }
}

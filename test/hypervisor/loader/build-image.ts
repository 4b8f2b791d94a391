// Builds small ELF and bzImage files for the loader's tests.

export interface TestSegment {
  readonly type?: number;
  readonly paddr?: bigint;
  readonly vaddr?: bigint;
  readonly memorySize?: number;
  readonly align?: number;
  readonly contents: Uint8Array;
}

export interface TestSection {
  readonly name: string;
  readonly type?: number;
  readonly contents: Uint8Array;
  readonly link?: number;
}

export interface TestElf {
  readonly class?: 32 | 64;
  readonly machine?: number;
  readonly entry?: bigint;
  readonly segments?: readonly TestSegment[];
  readonly sections?: readonly TestSection[];
}

const encoder = new TextEncoder();

/** Concatenates parts, each padded to `align` bytes. */
export function concat(parts: readonly Uint8Array[], align = 1): Uint8Array {
  const out: number[] = [];
  for (const part of parts) {
    for (const byte of part) out.push(byte);
    while (out.length % align !== 0) out.push(0);
  }
  return Uint8Array.from(out);
}

export function text(value: string): Uint8Array {
  return encoder.encode(`${value}\0`);
}

export function number(value: bigint | number, size: 4 | 8 = 8): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes.subarray(0, size);
}

/** One ELF note. */
export function note(type: number, descriptor: Uint8Array, name = "Xen"): Uint8Array {
  const label = text(name);
  const header = new Uint8Array(12);
  const view = new DataView(header.buffer);
  view.setUint32(0, label.length, true);
  view.setUint32(4, descriptor.length, true);
  view.setUint32(8, type, true);
  return concat([header, label, descriptor], 4);
}

export function buildElf(elf: TestElf): Uint8Array {
  const wide = (elf.class ?? 64) === 64;
  const segments = elf.segments ?? [];
  const sections = elf.sections ?? [];
  const names = concat([text(""), ...sections.map(({ name }) => text(name)), text(".shstrtab")]);
  const all = sections.length === 0 ? [] : [...sections, { name: ".shstrtab", type: 3, contents: names }];
  const headerSize = wide ? 64 : 52;
  const phSize = wide ? 56 : 32;
  const shSize = wide ? 64 : 40;
  const shOffset = headerSize + segments.length * phSize;
  const shCount = all.length === 0 ? 0 : all.length + 1;
  let at = shOffset + shCount * shSize;
  const parts = [...segments, ...all].map(({ contents }) => {
    const offset = (at + 7) & ~7;
    at = offset + contents.length;
    return { offset, contents };
  });
  const file = new Uint8Array(at);
  const view = new DataView(file.buffer);
  const word = (offset: number, value: bigint | number) =>
    wide ? view.setBigUint64(offset, BigInt(value), true) : view.setUint32(offset, Number(value), true);
  for (const { offset, contents } of parts) file.set(contents, offset);

  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, elf.machine ?? (wide ? 62 : 3), true);
  view.setUint32(20, 1, true);
  word(24, elf.entry ?? 0n);
  word(wide ? 32 : 28, segments.length === 0 ? 0 : headerSize);
  word(wide ? 40 : 32, shCount === 0 ? 0 : shOffset);
  const counts = [headerSize, phSize, segments.length, shSize, shCount, shCount === 0 ? 0 : shCount - 1];
  for (const [i, count] of counts.entries()) view.setUint16((wide ? 52 : 40) + 2 * i, count, true);

  segments.forEach((segment, i) => {
    const base = headerSize + i * phSize;
    const { offset } = parts[i]!;
    const size = segment.contents.length;
    view.setUint32(base, segment.type ?? 1, true);
    view.setUint32(base + (wide ? 4 : 24), 7, true);
    const fields = [offset, segment.vaddr ?? 0n, segment.paddr ?? 0n, size, segment.memorySize ?? size];
    for (const [k, value] of fields.entries()) word(base + (wide ? 8 + 8 * k : 4 + 4 * k), value);
    word(base + (wide ? 48 : 28), segment.align ?? 4);
  });
  let nameOffset = 1;
  all.forEach((section, i) => {
    const base = shOffset + (i + 1) * shSize;
    const { offset, contents } = parts[segments.length + i]!;
    view.setUint32(base, nameOffset, true);
    view.setUint32(base + 4, section.type ?? 1, true);
    word(base + (wide ? 24 : 16), offset);
    word(base + (wide ? 32 : 20), contents.length);
    view.setUint32(base + (wide ? 40 : 24), "link" in section ? (section.link ?? 0) : 0, true);
    nameOffset += section.name.length + 1;
  });
  return file;
}

/** A bzImage around a payload that already ends in its 4 size bytes. */
export function buildBzImage(payload: Uint8Array, protocol = 0x20f): Uint8Array {
  const setupSectors = 2;
  const start = (setupSectors + 1) * 512;
  const payloadOffset = 64;
  const file = new Uint8Array(start + payloadOffset + payload.length + 32);
  const view = new DataView(file.buffer);
  file[0x1f1] = setupSectors;
  view.setUint16(0x1fe, 0xaa55, true);
  file.set(encoder.encode("HdrS"), 0x202);
  view.setUint16(0x206, protocol, true);
  view.setUint16(0x20e, 0x300 - 0x200, true);
  file.set(text("9.9.9-test (a@b)"), 0x300);
  view.setUint32(0x248, payloadOffset, true);
  view.setUint32(0x24c, payload.length, true);
  file.set(payload, start + payloadOffset);
  return file;
}

// The page walk: formats, rights, error codes, accessed and dirty bits, large pages, reserved bits. SDM volume 3A, chapter 4.

import { describe, expect, test } from "vitest";
import { MachineMemory } from "../../src/mmu/machine-memory.js";
import {
  ACCESS_EXECUTE,
  ACCESS_READ,
  ACCESS_WRITE,
  newWalkResult,
  type PagingContext,
  PagingMode,
  walkPage,
} from "../../src/mmu/page-walk.js";

const ROOT = 0x1000;
const [P, W, U, RSVD, I] = [1, 2, 4, 8, 16];
const [RW, US, A, D, PS] = [2n, 4n, 0x20n, 0x40n, 0x80n];
const NX = 1n << 63n;
const ALL = 1n | RW | US;
const FRAMES = 2048;

function setup(mode: PagingMode, options: Partial<PagingContext> = {}) {
  const memory = new MachineMemory({ frames: FRAMES, engineBytes: 1 << 16 });
  const context: PagingContext = {
    mode,
    root: ROOT,
    writeProtect: true,
    smep: false,
    smap: false,
    nxe: true,
    pse: true,
    ignoreUser: false,
    ...options,
  };
  const walk = (va: bigint, access: number = ACCESS_READ, user = true) =>
    walkPage(memory, context, Number(va & 0xffffffffn), Number(va >> 32n), access, user, newWalkResult());
  return { memory, context, walk };
}

/** A 4-level path to `leaf` for `va`: tables at 1000, 2000, 3000, 4000. */
function fourLevel(va: bigint, leaf: bigint, options: Partial<PagingContext> = {}, branch = ALL) {
  const machine = setup(PagingMode.FourLevel, options);
  const at = (level: number) => Number((va >> BigInt(12 + 9 * (level - 1))) & 511n) * 8;
  const slots = [4, 3, 2, 1].map((level, i) => ROOT + i * 0x1000 + at(level));
  for (let i = 0; i < 3; i++) machine.memory.writeU64(slots[i]!, BigInt(ROOT + (i + 1) * 0x1000) | branch);
  machine.memory.writeU64(slots[3]!, leaf);
  return { ...machine, slots };
}

const VA = 0xffff_9234_5678_9abcn;

describe("four levels", () => {
  test("translates and sets accessed and dirty bits", () => {
    const { memory, walk, slots } = fourLevel(VA, 0x77000n | ALL);
    expect(walk(VA)).toMatchObject({ fault: -1, maddr: 0x77abc, pageSize: 4096, writableNow: false, leaf: slots[3] });
    expect(slots.map((s) => memory.readU64(s) & (A | D))).toEqual([A, A, A, A]);
    expect(walk(VA, ACCESS_WRITE)).toMatchObject({ fault: -1, writableNow: true });
    expect(slots.map((s) => memory.readU64(s) & (A | D))).toEqual([A, A, A, A | D]);
    expect(walk(VA).writableNow).toBe(true);
  });

  test("a missing entry at each level is not-present, with the access in the error code", () => {
    for (let level = 0; level < 4; level++) {
      const { memory, walk, slots } = fourLevel(VA, 0x77000n | ALL);
      memory.writeU64(slots[level]!, memory.readU64(slots[level]!) & ~1n);
      expect(walk(VA, ACCESS_READ, false).fault).toBe(0);
      expect(walk(VA, ACCESS_WRITE).fault).toBe(W | U);
      expect(walk(VA, ACCESS_EXECUTE).fault).toBe(U | I);
    }
  });

  test("user, writable and no-execute combine over the path", () => {
    for (let level = 0; level < 4; level++) {
      const { memory, walk, slots } = fourLevel(VA, 0x77000n | ALL);
      const entry = memory.readU64(slots[level]!);
      memory.writeU64(slots[level]!, entry & ~US);
      expect(walk(VA).fault).toBe(P | U);
      expect(walk(VA, ACCESS_READ, false).fault).toBe(-1);
      memory.writeU64(slots[level]!, entry & ~RW);
      expect(walk(VA, ACCESS_WRITE).fault).toBe(P | W | U);
      expect(walk(VA, ACCESS_WRITE, false).fault).toBe(P | W);
      memory.writeU64(slots[level]!, entry | NX);
      expect(walk(VA, ACCESS_EXECUTE).fault).toBe(P | U | I);
      expect(walk(VA).fault).toBe(-1);
    }
  });

  test("a denied access leaves the leaf's accessed and dirty bits alone", () => {
    const { memory, walk, slots } = fourLevel(VA, 0x77000n | 1n);
    expect(walk(VA, ACCESS_WRITE).fault).toBe(P | W | U);
    expect(memory.readU64(slots[3]!) & (A | D)).toBe(0n);
  });

  test("CR0.WP clear lets supervisors write, not users", () => {
    const { walk } = fourLevel(VA, 0x77000n | 1n | US, { writeProtect: false });
    expect(walk(VA, ACCESS_WRITE, false)).toMatchObject({ fault: -1, writableNow: true });
    expect(walk(VA, ACCESS_WRITE, true).fault).toBe(P | W | U);
  });

  test("SMEP and SMAP keep supervisors off user pages", () => {
    const smep = fourLevel(VA, 0x77000n | ALL, { smep: true });
    expect(smep.walk(VA, ACCESS_EXECUTE, false).fault).toBe(P | I);
    expect(smep.walk(VA, ACCESS_EXECUTE, true).fault).toBe(-1);
    expect(smep.walk(VA, ACCESS_READ, false).fault).toBe(-1);
    const smap = fourLevel(VA, 0x77000n | ALL, { smap: true, writeProtect: false });
    expect(smap.walk(VA, ACCESS_READ, false).fault).toBe(P);
    expect(smap.walk(VA, ACCESS_WRITE, false).fault).toBe(P | W);
    expect(smap.walk(VA, ACCESS_EXECUTE, false).fault).toBe(-1);
    expect(smap.walk(VA, ACCESS_READ, true).fault).toBe(-1);
  });

  test("without EFER.NXE the NX bit is reserved and I stays clear unless SMEP is on", () => {
    const off = { nxe: false };
    expect(fourLevel(VA, 0x77000n | ALL | NX, off).walk(VA).fault).toBe(P | U | RSVD);
    expect(fourLevel(VA, 0n, off).walk(VA, ACCESS_EXECUTE).fault).toBe(U);
    expect(fourLevel(VA, 0n, { ...off, smep: true }).walk(VA, ACCESS_EXECUTE).fault).toBe(U | I);
  });

  test("address bits beyond 40 are reserved, software bits are not", () => {
    expect(fourLevel(VA, 0x77000n | ALL | (1n << 40n)).walk(VA).fault).toBe(P | U | RSVD);
    expect(fourLevel(VA, 0x77000n | ALL | (1n << 51n)).walk(VA, ACCESS_WRITE).fault).toBe(P | W | U | RSVD);
    expect(fourLevel(VA, 0x77000n | ALL | (0x7ffn << 52n) | 0xe00n).walk(VA).fault).toBe(-1);
  });

  test("2 MB and 1 GB pages", () => {
    const va = 0x4_4060_3123n;
    const { memory, walk, slots } = fourLevel(va, 0n);
    memory.writeU64(slots[2]!, 0x200000n | ALL | PS);
    expect(walk(va, ACCESS_WRITE)).toMatchObject({ fault: -1, maddr: 0x203123, pageSize: 0x200000, leaf: slots[2] });
    expect(memory.readU64(slots[2]!) & (A | D)).toBe(A | D);
    memory.writeU64(slots[2]!, 0x200000n | ALL | PS | 0x1000n);
    expect(walk(va).fault).toBe(-1); // PAT
    memory.writeU64(slots[2]!, 0x202000n | ALL | PS);
    expect(walk(va).fault).toBe(P | U | RSVD);
    memory.writeU64(slots[1]!, ALL | PS);
    expect(walk(va)).toMatchObject({ fault: -1, maddr: 0x603123, pageSize: 0x40000000 });
    memory.writeU64(slots[1]!, 0x200000n | ALL | PS);
    expect(walk(va).fault).toBe(P | U | RSVD);
    memory.writeU64(slots[0]!, 0x2000n | ALL | PS);
    expect(walk(va).fault).toBe(P | U | RSVD);
  });

  test("a PV guest's U/S bit does not decide", () => {
    const { walk } = fourLevel(VA, 0x77000n | 1n | RW, { ignoreUser: true, smap: true, smep: true });
    for (const user of [true, false]) expect(walk(VA, ACCESS_EXECUTE, user).fault).toBe(-1);
  });

  test("what lies outside RAM faults and never reads beyond it", () => {
    expect(fourLevel(VA, (BigInt(FRAMES) << 12n) | ALL).walk(VA).fault).toBe(P | U | RSVD);
    expect(fourLevel(VA, 0x77000n | ALL, { root: FRAMES * 4096 }).walk(VA).fault).toBe(P | U | RSVD);
    expect(fourLevel(VA, 0x77000n | ALL, { root: 2 ** 39 + ROOT }).walk(VA).fault).toBe(P | U | RSVD);
    const { memory, walk, slots } = fourLevel(VA, 0x77000n | ALL);
    memory.writeU64(slots[1]!, 0xff_ffff_f000n | ALL);
    expect(walk(VA).fault).toBe(P | U | RSVD);
  });
});

describe("two levels", () => {
  const va = 0xc0403abcn;
  function paged(directory: number, table: number, options: Partial<PagingContext> = {}) {
    const machine = setup(PagingMode.TwoLevel, options);
    machine.memory.writeU32(ROOT + (0xc0403abc >>> 22) * 4, directory);
    machine.memory.writeU32(0x2000 + 3 * 4, table);
    return machine;
  }
  test("4 KB pages, rights and accessed bits", () => {
    const { walk, memory } = paged(0x2007, 0x55007);
    expect(walk(va, ACCESS_WRITE)).toMatchObject({ fault: -1, maddr: 0x55abc });
    expect(memory.readU32(0x200c)).toBe(0x55067);
    expect(memory.readU32(ROOT + 0x301 * 4)).toBe(0x2027);
    expect(paged(0x2007, 0x55001).walk(va, ACCESS_WRITE).fault).toBe(P | W | U);
  });
  test("there is no NX, so I is SMEP's alone", () => {
    expect(paged(0, 0).walk(va, ACCESS_EXECUTE).fault).toBe(U);
    expect(paged(0, 0, { smep: true }).walk(va, ACCESS_EXECUTE).fault).toBe(U | I);
  });
  test("4 MB pages need CR4.PSE; bit 21 is reserved, bits 13-20 extend the address", () => {
    expect(paged(0x400087, 0).walk(va)).toMatchObject({ fault: -1, maddr: 0x403abc, pageSize: 0x400000 });
    expect(paged(0x600087, 0).walk(va).fault).toBe(P | U | RSVD);
    expect(paged(0x402087, 0).walk(va).fault).toBe(P | U | RSVD); // 4 GB up: no RAM there
    expect(paged(0x2087, 0x55007, { pse: false }).walk(va)).toMatchObject({ fault: -1, maddr: 0x55abc });
  });
});

describe("PAE", () => {
  const va = 0xc0403abcn;
  function paged(pointer: bigint, directory: bigint, table: bigint) {
    const machine = setup(PagingMode.Pae, { root: 0x1020 });
    machine.memory.writeU64(0x1020 + 3 * 8, pointer);
    machine.memory.writeU64(0x2000 + 2 * 8, directory);
    machine.memory.writeU64(0x3000 + 3 * 8, table);
    return machine;
  }
  test("4 KB pages; pointers carry no rights and no accessed bit", () => {
    const { walk, memory } = paged(0x2001n, 0x3007n, 0x55007n);
    expect(walk(va, ACCESS_WRITE)).toMatchObject({ fault: -1, maddr: 0x55abc });
    expect(memory.readU64(0x1038)).toBe(0x2001n);
    expect(memory.readU64(0x2010)).toBe(0x3027n);
  });
  test("2 MB pages and NX", () => {
    expect(paged(0x2001n, 0x200087n, 0n).walk(va)).toMatchObject({ fault: -1, maddr: 0x203abc, pageSize: 0x200000 });
    expect(paged(0x2001n, 0x3007n, 0x55007n | NX).walk(va, ACCESS_EXECUTE).fault).toBe(P | U | I);
  });
  test("bits 52-62 are reserved here", () => {
    expect(paged(0x2001n, 0x3007n, 0x55007n | (1n << 52n)).walk(va).fault).toBe(P | U | RSVD);
  });
});

test("without paging addresses are physical", () => {
  const { walk } = setup(PagingMode.None);
  expect(walk(0x1234n, ACCESS_WRITE)).toMatchObject({ fault: -1, maddr: 0x1234, writableNow: true });
  expect(walk(0xfffff000n).fault).not.toBe(-1);
});

// Numbers that a malicious guest would try, in symbolic form: what they stand for is decided when the attack runs, so that a
// sequence means the same on every machine and shrinks to something readable.

import fc from "fast-check";
import type { Vcpu } from "../../src/hypervisor/hypervisor.js";
import { BASE, FREE_PFN, va } from "../hypervisor/hypervisor-fixture.js";

export type Frame =
  | { readonly own: number }
  | { readonly page: number }
  | { readonly table: number }
  | { readonly special: number }
  | { readonly foreign: number }
  | { readonly frame: number };

export type Value =
  | { readonly word: bigint }
  | { readonly mfn: Frame }
  | { readonly pte: Frame; readonly flags: bigint }
  | { readonly entry: Frame; readonly slot: number; readonly low: number }
  | { readonly at: number; readonly offset: number }
  | { readonly address: bigint };

/** Pages that the attack uses as its own memory; 0-3 hold arguments. */
export const PAGES = 16;
export const CODE_PAGE = 15;

/** What the attacker knows, or guesses, about the machine. */
export interface World {
  readonly vcpu: Vcpu;
  readonly p2m: ArrayLike<number>;
  /** Frames of its page tables. */
  readonly tables: readonly number[];
  /** Its shared_info, grant frames, start info. */
  readonly special: readonly number[];
  /** Frames of others: pages, page tables, shared pages, the hypervisor's, free ones. */
  readonly foreign: readonly number[];
}

const pick = <T>(list: ArrayLike<T>, index: number): T => list[index % list.length]!;

export function frameNumber(world: World, frame: Frame): number {
  if ("own" in frame) return pick(world.p2m, frame.own);
  if ("page" in frame) return world.p2m[FREE_PFN + (frame.page % PAGES)]!;
  if ("table" in frame) return pick(world.tables, frame.table);
  if ("special" in frame) return pick(world.special, frame.special);
  if ("foreign" in frame) return pick(world.foreign, frame.foreign);
  return frame.frame;
}

export function resolve(world: World, value: Value): bigint {
  if ("word" in value) return value.word;
  if ("mfn" in value) return BigInt(frameNumber(world, value.mfn));
  if ("pte" in value) return (BigInt(frameNumber(world, value.pte)) << 12n) | value.flags;
  if ("entry" in value)
    return BigInt(frameNumber(world, value.entry)) * 4096n + BigInt((value.slot & 511) * 8 + value.low);
  if ("at" in value) return va(FREE_PFN + (value.at % PAGES)) + BigInt(value.offset & 0xfff);
  return value.address;
}

const LIMITS = [0n, 1n, 2n, 7n, 8n, 63n, 64n, 255n, 511n, 512n, 4095n, 4096n, 0x7fffn, 0xffffn, 0x7fff_ffffn]
  .concat([0x8000_0000n, 0xffff_ffffn, 1n << 32n, 1n << 40n, 1n << 51n, 1n << 52n, (1n << 63n) - 1n, 1n << 63n])
  .concat([(1n << 64n) - 1n, 0xffff_ffff_ffff_f000n, 0xffff_ffff_8000_0000n]);

const HOSTILE_ADDRESSES = [
  0n,
  0x1000n,
  0x7fff_ffff_ffffn,
  0x7fff_ffff_fff8n,
  0x8000_0000_0000n,
  0xffff_8000_0000_0000n,
  0xffff_8000_0000_1000n,
  0xffff_87ff_ffff_fff8n,
  0xffff_8800_0000_0000n,
  0xffff_ffff_ffff_fff8n,
  0xffff_ffff_ffff_ffffn,
  0x80_0000_0000n,
];

export const smallArb = fc.oneof(
  { weight: 6, arbitrary: fc.nat(16) },
  { weight: 2, arbitrary: fc.nat(600) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff }) },
);

export const frameArb: fc.Arbitrary<Frame> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ page: fc.nat(PAGES - 1) }) },
  { weight: 2, arbitrary: fc.record({ own: fc.nat(1023) }) },
  { weight: 3, arbitrary: fc.record({ table: fc.nat(7) }) },
  { weight: 2, arbitrary: fc.record({ special: fc.nat(7) }) },
  { weight: 4, arbitrary: fc.record({ foreign: fc.nat(31) }) },
  { weight: 1, arbitrary: fc.record({ frame: fc.integer({ min: 0, max: 1 << 20 }) }) },
);

const flagsArb = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(0x67n, 0x65n, 0x63n, 0x61n, 0x7n, 0x27n, 0x1n, 0n) },
  { weight: 1, arbitrary: fc.nat(0xfff).map(BigInt) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(0x8000_0000_0000_0067n, 0x10_0000_0000_0067n, 0xe7n, 0x7ff0_0000_0000_0067n),
  },
);

/** The pages that most attacks on mappings are about: few, so that steps meet. */
const CONTESTED = 4;
const contestedArb = fc.nat(2).map((n) => CONTESTED + n);
export const contestedAddressArb: fc.Arbitrary<Value> = fc.record({ at: contestedArb, offset: fc.constant(0) });
export const contestedEntryArb: fc.Arbitrary<Value> = fc.record({
  entry: fc.record({ table: fc.constant(0) }),
  slot: contestedArb,
  low: fc.constant(0),
});

/** Table slots: the few that attacks share, and all others. */
const slotArb = fc.oneof(
  { weight: 4, arbitrary: contestedArb },
  { weight: 4, arbitrary: fc.nat(PAGES) },
  { weight: 2, arbitrary: fc.constantFrom(0, 1, 255, 256, 257, 271, 272, 510, 511) },
  { weight: 1, arbitrary: fc.nat(511) },
);

export const wordArb: fc.Arbitrary<Value> = fc.record({
  word: fc.oneof(
    { weight: 4, arbitrary: smallArb.map(BigInt) },
    { weight: 2, arbitrary: fc.constantFrom(...LIMITS) },
    { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }) },
  ),
});

export const pteArb: fc.Arbitrary<Value> = fc.record({ pte: frameArb, flags: flagsArb });

export const entryArb: fc.Arbitrary<Value> = fc.record({
  entry: fc.oneof({ weight: 3, arbitrary: fc.record({ table: fc.nat(7) }) }, { weight: 2, arbitrary: frameArb }),
  slot: slotArb,
  low: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(7) }),
});

export const mfnArb: fc.Arbitrary<Value> = fc.record({ mfn: frameArb });

export const addressArb: fc.Arbitrary<Value> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ at: fc.nat(PAGES - 1), offset: fc.nat(511).map((n) => n * 8) }) },
  { weight: 1, arbitrary: fc.record({ at: fc.nat(PAGES - 1), offset: fc.nat(4095) }) },
  { weight: 1, arbitrary: fc.record({ address: fc.constantFrom(...HOSTILE_ADDRESSES) }) },
  { weight: 1, arbitrary: fc.record({ address: fc.nat(2047).map((pfn) => BASE + BigInt(pfn) * 4096n) }) },
);

export const anyArb: fc.Arbitrary<Value> = fc.oneof(
  { weight: 4, arbitrary: wordArb },
  { weight: 3, arbitrary: addressArb },
  { weight: 2, arbitrary: mfnArb },
  { weight: 1, arbitrary: pteArb },
  { weight: 1, arbitrary: entryArb },
);

/** The domains of the test are 0, 1 (the victim) and later ones. */
export const domidArb: fc.Arbitrary<Value> = fc.record({
  word: fc.constantFrom(
    0x7ff0n,
    0x7ff0n,
    0x7ff0n,
    0x7ff0n,
    0x7ff0n,
    1n,
    1n,
    1n,
    1n,
    0n,
    2n,
    0x7ff1n,
    0x7ff2n,
    0x7ff4n,
    0x7fffn,
    0xffffn,
    300n,
  ),
});

// fast-check's arbitrary of trials, and the property that both tiers agree.

import fc from "fast-check";
import { assemble, ITEM_BYTES } from "./program.js";
import { type Compilation, TierPair, type Trial } from "./tiers.js";

const item = fc.uint8Array({ minLength: ITEM_BYTES, maxLength: ITEM_BYTES }).map((bytes) => [...bytes]);
const pointer = fc.constantFrom(0x10ff8n, 0x11000n, 0x12340n, 0x13ffdn, 0x1fff8n, 0x8040n, 0x20100n);
const word = fc.oneof(
  fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }),
  fc.constantFrom(0n, 1n, 0x7fn, 0x80n, 0xffn, 0x8000n, 0x7fffffffn, 0x80000000n, 0xffffffffffffffffn),
  fc.bigInt({ min: 0n, max: 40n }),
);
const registers = fc
  .tuple(fc.array(word, { minLength: 16, maxLength: 16 }), fc.array(pointer, { minLength: 4, maxLength: 4 }))
  .map(([words, pointers]) => {
    const all = [...words];
    all[1] = BigInt.asUintN(64, all[1]!) & 0x1fn;
    all[4] = 0xa000n;
    for (const [i, number] of [3, 5, 6, 7].entries()) all[number] = pointers[i]!;
    return all;
  });
const budgets = fc.oneof(
  fc.constant([1000]),
  fc.nat({ max: 60 }).map((first) => [first + 1, 1000]),
  fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 8 }),
);

export function trials(maxLength: number): fc.Arbitrary<Trial> {
  return fc.record({
    program: fc.array(item, { minLength: 2, maxLength }).map(assemble),
    registers,
    budgets,
    limit: fc.constant(300),
  });
}

/** Random programs in a loop that goes on long enough for the JIT's samples to find it. */
export function hotTrials(maxLength: number): fc.Arbitrary<Trial> {
  return fc.record({
    program: fc.array(item, { minLength: 2, maxLength }).map((items) => assemble(items, true)),
    registers,
    budgets: fc.array(fc.integer({ min: 40_000, max: 80_000 }), { minLength: 1, maxLength: 4 }),
    limit: fc.constant(250_000),
  });
}

export interface TierCheck {
  readonly runs: number;
  readonly trials: fc.Arbitrary<Trial>;
  readonly compilation?: Compilation;
  readonly seed?: number | undefined;
  /** Each program in machines of its own. */
  readonly fresh?: boolean | undefined;
  /** Each program anew with every first budget from 1 to this. */
  readonly everyBudget?: number;
}

/** Throws with the seed and a shrunk program when the tiers differ somewhere. */
export function checkTiers({ runs, trials, compilation, seed, fresh = false, everyBudget = 0 }: TierCheck): TierPair {
  let pair = new TierPair(compilation);
  const totals = { regions: 0, instructions: 0 };
  const renew = () => {
    totals.regions += pair.regions;
    totals.instructions += pair.instructions;
    pair = new TierPair(compilation);
  };
  fc.assert(
    fc.property(trials, (trial) => {
      let difference: string | undefined;
      // A page whose code keeps changing is compiled ever later.
      if (fresh) renew();
      try {
        if (everyBudget === 0) difference = pair.compare(trial);
        for (let first = 1; first <= everyBudget && !difference; first++) {
          difference = pair.compare({ ...trial, budgets: [first, 1000] });
          if (difference) difference = `first budget ${first}: ${difference}`;
        }
      } catch (error) {
        renew();
        throw error;
      }
      if (difference) throw new Error(`${Buffer.from(trial.program.bytes).toString("hex")}: ${difference}`);
    }),
    { numRuns: runs, ...(seed === undefined ? {} : { seed }) },
  );
  pair.regions += totals.regions;
  pair.instructions += totals.instructions;
  return pair;
}

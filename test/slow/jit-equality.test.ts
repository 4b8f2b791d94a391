// Thousands of random programs through interpreter and compiled regions: straight code, loops, calls, code that changes itself,
// faults in the middle. fast-check prints the seed; XEN_TS_RUNS.

import { describe, expect, it } from "vitest";
import { loopTrials } from "../cpu/jit/loop-trial.js";
import { checkTiers, hotTrials, trials } from "../cpu/jit/random-trial.js";
import { switchTrials, treeTrials } from "../cpu/jit/tree-trial.js";

const runs = Number(process.env.XEN_TS_RUNS ?? 5000);

describe.each([
  { tier: "every entry compiled", compilation: "entries", trials: trials(12), runs: runs / 2 },
  { tier: "every entry compiled, longer programs", compilation: "entries", trials: trials(60), runs: runs / 2 },
  {
    tier: "every entry compiled, every budget",
    compilation: "entries",
    trials: trials(10),
    runs: runs / 50,
    budgets: 40,
  },
  { tier: "blocks that lead to themselves", compilation: "entries", trials: loopTrials, runs: runs / 5 },
  { tier: "blocks in trees", compilation: "entries", trials: treeTrials, runs: runs / 5 },
  { tier: "loops around computed jumps", compilation: "heat", trials: switchTrials, runs: runs / 50, fresh: true },
  { tier: "what gets hot, as --jit sync does", compilation: "heat", trials: hotTrials(14), runs: runs / 50 },
  { tier: "what gets hot, longer programs", compilation: "heat", trials: hotTrials(60), runs: runs / 100 },
] as const)("$tier", ({ compilation, trials, runs, ...rest }) => {
  it("leaves the same state as the interpreter", () => {
    const everyBudget = "budgets" in rest ? rest.budgets : 0;
    const fresh = "fresh" in rest;
    const pair = checkTiers({ runs, trials, compilation, fresh, everyBudget });
    console.log(`${runs} programs, ${pair.instructions} instructions, ${pair.regions} regions`);
    // Many programs in a loop fault too often to get hot.
    expect(pair.regions).toBeGreaterThan(compilation === "entries" ? runs / 2 : runs / 20);
  });
});

// Thousands of random programs through interpreter and compiled regions (fast-check prints the seed; XEN_TS_RUNS, XEN_TS_SEED),
// and the committed hardware vectors with each instruction compiled into a region.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { CpuMachine } from "../conformance/cpu-machine.js";
import { decodeVectors } from "../conformance/format.js";
import { Report } from "../conformance/run.js";
import { checkTiers } from "../cpu/jit/random-trial.js";

const runs = Number(process.env.XEN_TS_RUNS ?? 5000);
const seed = process.env.XEN_TS_SEED ? Number(process.env.XEN_TS_SEED) : undefined;

it.each([12, 60])("random programs of up to %i instructions leave the same state", (length) => {
  const pair = checkTiers(runs / 2, length, seed);
  console.log(`${runs / 2} programs, ${pair.instructions} instructions, ${pair.regions} regions`);
  expect(pair.regions).toBeGreaterThan(runs / 4);
});

it("committed hardware vectors agree when compiled", () => {
  const filter = new RegExp(process.env.XEN_TS_FORMS ?? "");
  const count = Number(process.env.XEN_TS_VECTORS ?? 6);
  const file = readFileSync(new URL("../conformance/vectors.bin.br", import.meta.url));
  let machine = new CpuMachine({ jit: true });
  let compiled = 0;
  const report = new Report();
  for (const { name, vectors } of decodeVectors(file)) {
    if (!filter.test(name)) continue;
    if (machine.regions > 10_000) {
      compiled += machine.regions;
      machine = new CpuMachine({ jit: true });
    }
    report.run(machine, name, [...vectors].slice(0, count));
  }
  compiled += machine.regions;
  console.log(`${report.summary()}; ${compiled} regions`);
  if (report.failedVectors > 0) console.log(report.text().split("\n").slice(0, 100).join("\n"));
  // 32-bit forms and lone branches make no region.
  expect(compiled).toBeGreaterThan(report.forms / 3);
  expect(report.failedForms).toEqual([]);
});

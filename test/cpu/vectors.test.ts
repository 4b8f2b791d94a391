// The committed vectors: what a real processor made of random states, form by form (test/conformance/README.md).
// Here a part of each form's, to stay within seconds; test/slow/hardware-vectors.test.ts runs all. XEN_TS_VECTORS: how many.
// XEN_TS_FORMS filters form names; XEN_TS_REPORT names a file for the full report.
import { readFileSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { CpuMachine } from "../conformance/cpu-machine.js";
import { decodeVectors } from "../conformance/format.js";
import { Report } from "../conformance/run.js";

const filter = new RegExp(process.env.XEN_TS_FORMS ?? "");
const count = Number(process.env.XEN_TS_VECTORS ?? 10);

it("committed hardware vectors agree", { timeout: 60_000 }, () => {
  const machine = new CpuMachine();
  const report = new Report();
  const file = readFileSync(new URL("../conformance/vectors.bin.br", import.meta.url));
  for (const { name, vectors } of decodeVectors(file))
    if (filter.test(name)) report.run(machine, name, [...vectors].slice(0, count));
  console.log(report.summary());
  const output = process.env.XEN_TS_REPORT;
  if (output) writeFileSync(output, `${report.text()}\n`);
  if (report.failedVectors > 0) console.log(report.text().split("\n").slice(0, 100).join("\n"));
  expect(report.forms).toBeGreaterThan(0);
  expect(report.failedForms).toEqual([]);
});

// Every implemented instruction form against the processor of this machine: fresh random states each run. Where the native
// harness can't run, the whole committed set.
// In both tiers: interpreted, and with each 64-bit instruction compiled into a region with a NOP (a part of the vectors).
// XEN_TS_FORMS: regular expression over form names ("^ADD ", "\\| 32 \\|"). XEN_TS_SEED: seed of the draw.
// XEN_TS_VECTORS: vectors a form (100). XEN_TS_REPORT: file for the full report.
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CpuMachine } from "../conformance/cpu-machine.js";
import { decodeVectors } from "../conformance/format.js";
import { listForms } from "../conformance/forms.js";
import { generate, type Vector } from "../conformance/generate.js";
import { NativeProcessor } from "../conformance/native.js";
import { Report } from "../conformance/run.js";
import { seed } from "../support/seed.js";

const filter = new RegExp(process.env.XEN_TS_FORMS ?? "");
/** A machine is made anew after so many regions: their slots aren't given back. */
const MAX_REGIONS = 10_000;

function* committed(count: number): Generator<{ name: string; vectors: Iterable<Vector> }> {
  const file = readFileSync(new URL("../conformance/vectors.bin.br", import.meta.url));
  for (const { name, vectors } of decodeVectors(file))
    if (filter.test(name)) yield { name, vectors: [...vectors].slice(0, count) };
}

function* fresh(processor: NativeProcessor, count: number): Generator<{ name: string; vectors: Iterable<Vector> }> {
  const forms = listForms().filter((form) => filter.test(form.name));
  for (const { form, vectors } of generate(processor, forms, count, seed)) yield { name: form.name, vectors };
}

describe.each([
  { tier: "interpreted", jit: false, count: Number(process.env.XEN_TS_VECTORS ?? 100) },
  { tier: "every instruction compiled", jit: true, count: Number(process.env.XEN_TS_VECTORS ?? 6) },
])("hardware vectors, $tier", ({ jit, count }) => {
  it(`agree with the processor, or the committed ones where it can't be asked (XEN_TS_SEED=${seed})`, () => {
    const native = NativeProcessor.open();
    const source = typeof native === "string" ? committed(count) : fresh(native, count);
    let machine = new CpuMachine({ jit });
    let compiled = 0;
    const report = new Report();
    for (const { name, vectors } of source) {
      if (machine.regions > MAX_REGIONS) {
        compiled += machine.regions;
        machine = new CpuMachine({ jit });
      }
      report.run(machine, name, vectors);
    }
    compiled += machine.regions;
    if (typeof native !== "string") native[Symbol.dispose]();
    const origin = typeof native === "string" ? `committed (${native})` : `XEN_TS_SEED=${seed}`;
    console.log(`${origin}: ${report.summary()}; ${compiled} regions`);
    const file = process.env.XEN_TS_REPORT;
    if (file) writeFileSync(jit ? `${file}.compiled` : file, `${origin}\n${report.text()}\n`);
    if (report.failedVectors > 0) console.log(report.text().split("\n").slice(0, 200).join("\n"));
    expect(report.forms).toBeGreaterThan(0);
    // 32-bit forms and lone branches make no region.
    if (jit) expect(compiled).toBeGreaterThan(report.forms / 3);
    expect(report.failedForms).toEqual([]);
  });
});

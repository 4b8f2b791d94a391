// Every implemented instruction form against the processor of this machine: fresh random states each run. Where the native
// harness can't run, the whole committed set.
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

const native = NativeProcessor.open();
const filter = new RegExp(process.env.XEN_TS_FORMS ?? "");
const count = Number(process.env.XEN_TS_VECTORS ?? 100);
const seed = Number(process.env.XEN_TS_SEED ?? Math.floor(Math.random() * 2 ** 32));

function* committed(): Generator<{ name: string; vectors: Iterable<Vector> }> {
  const file = readFileSync(new URL("../conformance/vectors.bin.br", import.meta.url));
  for (const form of decodeVectors(file)) if (filter.test(form.name)) yield form;
}

function* fresh(processor: NativeProcessor): Generator<{ name: string; vectors: Iterable<Vector> }> {
  const forms = listForms().filter((form) => filter.test(form.name));
  for (const { form, vectors } of generate(processor, forms, count, seed)) yield { name: form.name, vectors };
}

describe("hardware vectors", () => {
  it(
    typeof native === "string" ? `committed ones agree (${native})` : `agree with the processor (XEN_TS_SEED=${seed})`,
    () => {
      const machine = new CpuMachine();
      const report = new Report();
      for (const { name, vectors } of typeof native === "string" ? committed() : fresh(native))
        report.run(machine, name, vectors);
      if (typeof native !== "string") native[Symbol.dispose]();
      console.log(`XEN_TS_SEED=${seed}: ${report.summary()}`);
      const file = process.env.XEN_TS_REPORT;
      if (file) writeFileSync(file, `XEN_TS_SEED=${seed}\n${report.text()}\n`);
      if (report.failedVectors > 0) console.log(report.text().split("\n").slice(0, 200).join("\n"));
      expect(report.forms).toBeGreaterThan(0);
      expect(report.failedForms).toEqual([]);
    },
  );
});

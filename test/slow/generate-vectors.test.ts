// Writes the committed vectors anew: XEN_TS_GENERATE=1 npx vitest run test/slow/generate-vectors.test.ts
// Without that variable it only checks that the file format keeps every bit of some fresh vectors.
import { writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decodeVectors, encodeVectors, type FormVectors } from "../conformance/format.js";
import { listForms } from "../conformance/forms.js";
import { generate } from "../conformance/generate.js";
import { NativeProcessor } from "../conformance/native.js";

const native = NativeProcessor.open();
const write = process.env.XEN_TS_GENERATE !== undefined;
const SEED = 20261121;

const COUNT = 100;

describe.skipIf(typeof native === "string")("vector file", () => {
  it(write ? "is written" : "keeps vectors", () => {
    if (typeof native === "string") throw new Error(native);
    using processor = native;
    const chosen = listForms().filter((_, i) => write || i % 97 === 0);
    const forms: FormVectors[] = [];
    for (const { form, vectors } of generate(processor, chosen, write ? COUNT : 10, SEED))
      forms.push({ name: form.name, mode: form.mode, vectors });
    const packed = encodeVectors(forms);
    const back = [...decodeVectors(packed)];
    expect(back.map(({ name }) => name)).toEqual(forms.map(({ name }) => name));
    back.forEach(({ vectors }, i) => {
      [...vectors].forEach((vector, k) => {
        const original = forms[i]?.vectors[k];
        if (
          !original ||
          Buffer.compare(vector.input, original.input) !== 0 ||
          Buffer.compare(vector.expected, original.expected) !== 0 ||
          vector.memory.join() !== original.memory.join() ||
          JSON.stringify(vector.mask) !== JSON.stringify(original.mask)
        )
          throw new Error(`${forms[i]?.name}: vector ${k} (seed ${vector.seed}) changed in the file`);
      });
    });
    const total = forms.reduce((sum, { vectors }) => sum + vectors.length, 0);
    console.log(`${forms.length} forms, ${total} vectors, ${packed.length} bytes`);
    if (write) {
      expect(packed.length).toBeLessThan(5_000_000);
      writeFileSync(new URL("../conformance/vectors.bin.br", import.meta.url), packed);
    }
  });
});

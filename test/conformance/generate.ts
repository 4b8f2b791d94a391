// Draws cases for forms, has the real processor execute them, and keeps the results whose destination is defined.
import { applyMask, changedBytes, normaliseNative } from "./compare.js";
import { definedPart, type Mask } from "./defined.js";
import { decode, encodeForm, type Form } from "./forms.js";
import { CASE_SIZE, CODE_OFFSET, LENGTH_OFFSET, RESULT_SIZE, RIP_OFFSET } from "./layout.js";
import type { NativeProcessor } from "./native.js";
import { Random } from "./random.js";
import { Case, fillState } from "./random-state.js";
import { effectiveAddress, Steering, steer } from "./steer.js";

export interface Vector {
  readonly seed: number;
  /** Case record. */
  readonly input: Uint8Array;
  /** Register part of the result, mask applied. */
  readonly expected: Uint8Array;
  /** Changed bytes of memory: address, value pairs. */
  readonly memory: readonly number[];
  readonly mask: Mask;
}

/** FNV-1a, so that a form's seeds do not depend on its place in the list. */
export function hashName(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** One random case of a form, or undefined when no encoding was found. */
export function drawCase(form: Form, seed: number): Uint8Array | undefined {
  const target = new Case();
  fillState(target, seed, form.mode);
  const random = new Random(seed ^ 0x5bd1e995);
  const encoded = encodeForm(form, random, target.view.getBigUint64(RIP_OFFSET, true));
  if (!encoded) return undefined;
  target.bytes.set(encoded.bytes, CODE_OFFSET);
  target.bytes[LENGTH_OFFSET] = encoded.bytes.length;
  steer(new Steering(target, random, form.mode), encoded.instruction, encoded.decoder);
  encoded.instruction.free();
  encoded.decoder.free();
  return target.bytes;
}

function toVector(form: Form, seed: number, input: Uint8Array, result: Uint8Array): Vector | undefined {
  if (!normaliseNative(input, result)) return undefined;
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const code = input.subarray(CODE_OFFSET, CODE_OFFSET + (input[LENGTH_OFFSET] as number));
  const { instruction, decoder } = decode(code, form.mode, view.getBigUint64(RIP_OFFSET, true));
  const target = new Case();
  target.bytes.set(input);
  const address = effectiveAddress(new Steering(target, new Random(0), form.mode), instruction);
  const mask = definedPart(instruction, input, result, address);
  instruction.free();
  decoder.free();
  if (!mask) return undefined;
  const memory = changedBytes(result, mask);
  const expected = result.slice(0, CASE_SIZE);
  applyMask(expected, mask);
  return { seed, input, expected, memory, mask };
}

/** `count` vectors of each form (fewer only when the form can't be drawn that often). Forms without vectors are left out. */
export function* generate(
  native: NativeProcessor,
  forms: readonly Form[],
  count: number,
  baseSeed: number,
): Generator<{ form: Form; vectors: Vector[] }> {
  const chunk = Math.max(1, Math.floor(15000 / count));
  for (let start = 0; start < forms.length; start += chunk) {
    const part = forms.slice(start, start + chunk);
    const done = new Map<Form, Vector[]>(part.map((form) => [form, []]));
    let pending = part;
    for (let round = 0; round < 4 && pending.length > 0; round++) {
      const drawn: { form: Form; seed: number; input: Uint8Array }[] = [];
      for (const form of pending) {
        const missing = count - (done.get(form)?.length ?? 0);
        const first = (hashName(form.name) ^ Math.imul(baseSeed, 0x9e3779b1)) + round * 0x10000;
        for (let i = 0; i < missing + 8; i++) {
          const seed = (first + i) >>> 0;
          const input = drawCase(form, seed);
          if (input) drawn.push({ form, seed, input });
          else if (i >= 20 && drawn.at(-1)?.form !== form) break;
        }
      }
      const results = native.run(drawn.map(({ input }) => input));
      drawn.forEach(({ form, seed, input }, i) => {
        const vectors = done.get(form);
        if (!vectors || vectors.length >= count) return;
        const vector = toVector(form, seed, input, results.slice(i * RESULT_SIZE, (i + 1) * RESULT_SIZE));
        if (vector) vectors.push(vector);
      });
      pending = pending.filter((form) => (done.get(form)?.length ?? 0) < count);
    }
    for (const form of part) {
      const vectors = done.get(form) as Vector[];
      if (vectors.length > 0) yield { form, vectors };
    }
  }
}

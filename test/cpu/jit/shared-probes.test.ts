// Accesses that share a probe of the TLB, at the ends of pages and on pages with fewer rights, and the plans they come from.

import { describe, expect, test } from "vitest";
import { AddressForms } from "../../../src/cpu/jit/address-forms.js";
import { type Access, planProbes } from "../../../src/cpu/jit/shared-probes.js";
import { FunctionBuilder } from "../../../src/cpu/wasm/function-builder.js";
import { TierPair } from "./tiers.js";

/** Both tiers agree for every place of R8 around the ends of pages: plain ones, a read-only one, the supervisor's, an absent one. */
function agreeAtPageEnds(code: string, instructions: number, from = -24, step = 1): void {
  const pair = new TierPair();
  const bytes = Uint8Array.from(Buffer.from(`${code}f4`.replaceAll(" ", ""), "hex"));
  for (const end of [0x11000n, 0x20000n, 0x21000n, 0x22000n]) {
    for (let k = from; k < 16; k += step) {
      const registers = Array.from({ length: 16 }, (_, i) => (i === 8 ? end + BigInt(k) : 0x12340n + BigInt(i)));
      registers[4] = 0x15000n;
      // The TLB is warm in every second trial.
      for (let i = 0; i < 2; i++) {
        const trial = { program: { bytes, starts: [0] }, registers, budgets: [100], limit: instructions };
        expect(pair.compare(trial), `R8 ${registers[8]!.toString(16)}`).toBeUndefined();
      }
    }
  }
  expect(pair.regions).toBeGreaterThan(100);
}

test("reads and writes around one register", () => {
  // mov rax, [r8]; add rax, [r8+8]; mov [r8+16], rax; add r8, 4; mov [r8], cl
  agreeAtPageEnds("49 8b 00 49 03 40 08 49 89 40 10 49 83 c0 04 41 88 08", 6);
});

test("pushes and pops on a stack that ends", () => {
  // mov rsp, r8; push rax; push rcx; pop rdx; mov rbx, [rsp]
  agreeAtPageEnds("4c 89 c4 50 51 5a 48 8b 1c 24", 6);
});

test("vectors that must be aligned, once and in a loop", () => {
  // movaps xmm0, [r8]; movaps [r8+16], xmm0
  agreeAtPageEnds("41 0f 28 00 41 0f 29 40 10", 3, -48);
  // mov ecx, 9; paddb xmm0, [r8]; movaps [r8+32], xmm0; add r8, 16; dec ecx; jnz
  agreeAtPageEnds("b9 09 00 00 00 66 41 0f fc 00 41 0f 29 40 20 49 83 c0 10 ff c9 75 ee", 46, -176, 8);
});

test("a table that a byte indexes", () => {
  // movzx eax, cl; mov edx, [r8+rax*4]; movzx eax, dl; mov [r8+rax*4], ecx; shr ecx, 28; add edx, [r8+rcx*4+8]
  agreeAtPageEnds("0f b6 c1 41 8b 14 80 0f b6 c2 41 89 0c 80 c1 e9 1c 41 03 54 88 08", 7, -1100, 27);
});

test("a register that a repeated instruction leaves alone when its count is zero", () => {
  // mov ecx, 0; rep movsq; add [r8+rcx-32], al; add [r8+rcx-16], al
  agreeAtPageEnds("b9 00 00 00 00 f3 48 a5 41 00 44 08 e0 41 00 44 08 f0", 5);
});

describe("a block that leads to itself", () => {
  test("upwards", () => {
    // mov ecx, 30; mov eax, [r8]; add [r8+8], eax; add r8, 4; dec ecx; jnz
    agreeAtPageEnds("b9 1e 00 00 00 41 8b 00 41 01 40 08 49 83 c0 04 ff c9 75 f1", 151, -160, 7);
  });
  test("downwards, beside a place that stays", () => {
    // mov ecx, 12; mov al, [r8]; add [rsp], al; sub r8, 5; dec ecx; jnz
    agreeAtPageEnds("b9 0c 00 00 00 41 8a 00 00 04 24 49 83 e8 05 ff c9 75 f2", 61, -40, 3);
  });
  test("by an index", () => {
    // mov ecx, 20; mov [r8+rcx*4], cx; dec rcx; jnz
    agreeAtPageEnds("b9 14 00 00 00 66 41 89 0c 88 48 ff c9 75 f6", 61, -90, 5);
  });
  test("by steps that aren't known", () => {
    // mov ecx, 9; add [r8], ecx; add [r8+4], cl; lea r8, [r8+rcx]; dec rcx; jnz
    agreeAtPageEnds("b9 09 00 00 00 41 01 08 41 00 48 04 4d 8d 04 08 48 ff c9 75 f0", 46, -60, 3);
  });
});

describe("planProbes", () => {
  const f = new FunctionBuilder([]);
  const forms = new AddressForms(f);
  const [a, b, byte] = [f.local("i64"), f.local("i64"), f.local("i64")];
  forms.begin([a, b]);
  forms.assign(byte, f.and(f.get(f.local("i64")), f.i64(0xff)), true);
  const access = (address: Parameters<AddressForms["of"]>[0], bytes = 8, write = false, aligned = false): Access => {
    const form = forms.of(address);
    if (!form) throw new Error("nothing is known of the address");
    return { form, bytes, write, aligned, node: 0 };
  };

  test("what lies near one another shares a probe, whatever the order", () => {
    const at = (distance: number) => access(f.add(f.get(a), f.i64(distance)), 8, distance === 16);
    const plan = planProbes([at(16), undefined, at(-8), access(f.get(b))], []);
    expect(plan?.groups).toHaveLength(1);
    expect(plan?.groups[0]).toMatchObject({ offset: -8n, span: 32, write: true, table: false });
    expect(plan?.accesses).toEqual([
      { group: 0, distance: 24, aligned: false },
      undefined,
      { group: 0, distance: 0, aligned: false },
      undefined,
    ]);
  });
  test("what is to be aligned is asked for once, unless it can't be all", () => {
    const at = (distance: number) => access(f.add(f.get(a), f.i64(distance)), 16, false, true);
    const plan = planProbes([at(40), at(24), at(48)], []);
    expect(plan?.groups[0]).toMatchObject({ offset: 24n, aligned: 0 });
    expect(plan?.accesses.map((shared) => shared?.aligned)).toEqual([true, true, false]);
  });
  test("what lies far from one another does not", () => {
    expect(planProbes([access(f.get(a)), access(f.add(f.get(a), f.i64(400)))], [])).toBeUndefined();
  });
  test("a sum is the same however it was added up, until a part of it changes", () => {
    const sum = access(f.add(f.add(f.get(a), f.i64(8)), f.shl(f.get(b), f.i64(2))));
    const same = access(f.add(f.shl(f.get(b), f.i64(2)), f.get(a)));
    expect(planProbes([sum, same], [])?.groups[0]).toMatchObject({ offset: 0n, span: 16 });
    forms.assign(b, f.mul(f.get(b), f.get(b)), true);
    expect(forms.of(f.add(f.get(a), f.get(b)))).toBeUndefined();
  });
  test("counts of shifts are taken modulo 64, or 32", () => {
    const shifted = (by: number) => access(f.shl(f.add(f.get(a), f.i64(8)), f.i64(by)));
    const narrow = access(f.add(f.get(a), f.extendU(f.shl(f.wrap(f.get(byte)), f.i32(34)))));
    expect(shifted(65).form).toEqual({ ...shifted(1).form, offset: 16n });
    expect(narrow.form.range).toBe(4n * 255n);
  });
  test("of a block that leads to itself, single accesses have places too when they lie near the last ones", () => {
    const forms = new AddressForms(f);
    forms.begin([a, b]);
    forms.assign(a, f.add(f.get(a), f.i64(-8)), true);
    const [here, there] = [forms.of(f.get(a))!, forms.of(f.add(f.get(b), f.shl(f.get(a), f.i64(1))))!];
    const plan = planProbes(
      [here, there].map((form) => ({ form, bytes: 8, write: false, aligned: false, node: 0 })),
      [forms.strides],
    );
    expect(plan?.groups.map(({ strides }) => strides)).toEqual([[-8], [-16]]);
    forms.assign(a, f.add(f.get(a), f.i64(-4096)), true);
    expect(
      planProbes([{ form: here, bytes: 8, write: false, aligned: false, node: 0 }], [forms.strides]),
    ).toBeUndefined();
  });
  test("an entry of a table has a group of its own", () => {
    const plan = planProbes([access(f.add(f.get(a), f.shl(f.get(byte), f.i64(2))), 4)], []);
    expect(plan?.groups[0]).toMatchObject({ offset: 0n, span: 1024, table: true });
    expect(plan?.accesses).toEqual([{ group: 0, distance: -1, aligned: false }]);
  });
});

// The handlers made before a guest starts: each word of the list names an instruction, each kind is what the decoder asks for, and
// the instructions that kernels and programs are made of find theirs made.

import { expect, test } from "vitest";
import { Engine } from "../../src/cpu/engine.js";
import { DEFAULT_FEATURES } from "../../src/cpu/features.js";
import { COMMON_OPERATIONS, commonHandlers } from "../../src/cpu/interpreter/common-handlers.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";

function engine(): Engine {
  const memory = new MachineMemory({ frames: 16, engineBytes: 12 << 20 });
  return new Engine(memory, { features: DEFAULT_FEATURES, codeBytes: 6 << 20 });
}

test("each operation of the list is an instruction's", () => {
  const { decoder } = engine();
  const known = new Set(decoder.forms.map((form) => form.semantics));
  expect([...COMMON_OPERATIONS].filter((name) => !known.has(name))).toEqual([]);
});

test("no kind comes twice", () => {
  const { decoder } = engine();
  const kinds = [...commonHandlers(decoder.forms)].map((k) => `${k.form.id} ${k.addressForm} ${k.rep}`);
  expect(new Set(kinds).size).toBe(kinds.length);
});

test("ordinary code needs no handler beyond those, and preparing twice makes none anew", () => {
  const one = engine();
  one.prepareGuests();
  const { count } = one.handlers;
  one.prepareGuests();
  expect(one.handlers.count).toBe(count);
  // push rbp; mov rbp, rsp; mov eax, [rdi+8]; add rax, [rsi+rcx*8]; lock inc dword [gs:rdx]; lea rdx, [rip+16]; cmp eax, 5;
  // jne +2; sete al; cmovb eax, ecx; rep movsb; rep stosq; movups xmm0, [rsi]; pxor xmm1, xmm0; imul rax, rcx; leave; ret
  const code =
    "55 4889e5 8b4708 480304ce f065ff02 488d1510000000 83f805 7502 0f94c0 0f42c1 f3a4 f348ab 0f1006 660fefc8 480fafc1 c9 c3";
  one.memory.write(0x3000, Uint8Array.from(Buffer.from(code.replaceAll(" ", ""), "hex")));
  const page = one.cache.page(3, 2);
  one.predecoder.decode(page, 0, () => undefined);
  expect(one.predecoder.instructions).toBeGreaterThan(10);
  expect(one.handlers.count).toBe(count);
});

test("handlers saved in one engine and loaded in another are the same, number for number", () => {
  const [made, loaded] = [engine(), engine()];
  const prepared = engine().saveCommonHandlers();
  made.prepareGuests();
  loaded.prepareGuests(() => prepared);
  expect(loaded.handlers.count).toBe(made.handlers.count);
  for (const kind of commonHandlers(made.decoder.forms)) {
    const slot = made.handlers.slotFor(kind);
    expect(loaded.handlers.slotFor(kind)).toBe(slot);
    expect(loaded.handlers.ends(slot)).toBe(made.handlers.ends(slot));
    expect(loaded.handlers.flow(slot)).toBe(made.handlers.flow(slot));
  }
  expect(loaded.handlers.count).toBe(made.handlers.count);
});

test("handlers made for other forms are not taken, nor any when there are some already", () => {
  const { decoder, handlers } = engine();
  const prepared = engine().saveCommonHandlers();
  expect(handlers.load({ ...prepared, forms: decoder.forms.length + 1 })).toBe(false);
  expect(handlers.load(prepared)).toBe(true);
  expect(handlers.load(prepared)).toBe(false);
});

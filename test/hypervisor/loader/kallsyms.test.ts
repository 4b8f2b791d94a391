// Linux's packed symbol table, in the layouts of several kernel versions. Real kernels' tables: test/guests/profile.test.ts.

import { expect, test } from "vitest";
import { parseElf } from "../../../src/hypervisor/loader/elf.js";
import { readKallsyms } from "../../../src/hypervisor/loader/kallsyms.js";
import { buildElf, concat, number } from "./build-image.js";

const TEXT = 0xffffffff81000000n;
const ascii = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
const words = (values: readonly number[]) => new Uint8Array(Int32Array.from(values).buffer);
const padded = (...parts: Uint8Array[]) => concat(parts, 8);

interface TestSymbol {
  readonly name: string;
  /** From TEXT; negative: a per-CPU symbol at that absolute address. */
  readonly offset: number;
}

/** Token 1 stands for "sys_", token 2 for "_of_the_kernel"; printable characters for themselves. */
function tables(symbols: readonly TestSymbol[], layout: "6.1" | "6.2" | "6.12"): Uint8Array {
  const tokens = Array.from({ length: 256 }, (_, i) => (i > 32 && i < 127 ? String.fromCharCode(i) : `token${i}`));
  [tokens[0], tokens[1], tokens[2]] = ["T", "sys_", "_of_the_kernel"];
  const packed = symbols.map(({ name }) => {
    const short = name.replace("sys_", "\x01").replace("_of_the_kernel", "\x02");
    const bytes = [0, ...ascii(short)];
    const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7];
    return Uint8Array.from([...length, ...bytes]);
  });
  const markers: number[] = [];
  packed.reduce((at, name, index) => {
    if (index % 256 === 0) markers.push(at);
    return at + name.length;
  }, 0);
  const index: number[] = [];
  tokens.reduce((at, token) => {
    index.push(at);
    return at + token.length + 1;
  }, 0);
  const offsets = padded(words(symbols.map(({ offset }) => (offset < 0 ? -offset : -1 - offset))));
  const base = number(TEXT);
  const sequence = padded(new Uint8Array(3 * symbols.length).fill(7));
  const names = padded(words([symbols.length, 0]), concat(packed));
  const texts = padded(
    concat(tokens.map((token) => ascii(`${token}\0`))),
    new Uint8Array(Uint16Array.from(index).buffer),
  );
  const own = padded(words(markers));
  if (layout === "6.12") return padded(names, own, texts, offsets, base, sequence);
  return padded(offsets, base, names, own, ...(layout === "6.2" ? [sequence] : []), texts);
}

const kernel = (contents: Uint8Array) =>
  parseElf(buildElf({ segments: [{ paddr: 0n, vaddr: TEXT, contents }] }), "kernel");

const SYMBOLS: TestSymbol[] = Array.from({ length: 600 }, (_, i) => ({ name: `sys_number${i}`, offset: 32 * i }));
SYMBOLS[7] = { name: "percpu", offset: -0x1000 };
SYMBOLS[300] = { name: `a_long_name_${"x".repeat(200)}_of_the_kernel`, offset: 32 * 300 };

test.each(["6.1", "6.2", "6.12"] as const)("the layout of Linux %s", (layout) => {
  const code = new Uint8Array(4096).fill(0x90);
  const symbols = readKallsyms(kernel(padded(code, tables(SYMBOLS, layout), code)));
  expect(symbols).toHaveLength(SYMBOLS.length - 1);
  expect(symbols[0]).toEqual({ name: "sys_number0", address: TEXT, size: 32n });
  expect(symbols[7]).toEqual({ name: "sys_number8", address: TEXT + 256n, size: 32n });
  expect(symbols[299]!.name).toBe(SYMBOLS[300]!.name);
  expect(symbols.at(-1)).toEqual({ name: "sys_number599", address: TEXT + 32n * 599n, size: 0n });
});

test("a kernel without one, and one that was cut or changed", () => {
  expect(readKallsyms(kernel(new Uint8Array(5000)))).toEqual([]);
  const whole = tables(SYMBOLS, "6.1");
  for (let length = 0; length < whole.length; length += 501)
    expect(readKallsyms(kernel(whole.subarray(0, length)))).toEqual([]);
  for (let at = 0; at < whole.length; at += 97) {
    const changed = Uint8Array.from(whole);
    changed[at]! ^= 0xff;
    expect(readKallsyms(kernel(changed)).length).toBeLessThanOrEqual(SYMBOLS.length);
  }
});

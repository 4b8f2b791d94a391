// REP STOS of zeros over whole pages, as kernels clear memory.

import { expect, test } from "vitest";
import { ExitKind } from "../../src/cpu/exit.js";
import { Reg } from "../../src/cpu/state-layout.js";
import { flatMachine } from "./flat-machine.js";

const PAGE = 4096;
/** rep stosb, stosw, stosd, stosq; hlt */
const forms: readonly (readonly [bytes: number, code: readonly number[]])[] = [
  [1, [0xf3, 0xaa, 0xf4]],
  [2, [0x66, 0xf3, 0xab, 0xf4]],
  [4, [0xf3, 0xab, 0xf4]],
  [8, [0xf3, 0x48, 0xab, 0xf4]],
];

function machine(frames: number) {
  const { memory, cpu } = flatMachine(frames);
  /** Stores elements of zeros from `at` on. */
  const clear = (code: readonly number[], at: number, elements: number) => {
    memory.write(0x1000, Uint8Array.from(code));
    cpu.state.rip = 0x1000n;
    cpu.state.setGpr(Reg.RAX, 0n);
    cpu.state.setGpr(Reg.RDI, BigInt(at));
    cpu.state.setGpr(Reg.RCX, BigInt(elements));
    expect(cpu.run(1_000_000).kind).toBe(ExitKind.Halt);
    expect(cpu.state.gpr(Reg.RCX)).toBe(0n);
    return Number(cpu.state.gpr(Reg.RDI));
  };
  return { memory, clear };
}

test.each(forms)(
  "stores of %i bytes clear a page wherever something stands in it, and nothing around it",
  (bytes, code) => {
    const { memory, clear } = machine(64);
    const at = 0x8000;
    for (const place of [0, 7, 8, 56, 63, 64, 2047, 2048, PAGE - 64, PAGE - 9, PAGE - 1]) {
      memory.fill(at - 1, 1, 0xee);
      memory.fill(at, 2 * PAGE);
      memory.fill(at + 2 * PAGE, 1, 0xee);
      memory.fill(at + place, 1, 0x80);
      memory.fill(at + PAGE + place, 1, 1);
      expect(clear(code, at, (2 * PAGE) / bytes)).toBe(at + 2 * PAGE);
      expect(memory.bytes(at, 2 * PAGE).findIndex((byte) => byte !== 0)).toBe(-1);
      expect([memory.readU8(at - 1), memory.readU8(at + 2 * PAGE)]).toEqual([0xee, 0xee]);
    }
  },
);

// What reads of such pages give differs elsewhere.
test.runIf(process.platform === "linux")("clearing what nobody wrote to takes no memory of the host's", () => {
  const size = 64 << 20;
  const at = 1 << 20;
  const { clear } = machine((at + size) / PAGE);
  clear(forms[3]![1], 0x8000, PAGE / 8);
  const before = process.memoryUsage.rss();
  clear(forms[3]![1], at, size / 8);
  expect(process.memoryUsage.rss() - before).toBeLessThan(size / 4);
});

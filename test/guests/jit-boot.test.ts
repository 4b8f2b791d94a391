// A deterministic boot of Debian's kernel as dom0 to its shell takes the same course with and without compiled regions, and with those
// that an earlier boot left in a translation cache: every exit of the CPU in the same state after the same number of instructions, and when the shell reports the same memory.

import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Cpu } from "../../src/cpu/cpu.js";
import * as S from "../../src/cpu/state-layout.js";
import { createXenHost } from "../../src/index.js";
import { testImage } from "../support/image.js";

const BOOT_MS = 200_000;
/** General registers, and what the layout puts beside them. */
const STATE_BYTES = 128;

interface Course {
  readonly instructions: number;
  readonly exits: number;
  /** Of all exits: counts, kinds, RIP, RFLAGS, registers. */
  readonly exitHash: number;
  readonly memory: string;
  readonly regions: number;
  readonly recalled: number;
}

async function boot(jit: boolean, translationCache: string | false = false): Promise<Course> {
  const image = await testImage("bookworm");
  const original = Cpu.prototype.run;
  let exits = 0;
  let exitHash = 0;
  let text = "";
  let last: Cpu | undefined;
  let course: Course | undefined;
  const fold = (value: number) => {
    exitHash = (Math.imul(exitHash, 31) + value) | 0;
  };
  // Watches each exit; the run itself is the real one.
  Cpu.prototype.run = function (this: Cpu, budget: number) {
    last = this;
    const exit = original.call(this, budget);
    const { state } = this;
    exits++;
    for (const value of [this.instructions | 0, exit.kind, exit.vector, state.u32(S.RIP), Number(state.rflags)])
      fold(value);
    const registers = state.bytes(S.GPR, STATE_BYTES);
    for (const byte of registers) fold(byte);
    return exit;
  };
  const host = await createXenHost({ memory: "400M", deterministic: true, jit, translationCache });
  try {
    const dom0 = await host.createDomain({
      kernel: image.kernel,
      ramdisk: image.initrd,
      memory: "384M",
      privileged: true,
      cmdline: "console=hvc0",
    });
    dom0.console.onData((bytes) => {
      text = (text + Buffer.from(bytes).toString()).slice(-64);
      if (course || !last || !text.includes("SHELL-READY")) return;
      course = {
        instructions: last.instructions,
        exits,
        exitHash,
        memory: createHash("sha256").update(last.memory.u8).digest("hex"),
        regions: last.engine.jit?.regions ?? 0,
        recalled: last.engine.jit?.recalled ?? 0,
      };
    });
    await dom0.waitForShell({ timeout: BOOT_MS });
  } finally {
    await host.close();
    Cpu.prototype.run = original;
  }
  if (!course) throw new Error(`no shell seen: ${JSON.stringify(text)}`);
  return course;
}

test("a boot is the same with the JIT on and off, and with what an earlier one left", {
  timeout: 3 * BOOT_MS,
}, async () => {
  const directory = mkdtempSync(join(tmpdir(), "xen-ts-jit-boot-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const { regions, recalled: unknown, ...compiled } = await boot(true, directory);
  const { regions: warm, recalled, ...again } = await boot(true, directory);
  const { regions: none, recalled: nothing, ...interpreted } = await boot(false);
  console.log(
    `${compiled.instructions} instructions, ${compiled.exits} exits, ${regions} regions, ${unknown} known; then ${warm}, ${recalled}`,
  );
  expect(regions).toBeGreaterThan(100);
  expect(recalled).toBeGreaterThan(100);
  expect(recalled).toBeGreaterThan(2 * unknown);
  expect([none, nothing]).toEqual([0, 0]);
  expect(compiled).toEqual(interpreted);
  expect(again).toEqual(interpreted);
});

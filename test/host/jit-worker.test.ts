// What happens where the compiler's thread can't start: run from the sources, there is no compiled file for it.

import { expect, test } from "vitest";
import { JitWorker } from "../../src/host/jit-worker.js";
import { CODE, Tier } from "../cpu/jit/tiers.js";

test("without a thread, code is compiled in the foreground, and the log says so", async () => {
  const service = new JitWorker();
  const lines: string[] = [];
  const tier = new Tier({ service, log: (line) => lines.push(line) });
  // l: add eax, 3; dec ecx; jnz l; hlt, a fault at CPL 3
  const bytes = Uint8Array.from(Buffer.from("83c003ffc975f9f4", "hex"));
  tier.load(
    { bytes, starts: [] },
    Array.from({ length: 16 }, (_, i) => (i === 1 ? 60_000n : 0n)),
  );
  tier.cpu.run(120_000);
  while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(lines[0]).toMatch(/^jit: compiling in the background failed, going on without: .*jit-worker-thread\.js/);
  expect(tier.cpu.engine.jit!.regions).toBe(1);
  tier.cpu.run(1_000_000);
  expect([tier.cpu.state.gpr(0), tier.cpu.state.rip]).toEqual([180_000n, BigInt(CODE + 7)]);
  await service.close();
});

// The compiler's worker thread as the package has it: results, sharing, its end.

import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { idleRuntime } from "../../src/cpu/interpreter/runtime-imports.js";
import type { CodeTier, CompiledRegions } from "../../src/cpu/jit/region-module.js";
import type { RegionRequest } from "../../src/cpu/jit/request.js";
import type { JitWorker } from "../../src/host/jit-worker.js";
import { enableHints } from "../../src/host/v8-flags.js";
import { CODE, Tier } from "../cpu/jit/tiers.js";

const built = resolve(import.meta.dirname, "../../dist/src/host/jit-worker.js");
const { JitWorker: BuiltJitWorker }: { JitWorker: new () => JitWorker } = await import(built);

/** l: add eax, 3; dec ecx; jnz l; hlt, a fault at CPL 3: a machine that has run it until it's hot. */
function hotMachine(service: JitWorker): Tier {
  const tier = new Tier({ service });
  const bytes = Uint8Array.from(Buffer.from("83c003ffc975f9f4", "hex"));
  tier.load(
    { bytes, starts: [] },
    Array.from({ length: 16 }, (_, i) => (i === 1 ? 60_000n : 0n)),
  );
  tier.cpu.run(120_000);
  return tier;
}

async function finishes(tier: Tier): Promise<void> {
  const jit = tier.cpu.engine.jit!;
  while (jit.regions === 0) await new Promise((next) => setTimeout(next, 5));
  tier.cpu.run(1_000_000);
  expect([tier.cpu.state.gpr(0), tier.cpu.state.rip]).toEqual([180_000n, BigInt(CODE + 7)]);
}

test("regions compiled by the thread run; hosts share it, and a new one starts after the last is closed", async () => {
  const [first, second] = [new BuiltJitWorker(), new BuiltJitWorker()];
  const [a, b] = [hotMachine(first), hotMachine(second)];
  await first.close();
  await finishes(b);
  expect(a.cpu.engine.jit!.regions).toBe(0);
  await second.close();
  const third = new BuiltJitWorker();
  await finishes(hotMachine(third));
  await third.close();
});

/** So many times mov rbx, [rbx]. */
function region(count: number): RegionRequest {
  const ways = {
    fallThrough: { at: 3 * count, block: -1, record: -1, table: -1 },
    target: undefined,
    returnTo: undefined,
  };
  const bytes = new Uint8Array(3 * count).map((_, i) => [0x48, 0x8b, 0x1b][i % 3]!);
  return {
    blocks: [{ at: 0, bytes, records: 0, count, crosses: -1, ...ways, jumps: [], behindCalls: [] }],
    entries: [0],
  };
}

test("quick code doesn't wait for what is being optimized", async () => {
  const service = new BuiltJitWorker();
  if (!service.hasTiers) return;
  const order: CodeTier[] = [];
  const compile = (count: number, tier: CodeTier) =>
    new Promise<void>((done, fail) =>
      service.compile([region(count)], tier, (result) => {
        if (result instanceof Error) return fail(result);
        expect(result.sizes[0]).toBeGreaterThan(30 * count);
        order.push(tier);
        done();
      }),
    );
  await Promise.all([compile(1300, "optimized"), compile(2, "quick")]);
  expect(order).toEqual(["quick", "optimized"]);
  await service.close();
});

test("a function is optimized where it is: in the module that came from the thread, after quick code", async () => {
  const service = new BuiltJitWorker();
  if (!service.hasTiers) return;
  enableHints();
  const compile = (count: number) =>
    new Promise<CompiledRegions>((done, fail) =>
      service.compile([region(count), region(count + 1)], "quick", (result) =>
        result instanceof Error ? fail(result) : done(result),
      ),
    );
  const { module } = await compile(3);
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
  const { exports } = new WebAssembly.Instance(module, { e: { ...idleRuntime(), memory } });
  const states = () => [service.hasCode(exports["0"]), service.hasCode(exports["1"])];
  expect(states()).toEqual([false, false]);
  const order: string[] = [];
  const optimize = (index: number) =>
    new Promise<void>((done) =>
      service.optimize(module, index, (result) => {
        expect(result).toEqual({ unit: undefined });
        order.push(`optimized ${index}`);
        done();
      }),
    );
  const first = optimize(1);
  await Promise.all([first, compile(5).then(() => order.push("compiled"))]);
  expect(order).toEqual(["compiled", "optimized 1"]);
  expect(states()).toEqual([false, true]);
  // Another's module.
  const other = new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
  await new Promise<void>((done) =>
    service.optimize(other, 0, (result) => {
      expect(result).toBeUndefined();
      done();
    }),
  );
  await service.close();
});

test("the thread doesn't keep the process alive", () => {
  const script = `import { JitWorker } from ${JSON.stringify(built)}; new JitWorker().start();
    await new Promise((next) => setTimeout(next, 500)); console.log("end");`;
  const result = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
    timeout: 30_000,
  });
  expect(result).toMatchObject({ status: 0, stdout: "end\n", stderr: "" });
});

test.skipIf(process.platform !== "linux")("what compiles in the background gives way to the guest's thread", () => {
  const lower = resolve(import.meta.dirname, "../../dist/src/cli/background-threads.js");
  const script = `import { JitWorker } from ${JSON.stringify(built)};
    import { lowerBackgroundThreads } from ${JSON.stringify(lower)};
    import { readdirSync } from "node:fs";
    import os from "node:os";
    const others = () => readdirSync("/proc/self/task").map(Number).filter((id) => id !== process.pid);
    lowerBackgroundThreads();
    new JitWorker().start();
    const end = Date.now() + 20_000;
    while (others().some((id) => os.getPriority(id) !== 10) && Date.now() < end) await new Promise((next) => setTimeout(next, 5));
    console.log(os.getPriority(process.pid), ...new Set(others().map((id) => os.getPriority(id))));`;
  const result = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
    timeout: 30_000,
  });
  expect(result).toMatchObject({ status: 0, stdout: "0 10\n" });
});

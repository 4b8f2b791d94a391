// When regions are compiled, installed and dropped: in the background, against changes of the code, within the cache's bound.

import { expect, test } from "vitest";
import { Decoder } from "../../../src/cpu/decode/decoder.js";
import type { JitOptions } from "../../../src/cpu/engine.js";
import { DEFAULT_FEATURES } from "../../../src/cpu/features.js";
import * as R from "../../../src/cpu/interpreter/record.js";
import {
  type CodeTier,
  type CompiledRegions,
  compileRegions,
  type OptimizedFunction,
  type RegionService,
} from "../../../src/cpu/jit/region-module.js";
import type { RegionRequest } from "../../../src/cpu/jit/request.js";
import { semantics } from "../../../src/cpu/semantics/index.js";
import { CODE, compileHere, Tier } from "./tiers.js";

/** Compiles when it's told to. */
class HeldService implements RegionService {
  readonly jobs: {
    requests: readonly RegionRequest[];
    tier: CodeTier;
    done: (result: CompiledRegions | Error) => void;
  }[] = [];
  readonly #decoder = new Decoder({ features: DEFAULT_FEATURES });
  largest = 0;

  readonly hasTiers: boolean;

  constructor(hasTiers = false) {
    this.hasTiers = hasTiers;
  }

  compile(requests: readonly RegionRequest[], tier: CodeTier, done: (result: CompiledRegions | Error) => void): void {
    this.jobs.push({ requests, tier, done });
    this.largest = Math.max(this.largest, requests.length);
  }

  /** Finishes what is there; finishing may bring more. */
  finish(): void {
    for (const { requests, done } of this.jobs.splice(0)) done(compileRegions(requests, this.#decoder, semantics));
  }
}

/** Optimizes functions where they are, when it's told to. */
class InPlaceService extends HeldService {
  readonly asked: {
    module: WebAssembly.Module;
    index: number;
    done: (result: OptimizedFunction | undefined) => void;
  }[] = [];

  constructor() {
    super(true);
  }

  optimize(module: WebAssembly.Module, index: number, done: (result: OptimizedFunction | undefined) => void): void {
    this.asked.push({ module, index, done });
  }
}

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
/** l: add eax, 3; dec ecx; jnz l; hlt */
const LOOP = hex("83 c0 03 ff c9 75 f9 f4");
const registers = Array.from({ length: 16 }, () => 0n);

function machine(jit: boolean | JitOptions, bytes: Uint8Array): Tier {
  const tier = new Tier(jit);
  tier.load({ bytes, starts: [] }, registers);
  return tier;
}

/** Runs the loop at `at` so many times around; returns EAX's sum. */
function loop(tier: Tier, times: number, at = CODE): number {
  const { cpu } = tier;
  cpu.state.rip = BigInt(at);
  cpu.state.setGpr(0, 0n);
  cpu.state.setGpr(1, BigInt(times));
  cpu.run(10 * times);
  return Number(cpu.state.gpr(0));
}

test("a region compiled in the background is installed when it arrives", () => {
  const service = new HeldService();
  const tier = machine({ service }, LOOP);
  const jit = tier.cpu.engine.jit!;
  expect(loop(tier, 40_000)).toBe(120_000);
  expect([service.jobs.length, jit.regions]).toEqual([1, 0]);
  // Nothing is compiled twice while it waits.
  expect(loop(tier, 40_000)).toBe(120_000);
  expect(service.jobs).toHaveLength(1);
  service.finish();
  expect(jit.regions).toBe(1);
  expect(loop(tier, 40_000)).toBe(120_000);
  expect(jit.outdated).toBe(0);
});

test("code that changed while it was compiled is not installed", () => {
  const service = new HeldService();
  const tier = machine({ service }, LOOP);
  const jit = tier.cpu.engine.jit!;
  loop(tier, 40_000);
  tier.memory.writeU8(CODE + 2, 5);
  service.finish();
  expect([jit.regions, jit.outdated]).toEqual([0, 1]);
  expect(loop(tier, 40_000)).toBe(200_000);
  // Changed and decoded again before the result arrives: the new records are not the old region's.
  tier.memory.writeU8(CODE + 2, 7);
  expect(loop(tier, 10)).toBe(70);
  service.finish();
  expect(jit.regions).toBe(0);
  expect(loop(tier, 1000)).toBe(7000);
});

test("a result from before all code was dropped is not installed", () => {
  const service = new HeldService();
  const tier = machine({ service }, LOOP);
  loop(tier, 40_000);
  tier.cpu.engine.dropCode();
  expect(loop(tier, 10)).toBe(30);
  service.finish();
  expect(tier.cpu.engine.jit!.regions).toBe(0);
  expect(loop(tier, 60_000)).toBe(180_000);
  service.finish();
  expect(tier.cpu.engine.jit!.regions).toBe(1);
  expect(loop(tier, 1000)).toBe(3000);
});

test("what arrives after close is not installed", () => {
  const service = new HeldService();
  const tier = machine({ service }, LOOP);
  loop(tier, 40_000);
  tier.cpu.engine.close();
  service.finish();
  expect(tier.cpu.engine.jit!.regions).toBe(0);
});

test("a service that fails is done without, with a line in the log", () => {
  const service = new HeldService();
  const lines: string[] = [];
  const tier = machine({ service, log: (line) => lines.push(line) }, LOOP);
  loop(tier, 40_000);
  service.jobs[0]!.done(new Error("no threads here"));
  expect(lines).toEqual(["jit: compiling in the background failed, going on without: no threads here"]);
  expect(tier.cpu.engine.jit!.regions).toBe(1);
  expect(loop(tier, 1000)).toBe(3000);
});

/** Finishes what a service is told until nothing is left; the tiers in that order. */
function finishAll(service: HeldService): CodeTier[] {
  const tiers: CodeTier[] = [];
  while (service.jobs.length > 0) {
    tiers.push(...service.jobs.map(({ tier }) => tier));
    service.finish();
  }
  return tiers;
}

/** The loop in slices of 1000 instructions. */
function inSlices(tier: Tier): number {
  tier.cpu.state.rip = BigInt(CODE);
  tier.cpu.state.setGpr(0, 0n);
  tier.cpu.state.setGpr(1, 10_000n);
  for (let i = 0; i < 40; i++) tier.cpu.run(1000);
  return Number(tier.cpu.state.gpr(0));
}

test("a region in which slices end is optimized, once", () => {
  const service = new HeldService(true);
  const tier = machine({ service }, LOOP);
  loop(tier, 40_000);
  expect(finishAll(service)).toEqual(["quick"]);
  const slices = () => inSlices(tier);
  expect(slices()).toBe(30_000);
  expect(finishAll(service)).toEqual(["optimized"]);
  expect(slices()).toBe(30_000);
  expect(service.jobs).toEqual([]);
  expect(tier.cpu.engine.jit!.installed.count).toBe(1);
  // A change while better code is on its way.
  tier.memory.writeU8(CODE + 2, 5);
  loop(tier, 40_000);
  expect(finishAll(service)).toEqual(["quick"]);
  expect(slices()).toBe(50_000);
  expect(service.jobs.map(({ tier: kind }) => kind)).toEqual(["optimized"]);
  tier.memory.writeU8(CODE + 2, 7);
  service.finish();
  expect([tier.cpu.engine.jit!.installed.count, slices()]).toEqual([0, 70_000]);
});

test("a small region is optimized where it is, and made anew when it goes on running", () => {
  const service = new InPlaceService();
  const tier = machine({ service }, LOOP);
  const jit = tier.cpu.engine.jit!;
  loop(tier, 40_000);
  const { module } = compileRegions(service.jobs[0]!.requests, new Decoder({ features: DEFAULT_FEATURES }), semantics);
  service.jobs.shift()!.done({ module, sizes: [1000] });
  const { bytes } = jit.installed;
  expect(inSlices(tier)).toBe(30_000);
  expect(service.asked).toMatchObject([{ module, index: 0 }]);
  expect(service.jobs).toEqual([]);
  // Asked once, while it waits and afterwards.
  expect(inSlices(tier)).toBe(30_000);
  service.asked.shift()!.done({ unit: undefined });
  expect(jit.installed.bytes).toBe(bytes + 2000);
  expect(inSlices(tier)).toBe(30_000);
  expect([service.asked, service.jobs]).toEqual([[], []]);
  for (let i = 0; i < 20; i++) expect(inSlices(tier)).toBe(30_000);
  expect(service.jobs.map(({ tier: kind }) => kind)).toEqual(["optimized"]);
  service.finish();
  for (let i = 0; i < 16; i++) expect(inSlices(tier)).toBe(30_000);
  expect([service.asked, service.jobs, jit.installed.count]).toEqual([[], [], 1]);
  tier.memory.writeU8(CODE + 2, 5);
  expect([jit.installed.count, jit.installed.bytes]).toEqual([0, 0]);
});

test("what was optimized where it is may have gone meanwhile", () => {
  const service = new InPlaceService();
  const tier = machine({ service }, LOOP);
  loop(tier, 40_000);
  service.finish();
  inSlices(tier);
  expect(service.asked).toHaveLength(1);
  tier.memory.writeU8(CODE + 2, 5);
  service.asked.shift()!.done({});
  expect([tier.cpu.engine.jit!.installed.count, tier.cpu.engine.jit!.installed.bytes]).toEqual([0, 0]);
  expect(inSlices(tier)).toBe(50_000);
  loop(tier, 40_000);
  service.finish();
  inSlices(tier);
  expect(service.asked).toHaveLength(1);
  tier.cpu.engine.close();
  service.asked.shift()!.done({});
  expect(service.jobs).toEqual([]);
});

test("where nothing can be optimized in place it's made anew", () => {
  const service = new InPlaceService();
  const tier = machine({ service }, LOOP);
  loop(tier, 40_000);
  service.finish();
  inSlices(tier);
  service.asked.shift()!.done(undefined);
  expect(inSlices(tier)).toBe(30_000);
  expect(finishAll(service)).toEqual(["optimized"]);
  expect(service.asked).toEqual([]);
  expect(inSlices(tier)).toBe(30_000);
});

test("a service that has no tiers is left to optimize on its own", () => {
  const service = new HeldService();
  const tier = machine({ service }, LOOP);
  for (let i = 0; i < 50; i++) loop(tier, 10_000);
  expect(finishAll(service)).toEqual(["auto"]);
});

const LOOPS = 48;
/** Loops on 12 pages, 1 KB apart, that add different numbers. */
function loops(tier: Tier): void {
  for (let i = 0; i < LOOPS; i++)
    tier.memory.write(
      0x12000 + 1024 * i,
      Uint8Array.from(LOOP, (b, at) => (at === 2 ? i : b)),
    );
}

test("several hot places make one module, of a bounded size", () => {
  const service = new HeldService();
  const tier = machine({ service }, LOOP);
  loops(tier);
  for (let i = 0; i < LOOPS; i++) expect(loop(tier, 20_000, 0x12000 + 1024 * i)).toBe(20_000 * i);
  while (service.jobs.length > 0) service.finish();
  const jit = tier.cpu.engine.jit!;
  expect(jit.regions).toBe(LOOPS);
  expect(jit.modules).toBeLessThan(LOOPS / 8);
  expect(service.largest).toBeLessThanOrEqual(24);
});

test("a batch for the background is prepared at several samples, few instructions at each", () => {
  const service = new HeldService();
  const tier = machine({ service }, LOOP);
  // l: add eax, i, 30 times; dec ecx; jnz l; hlt
  const long = hex(`${"83 c0 03".repeat(30)} ff c9 75 a2 f4`);
  for (let i = 0; i < LOOPS; i++)
    tier.memory.write(
      0x12000 + 1024 * i,
      long.map((b) => (b === 3 ? i : b)),
    );
  const { engine } = tier.cpu;
  const jit = engine.jit!;
  let prepared = 0;
  let most = 0;
  engine.observer = { begin: () => {}, end: (work) => (prepared += work === "prepare" ? 1 : 0) };
  const { sample } = jit;
  jit.sample = (...place) => {
    prepared = 0;
    const noted = sample.apply(jit, place);
    most = Math.max(most, prepared);
    return noted;
  };
  const runAll = () => {
    for (let i = 0; i < LOOPS; i++) {
      tier.cpu.state.rip = BigInt(0x12000 + 1024 * i);
      tier.cpu.state.setGpr(1, 1600n);
      tier.cpu.run(100_000);
    }
  };
  runAll();
  // All others wait for the first ones.
  expect(service.jobs).toHaveLength(1);
  for (let i = 0; i < 8; i++) {
    prepared = 0;
    service.finish();
    most = Math.max(most, prepared);
    runAll();
  }
  expect(jit.regions).toBe(LOOPS);
  expect(service.largest).toBe(24);
  // 32 instructions each: 300, and one region that was asked whether it's known.
  expect(most).toBe(11);
});

test("compiling in the foreground takes few regions at a time", () => {
  const tier = machine(true, LOOP);
  loops(tier);
  let most = 0;
  let before = 0;
  const jit = tier.cpu.engine.jit!;
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < LOOPS; i++) {
      expect(loop(tier, 10_000, 0x12000 + 1024 * i)).toBe(10_000 * i);
      most = Math.max(most, jit.regions - before);
      before = jit.regions;
    }
  }
  expect(jit.regions).toBe(LOOPS);
  expect(most).toBeLessThanOrEqual(8);
});

test("a small cache drops the least recently used regions, and results stay the same", () => {
  const bound = 120_000;
  const tier = machine({ cacheBytes: bound }, LOOP);
  loops(tier);
  const jit = tier.cpu.engine.jit!;
  for (let round = 0; round < 4; round++)
    for (let i = 0; i < LOOPS; i++) {
      expect(loop(tier, 10_000, 0x12000 + 1024 * i)).toBe(10_000 * i);
      expect(jit.installed.bytes).toBeLessThan(bound);
    }
  expect(jit.installed.evicted).toBeGreaterThan(LOOPS);
  expect(jit.installed.count).toBeLessThan(LOOPS);
});

test("a dropped region leaves those that begin inside it as they are", () => {
  const other = 0x12000;
  // One module fits.
  const tier = machine({ cacheBytes: 50_000 }, LOOP);
  tier.memory.write(other, LOOP);
  const { cpu } = tier;
  const { engine, state } = cpu;
  const compile = (at: number) => {
    state.rip = BigInt(at);
    return compileHere(cpu);
  };
  const inner = CODE + 3;
  expect([compile(CODE), compile(inner), compile(other)]).toEqual([true, true, true]);
  // The second took the place of the first, with an entry more; the third drove it out.
  expect(engine.jit!.installed).toMatchObject({ count: 1, evicted: 1 });
  expect([compile(inner), compile(inner)]).toEqual([true, false]);
  // Whatever goes next, and in which order, no record leads to a slot that was given back.
  for (let i = 0; i < 8; i++) {
    for (const at of [CODE, inner, other]) {
      compile(at);
      expect(loop(tier, 10)).toBe(30);
      expect(loop(tier, 10, other)).toBe(30);
    }
  }
});

/** The dispatch table's slot of the record at CODE. */
function slotAtCode(tier: Tier): number {
  const { cache } = tier.cpu.engine;
  const record = cache.recordAt(cache.page(CODE >> 12, 2), CODE & 0xfff);
  return tier.memory.view.getUint32(record + R.HANDLER, true);
}

test("slots of regions that are gone are used again, and the records no longer lead to them", () => {
  const tier = machine(true, LOOP);
  const { engine, state } = tier.cpu;
  const compile = () => {
    state.rip = BigInt(CODE);
    expect(compileHere(tier.cpu)).toBe(true);
    return slotAtCode(tier);
  };
  loop(tier, 10);
  const handler = slotAtCode(tier);
  const slot = compile();
  expect(slot).not.toBe(handler);
  for (let i = 0; i < 5; i++) {
    tier.memory.writeU8(CODE + 2, i);
    expect(engine.core.table.get(slot)).toBeNull();
    expect(loop(tier, 10)).toBe(10 * i);
    expect(slotAtCode(tier)).toBe(handler);
    expect(compile()).toBe(slot);
    expect(loop(tier, 10)).toBe(10 * i);
  }
  engine.dropCode();
  expect(engine.core.table.get(slot)).toBeNull();
  expect(engine.jit!.installed).toMatchObject({ count: 0, bytes: 0 });
  expect(loop(tier, 10)).toBe(40);
});

test("code that changes again and again is compiled less and less", () => {
  const tier = machine(true, LOOP);
  const compiled: number[] = [];
  for (let round = 0; round < 4; round++) {
    const before = tier.cpu.engine.jit!.regions;
    for (let i = 0; i < 100; i++) {
      tier.memory.writeU8(CODE + 2, i);
      expect(loop(tier, 40_000)).toBe(40_000 * i);
    }
    compiled.push(tier.cpu.engine.jit!.regions - before);
  }
  expect(compiled[0]).toBeGreaterThan(0);
  expect(compiled[0]).toBeLessThan(10);
  expect(compiled.slice(1)).toEqual([0, 0, 0]);
});

test("a loop is compiled though the code that leads into it doesn't run again", () => {
  const tier = machine(true, hex("31 d2 31 db 89 d6 89 df 83 c0 03 ff c9 75 f9 f4"));
  expect(loop(tier, 400_000)).toBe(1_200_000);
  expect(tier.cpu.engine.jit!.regions).toBeGreaterThan(0);
});

test("that loop's region begins at the loop's head, wherever samples met it", () => {
  for (let before = 0; before < 8; before++) {
    const service = new HeldService();
    // l: add eax, 3; mov esi, ecx; test esi, esi; mov edi, esi; dec ecx; jnz l; hlt
    const bytes = hex(`${"90".repeat(before)} 31 d2 31 db 83 c0 03 89 ce 85 f6 89 f7 ff c9 75 f3 f4`);
    const tier = machine({ service }, bytes);
    expect(loop(tier, 400_000)).toBe(1_200_000);
    const entries = service.jobs.flatMap(({ requests }) =>
      requests.map(({ blocks, entries }) => blocks[entries[0]!]!.at),
    );
    expect(entries).toEqual([before + 4]);
  }
});

test("a loop and the functions that it calls by pointer become one region", () => {
  // l: call rsi; dec ecx; jnz l; hlt / on the next pages: f: add eax, 3; ret / g: add eax, 5; ret
  const bytes = new Uint8Array(0x2010).fill(0xf4);
  bytes.set(hex("ff d6 ff c9 75 fa f4"));
  bytes.set(hex("83 c0 03 c3"), 0x1000);
  bytes.set(hex("83 c0 05 c3"), 0x2000);
  const tiers = [machine(false, bytes), machine(true, bytes)];
  const run = (distance: number) => {
    const sums = tiers.map((tier) => {
      tier.cpu.state.setGpr(4, 0x15000n);
      tier.cpu.state.setGpr(6, BigInt(CODE + distance));
      return [loop(tier, 40_000), tier.observe()];
    });
    expect(sums[1]).toEqual(sums[0]);
  };
  const { jit } = tiers[1]!.cpu.engine;
  for (let i = 0; i < 10; i++) run(0x1000);
  // Where the call led was noted.
  expect(jit!.regions).toBe(1);
  for (let i = 0; i < 40; i++) run(0x2000);
  expect(jit!.regions).toBeGreaterThan(2);
  expect(jit!.installed.count).toBe(1);
});

test("a jump by a table is compared with where it was seen to lead", () => {
  // l: mov edx, ecx; and edx, edi; nop; shl edx, 4; lea rsi, [rip+17]; add rsi, rdx; jmp rsi / from byte 32 on: add eax, i; dec ecx; jnz l; hlt
  const bytes = new Uint8Array(32 + 8 * 16).fill(0xf4);
  bytes.set(hex("89 ca 21 fa 90 c1 e2 04 48 8d 35 11 00 00 00 48 01 d6 ff e6"));
  for (let i = 0; i < 8; i++) {
    const at = 32 + 16 * i;
    bytes.set(hex(`83 c0 0${i} ff c9 0f 85`), at);
    new DataView(bytes.buffer).setInt32(at + 7, -(at + 11), true);
  }
  const service = new HeldService();
  const tiers = [machine(false, bytes), machine({ service }, bytes)];
  const run = (mask: number) => {
    for (const { cpu } of tiers) cpu.state.setGpr(7, BigInt(mask));
    const sums = tiers.map((tier) => [loop(tier, 100_000), tier.observe()]);
    expect(sums[1]).toEqual(sums[0]);
  };
  run(6);
  const jumps = service.jobs.flatMap(({ requests }) => requests.map(({ blocks }) => blocks.map(({ jumps }) => jumps)));
  const distances = jumps.map((region) => region.flat().map(({ at }) => at));
  expect(distances.map((all) => all.sort((a, b) => a - b))).toEqual([[0, 2, 4, 6].map((i) => 32 + 16 * i)]);
  service.finish();
  run(6);
  expect(tiers[1]!.cpu.engine.jit!.regions).toBe(1);
  // It leads elsewhere now.
  run(7);
});

// Regions that were known before: made where their bytes are met again, by other records, and never where the bytes differ.

import { expect, test } from "vitest";
import { Decoder } from "../../../src/cpu/decode/decoder.js";
import { DEFAULT_FEATURES } from "../../../src/cpu/features.js";
import { type KnownRegion, KnownRegions, keyOf } from "../../../src/cpu/jit/known-regions.js";
import { packRequest, unpackRequest } from "../../../src/cpu/jit/packed-request.js";
import { type CompiledRegions, compileRegions, type RegionService } from "../../../src/cpu/jit/region-module.js";
import type { RegionRequest } from "../../../src/cpu/jit/request.js";
import { semantics } from "../../../src/cpu/semantics/index.js";
import { CODE, Tier } from "./tiers.js";

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
/** l: add eax, 3; call f; dec ecx; jnz l; hlt; f: add edx, 5; ret. */
const PROGRAM = hex("83 c0 03 e8 05 00 00 00 ff c9 75 f4 f4 83 c2 05 c3");
/** In its loop. */
const PROGRAM_INSTRUCTIONS = 6;

/** Does everything at once, later, and keeps modules by name. */
class Service implements RegionService {
  readonly hasTiers = true;
  readonly keepsCode = true;
  readonly units = new Map<string, WebAssembly.Module>();
  readonly texts: string[] = [];
  readonly optimized: string[] = [];
  loads = 0;
  #jobs: (() => void)[] = [];
  readonly #decoder = new Decoder({ features: DEFAULT_FEATURES });

  compile(requests: readonly RegionRequest[], tier: string, done: (result: CompiledRegions | Error) => void): void {
    this.texts.push(...requests.map(packRequest));
    if (tier === "optimized") this.optimized.push(...requests.map(packRequest));
    this.#jobs.push(() => {
      const compiled = compileRegions(requests.map(packRequest).map(unpackRequest), this.#decoder, semantics);
      if (tier !== "optimized") return done(compiled);
      const unit = `unit ${this.units.size}`;
      this.units.set(unit, compiled.module);
      done({ ...compiled, unit });
    });
  }
  load(unit: string): WebAssembly.Module | undefined {
    this.loads++;
    return this.units.get(unit);
  }
  finish(): void {
    while (this.#jobs.length > 0) for (const job of this.#jobs.splice(0)) job();
  }
}

/** Runs the program at `at`, so many times around. */
function run(tier: Tier, times: number, at = CODE): [number, number] {
  const { state } = tier.cpu;
  state.rip = BigInt(at);
  state.setGpr(0, 0n);
  state.setGpr(1, BigInt(times));
  state.setGpr(2, 0n);
  state.setGpr(4, 0x17000n);
  for (let i = 0; i < times; i += 1000) tier.cpu.run(7000);
  return [Number(state.gpr(0)), Number(state.gpr(2))];
}

function machine(known?: KnownRegions, service?: RegionService, cacheBytes?: number): Tier {
  const tier = new Tier({ known, service, cacheBytes });
  tier.load(
    { bytes: PROGRAM, starts: [] },
    Array.from({ length: 16 }, () => 0n),
  );
  return tier;
}

const copyOf = ({ keys, text, isCut, generation, code }: KnownRegion): KnownRegion => {
  return { keys, text, isCut, generation, code, isUsed: false };
};

/** What a first run leaves. */
function learned(service: Service): KnownRegion[] {
  const known = new KnownRegions();
  const tier = machine(known, service);
  for (let i = 0; i < 40; i++) {
    expect(run(tier, 40_000)).toEqual([120_000, 200_000]);
    service.finish();
  }
  return [...known.all].map(copyOf);
}

test("a request survives being packed, whatever its bytes", () => {
  const block = { at: -5, bytes: Uint8Array.from({ length: 256 }, (_, i) => i), count: 1, records: 0, crosses: -1 };
  const edge = { at: 7, block: -1, record: 1, table: -1 };
  const ways = { fallThrough: edge, target: undefined, returnTo: undefined, jumps: [edge], behindCalls: [] };
  const request = { blocks: [{ ...block, ...ways }], entries: [0] };
  expect(unpackRequest(packRequest(request))).toEqual(request);
});

test("the next run's regions are there long before the code is hot, with the machine code of the first", () => {
  const service = new Service();
  const earlier = learned(service);
  expect(earlier.length).toBeGreaterThan(0);
  expect(earlier.every(({ code, isUsed }) => code && !isUsed)).toBe(true);
  const compiled = service.texts.length;
  const known = new KnownRegions(earlier);
  const tier = machine(known, service);
  const jit = tier.cpu.engine.jit!;
  // One sample and a bit.
  expect(run(tier, 1000)).toEqual([3000, 5000]);
  expect(service.loads).toBe(1);
  expect(jit.regions).toBeGreaterThan(0);
  expect([jit.recalled, jit.recalledCode, service.texts.length]).toEqual([jit.regions, jit.regions, compiled]);
  expect(run(tier, 40_000)).toEqual([120_000, 200_000]);
  expect([...known.all].some(({ isUsed }) => isUsed)).toBe(true);
});

test("a known region is made before all of its pages were run: page tables say where they are", () => {
  // l: add eax, 3; cmp ecx, 0x10000; ja s; call f; s: dec ecx; jnz l; hlt; f, in the next page: add edx, 5; ret.
  const bytes = new Uint8Array(0x1004);
  bytes.set(hex("83 c0 03 81 f9 00 00 01 00 77 05 e8 f0 0f 00 00 ff c9 75 ec f4"));
  bytes.set(hex("83 c2 05 c3"), 0x1000);
  const load = (known: KnownRegions) => {
    const tier = new Tier({ known });
    tier.load(
      { bytes, starts: [] },
      Array.from({ length: 16 }, () => 0n),
    );
    return tier;
  };
  const known = new KnownRegions();
  expect(run(load(known), 60_000)[0]).toBeGreaterThan(0);
  const earlier = [...known.all].map(copyOf);
  expect(earlier.some(({ text }) => unpackRequest(text).blocks.some(({ at }) => at >= 0x1000))).toBe(true);

  const tier = load(new KnownRegions(earlier));
  // Far fewer times than it takes to come to the call.
  tier.cpu.state.setGpr(1, 0x10000n + 5000n);
  tier.cpu.state.setGpr(4, 0x17000n);
  tier.cpu.run(3000);
  expect([tier.cpu.engine.jit!.recalled, Number(tier.cpu.state.gpr(2))]).toEqual([1, 0]);
  tier.cpu.run(40_000);
  expect(Number(tier.cpu.state.gpr(2))).toBeGreaterThan(0);
});

test("the same requests are made in every run", () => {
  const [first, second] = [new Service(), new Service()];
  learned(first);
  learned(second);
  expect(new Set(second.texts)).toEqual(new Set(first.texts));
});

test("code at another address is the same code, code that differs isn't", () => {
  const service = new Service();
  const earlier = learned(service);
  const tier = machine(new KnownRegions(earlier), service);
  const jit = tier.cpu.engine.jit!;
  const elsewhere = 0x13000;
  tier.memory.write(elsewhere, PROGRAM);
  expect(run(tier, 1000, elsewhere)).toEqual([3000, 5000]);
  service.finish();
  expect(jit.recalled).toBeGreaterThan(0);
  expect(run(tier, 2000, elsewhere)).toEqual([6000, 10_000]);
  const changed = PROGRAM.slice();
  changed[15] = 6;
  const recalled = jit.recalled;
  const other = 0x15000;
  tier.memory.write(other, changed);
  for (let i = 0; i < 3; i++) expect(run(tier, 1000, other)).toEqual([3000, 6000]);
  service.finish();
  expect(jit.recalled).toBe(recalled);
  expect(run(tier, 40_000, other)).toEqual([120_000, 240_000]);
});

test("the same code elsewhere runs what was compiled in this run, at once", () => {
  const service = new Service();
  const tier = machine(undefined, service);
  const jit = tier.cpu.engine.jit!;
  for (let i = 0; i < 40; i++) {
    run(tier, 40_000);
    service.finish();
  }
  const { length } = service.texts;
  const { bytes, count } = jit.installed;
  expect([jit.shared, service.optimized.length > 0]).toEqual([0, true]);
  tier.memory.write(0x13000, PROGRAM);
  for (let i = 0; i < 4; i++) expect(run(tier, 40_000, 0x13000)).toEqual([120_000, 200_000]);
  expect(service.texts).toHaveLength(length);
  expect([jit.recalled, jit.shared, jit.installed.count]).toEqual([1, 1, count + 1]);
  // Records alone.
  expect(jit.installed.bytes - bytes).toBe(4 * PROGRAM_INSTRUCTIONS);
  tier.memory.fill(CODE, 64);
  expect(run(tier, 40_000, 0x13000)).toEqual([120_000, 200_000]);
  expect([jit.installed.count, jit.installed.bytes]).toEqual([1, expect.any(Number)]);
  expect(jit.installed.bytes).toBeGreaterThan(4 * PROGRAM_INSTRUCTIONS);
  tier.memory.fill(0x13000, 64);
  expect([jit.installed.count, jit.installed.bytes]).toEqual([0, 0]);
});

test("what shares code is dropped with it when room is needed, and made again", () => {
  const service = new Service();
  // Two modules and what is in them.
  const tier = machine(undefined, service, 60_000);
  const jit = tier.cpu.engine.jit!;
  const places = [CODE, 0x11000, 0x12000, 0x13000, 0x14000];
  const added = [3, 3, 4, 5, 6];
  for (const [i, at] of places.entries()) {
    const bytes = PROGRAM.slice();
    bytes[2] = added[i]!;
    tier.memory.write(at, bytes);
  }
  for (let round = 0; round < 3; round++) {
    for (const [i, at] of places.entries()) {
      for (let times = 0; times < 4; times++) {
        expect(run(tier, 40_000, at)).toEqual([40_000 * added[i]!, 200_000]);
        service.finish();
      }
      expect(jit.installed.bytes).toBeLessThanOrEqual(60_000);
    }
  }
  expect(jit.shared).toBeGreaterThan(0);
  expect(jit.installed.evicted).toBeGreaterThan(2);
  for (const at of places) tier.memory.fill(at, 64);
  expect([jit.installed.count, jit.installed.bytes]).toEqual([0, 0]);
});

test("what is optimized later is optimized once for all that share it", () => {
  const service = new Service();
  const tier = machine(undefined, service);
  const places = [CODE, 0x13000, 0x15000];
  for (const at of places) tier.memory.write(at, PROGRAM);
  for (let i = 0; i < 40; i++) {
    for (const at of places) expect(run(tier, 40_000, at)).toEqual([120_000, 200_000]);
    service.finish();
  }
  const jit = tier.cpu.engine.jit!;
  expect(jit.shared).toBeGreaterThan(1);
  expect(service.optimized.length).toBeGreaterThan(0);
  expect(new Set(service.optimized).size).toBe(service.optimized.length);
  const compiled = service.texts.length;
  for (let i = 0; i < 40; i++) {
    for (const at of places) run(tier, 40_000, at);
    service.finish();
  }
  expect(service.texts).toHaveLength(compiled);
});

test("without its machine code a known region is compiled at once, without a service too", () => {
  const service = new Service();
  const earlier = learned(service);
  service.units.clear();
  const tier = machine(new KnownRegions(earlier), service);
  const compiled = service.texts.length;
  run(tier, 1000);
  service.finish();
  expect(service.texts.length).toBeGreaterThan(compiled);
  expect(tier.cpu.engine.jit!.regions).toBeGreaterThan(0);
  expect(run(tier, 5000)).toEqual([15_000, 25_000]);

  const alone = machine(new KnownRegions(earlier));
  // A batch of one waits 32 samples.
  for (let i = 0; i < 10; i++) expect(run(alone, 1000)).toEqual([3000, 5000]);
  expect(alone.cpu.engine.jit!.recalled).toBeGreaterThan(0);
  expect(run(alone, 40_000)).toEqual([120_000, 200_000]);
  expect(alone.cpu.engine.jit!.regions).toBeGreaterThan(0);
});

test("what all records went from meanwhile isn't installed", () => {
  const service = new Service();
  const earlier = learned(service);
  service.units.clear();
  const tier = machine(new KnownRegions(earlier), service);
  run(tier, 1000);
  tier.cpu.engine.dropCode();
  service.finish();
  expect(tier.cpu.engine.jit!.regions).toBe(0);
  expect(run(tier, 2000)).toEqual([6000, 10_000]);
  service.finish();
  expect(tier.cpu.engine.jit!.regions).toBeGreaterThan(0);
  expect(run(tier, 2000)).toEqual([6000, 10_000]);
});

test("a region that another one took the place of is forgotten", () => {
  const known = new KnownRegions();
  const request = { blocks: [], entries: [] } as unknown as RegionRequest;
  const pending = { request, isCut: false, generation: 0, replaces: [] as number[] };
  const install = (id: number, replaces: number[], at: number) => {
    const blocks = [{ at, bytes: Uint8Array.of(1, 2, 3, 4) }];
    known.noteInstalled({ ...pending, id, replaces, request: { ...request, blocks } } as never, undefined);
  };
  install(64, [], 16);
  install(128, [], 32);
  expect([...known.all]).toHaveLength(2);
  // Better code for it, then one that holds both.
  install(64, [64], 16);
  expect([...known.all]).toHaveLength(2);
  install(192, [64, 128], 48);
  expect([...known.all].map(({ text }) => unpackRequest(text).blocks[0]!.at)).toEqual([48]);
});

test("what has gone before it had machine code gets it when there's nothing else to do", () => {
  const service = new Service();
  const known = new KnownRegions();
  const tier = machine(known, service);
  run(tier, 40_000);
  service.finish();
  expect([...known.all].some(({ code }) => code)).toBe(false);
  // Its code is gone, another program runs.
  tier.memory.fill(CODE, 64);
  expect(tier.cpu.engine.jit!.installed.count).toBe(0);
  const other = PROGRAM.slice();
  other[2] = 7;
  tier.memory.write(0x13000, other);
  for (let i = 0; i < 10; i++) {
    expect(run(tier, 40_000, 0x13000)).toEqual([280_000, 200_000]);
    service.finish();
  }
  // Not while a guest has much to do.
  expect([...known.all].every(({ code }) => code)).toBe(false);
  for (let i = 0; i < 10; i++) {
    tier.cpu.engine.jit!.rest();
    service.finish();
  }
  expect([...known.all].every(({ code }) => code)).toBe(true);
  const compiled = service.texts.length;
  tier.memory.write(CODE, PROGRAM);
  const again = machine(new KnownRegions([...known.all].map(copyOf)), service);
  expect(run(again, 1000)).toEqual([3000, 5000]);
  expect(again.cpu.engine.jit!.recalledCode).toBe(1);
  expect(service.texts.length).toBe(compiled);
});

test("numbers of regions that are no longer in use are forgotten", () => {
  const known = new KnownRegions();
  for (let id = 64; id < 6400; id += 64) {
    const request = { blocks: [{ at: id, bytes: Uint8Array.of(1, 2, 3, 4) }], entries: [] };
    known.noteInstalled({ id, request, isCut: false, generation: 0, replaces: [] } as never, undefined);
  }
  expect(known.numbers).toBe(99);
  expect(known.takeUnkept(6, (id) => id < 640)).toHaveLength(6);
  expect(known.numbers).toBe(9);
  expect(known.takeUnkept(1000, () => true)).toHaveLength(84);
  expect(known.takeUnkept(1000, () => false)).toHaveLength(9);
});

test("a region that was dropped to make room isn't found again in this run, and kept for the next one", () => {
  const known = new KnownRegions();
  const bytes = Uint8Array.of(1, 2, 3, 4);
  const install = (id: number) => {
    const request = { blocks: [{ at: id, bytes }], entries: [] };
    known.noteInstalled({ id, request, isCut: false, generation: 0, replaces: [] } as never, undefined);
  };
  install(64);
  install(128);
  known.noteEvicted(64);
  expect(known.find(keyOf(64, bytes, 0))).toEqual([]);
  expect(known.find(keyOf(128, bytes, 0))).toHaveLength(1);
  // Made anew when it was hot again, dropped again.
  install(64);
  known.noteEvicted(64);
  expect(known.find(keyOf(64, bytes, 0))).toEqual([]);
  expect([...known.all]).toHaveLength(2);
});

test("what goes out of use is given to be compiled once, also after there was nothing for a while", () => {
  const known = new KnownRegions();
  const install = (id: number) => {
    const request = { blocks: [{ at: id, bytes: new Uint8Array(8) }], entries: [0] } as unknown as RegionRequest;
    known.noteInstalled({ id, request, replaces: [], isCut: false, generation: 0 }, undefined);
  };
  const inUse = new Set([64, 128]);
  const take = () => known.takeUnkept(1, (id) => inUse.has(id)).length;
  install(64);
  install(128);
  expect([take(), take()]).toEqual([0, 0]);
  inUse.clear();
  expect([take(), take(), take()]).toEqual([1, 1, 0]);
  install(192);
  expect([take(), take()]).toEqual([1, 0]);
});

// Optimized code of many modules moves into one, once enough of it runs: regions run that from then on, and go as they would have gone.

import { expect, test } from "vitest";
import { Decoder } from "../../../src/cpu/decode/decoder.js";
import { DEFAULT_FEATURES } from "../../../src/cpu/features.js";
import {
  type CodeTier,
  type CompiledRegions,
  compileRegions,
  type PackedRegions,
  type RegionFunction,
  type RegionService,
} from "../../../src/cpu/jit/region-module.js";
import type { RegionRequest } from "../../../src/cpu/jit/request.js";
import { semantics } from "../../../src/cpu/semantics/index.js";
import { CODE, Tier } from "./tiers.js";

const decoder = new Decoder({ features: DEFAULT_FEATURES });
const compile = (requests: readonly RegionRequest[]) => compileRegions(requests, decoder, semantics);

/** Compiles when the test says so; a pack's loops add 5 instead of 3, so that it shows whose code runs. */
class Service implements RegionService {
  readonly hasTiers = true;
  readonly packs: { functions: readonly RegionFunction[]; done: (result: PackedRegions | undefined) => void }[] = [];
  readonly #requests = new Map<WebAssembly.Module, readonly RegionRequest[]>();
  #jobs: (() => void)[] = [];

  compile(requests: readonly RegionRequest[], _tier: CodeTier, done: (result: CompiledRegions | Error) => void): void {
    this.#jobs.push(() => {
      const compiled = compile(requests);
      this.#requests.set(compiled.module, requests);
      done(compiled);
    });
  }

  pack(functions: readonly RegionFunction[], done: (result: PackedRegions | undefined) => void): void {
    this.packs.push({ functions, done });
  }

  finish(): void {
    while (this.#jobs.length > 0) for (const job of this.#jobs.splice(0)) job();
  }

  /** Packs all of the first request but its last function. */
  finishPack(): void {
    const { functions, done } = this.packs.shift()!;
    const requests = functions.slice(0, -1).map(({ module, index }) => {
      const request = this.#requests.get(module)![index]!;
      const blocks = request.blocks.map((block) => ({ ...block, bytes: block.bytes.map(changed) }));
      return { ...request, blocks };
    });
    const { module } = compile(requests);
    this.#requests.set(module, requests);
    done({ module, indices: functions.map((_, i) => (i < requests.length ? i : undefined)) });
  }
}

const changed = (byte: number, at: number, bytes: Uint8Array) =>
  at >= 2 && bytes[at - 2] === 0x83 && bytes[at - 1] === 0xc0 ? 5 : byte;

/** l: add eax, 3; dec ecx; jnz l; hlt */
const LOOP = Uint8Array.from([0x83, 0xc0, 3, 0xff, 0xc9, 0x75, 0xf9, 0xf4]);
const LOOPS = 70;
/** All in one page, where no two are the same region. */
const DISTANCE = 56;

/** Runs loop `i`, 2,000 times around, in slices of 100 instructions; what each time added, but for a slice's last instructions, which are the interpreter's. */
function step({ cpu }: Tier, i: number): number {
  cpu.state.rip = BigInt(CODE + DISTANCE * i);
  cpu.state.setGpr(0, 0n);
  cpu.state.setGpr(1, 2000n);
  for (let slice = 0; slice < 62; slice++) cpu.run(100);
  return Math.round(Number(cpu.state.gpr(0)) / 2000);
}
const steps = (tier: Tier) => Array.from({ length: LOOPS }, (_, i) => step(tier, i));
const all = (value: number, count = LOOPS) => Array.from({ length: count }, () => value);

/** A machine whose loops are all optimized, and whose service was asked for a pack. */
function warm(): { tier: Tier; service: Service } {
  const service = new Service();
  const tier = new Tier({ service });
  const bytes = new Uint8Array(LOOPS * DISTANCE);
  for (let i = 0; i < LOOPS; i++) bytes.set(LOOP, i * DISTANCE);
  tier.load({ bytes, starts: [] }, all(0, 16).map(BigInt));
  for (let round = 0; round < 40 && service.packs.length === 0; round++) {
    expect(steps(tier)).toEqual(all(3));
    service.finish();
  }
  return { tier, service };
}

test("code that runs of late is put together, once for what is there", () => {
  const { tier, service } = warm();
  const jit = tier.cpu.engine.jit!;
  expect(jit.installed.count).toBe(LOOPS);
  expect(service.packs[0]!.functions).toHaveLength(LOOPS);
  const { modules } = jit;
  service.finishPack();
  expect(jit.modules).toBe(modules + 1);
  // What isn't in it runs on where it was.
  expect(steps(tier).sort()).toEqual([3, ...all(5, LOOPS - 1)]);
  for (let round = 0; round < 3; round++) steps(tier);
  expect(service.packs).toEqual([]);
  // A region of a pack goes when its code changes, and with the last of them what they took.
  tier.memory.writeU8(CODE + 2, 7);
  expect([jit.installed.count, jit.installed.bytes]).toEqual([0, 0]);
  expect(step(tier, 0)).toBe(7);
});

test("what comes when its code has gone is not used", () => {
  const { tier, service } = warm();
  const jit = tier.cpu.engine.jit!;
  tier.memory.writeU8(CODE + 2, 7);
  service.finishPack();
  expect([jit.installed.count, jit.installed.bytes]).toEqual([0, 0]);
  expect(steps(tier)).toEqual([7, ...all(3, LOOPS - 1)]);
});

test("what can't be done isn't asked for again, and nothing comes of it when all is over", () => {
  const first = warm();
  first.service.packs.shift()!.done(undefined);
  for (let round = 0; round < 3; round++) expect(steps(first.tier)).toEqual(all(3));
  expect(first.service.packs).toEqual([]);
  const second = warm();
  const { jit } = second.tier.cpu.engine;
  const { modules } = jit!;
  second.tier.cpu.engine.close();
  second.service.finishPack();
  expect(jit!.modules).toBe(modules);
});

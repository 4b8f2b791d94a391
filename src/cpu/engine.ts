// What all vCPUs of a host share: the interpreter's core and handlers, decoded code, and the calls that Wasm code makes into
// TypeScript. One engine per machine memory.

import type { MachineMemory } from "../mmu/machine-memory.js";
import { ADDRESS_SPACES_BYTES, type AddressSpaces } from "./address-spaces.js";
import { Decoder } from "./decode/decoder.js";
import type { EngineObserver } from "./engine-observer.js";
import type { HostOperation } from "./host/host-operation.js";
import { hostOperationList } from "./host/registry.js";
import { CodeCache } from "./interpreter/code-cache.js";
import { commonHandlers } from "./interpreter/common-handlers.js";
import { ComputedJumps } from "./interpreter/computed-jumps.js";
import { type CoreExports, instantiateCore, Slot } from "./interpreter/core-module.js";
import { HandlerSet, type PreparedHandlers } from "./interpreter/handlers.js";
import { Predecoder } from "./interpreter/predecoder.js";
import { RegionCompiler } from "./jit/compiler.js";
import { InstalledRegions } from "./jit/installed-regions.js";
import { Jit } from "./jit/jit.js";
import { KnownRegions } from "./jit/known-regions.js";
import { RegionFinder } from "./jit/region.js";
import { compileRegions, type RegionService } from "./jit/region-module.js";
import type { MemoryAccess } from "./memory-access.js";
import { semantics } from "./semantics/index.js";
import * as S from "./state-layout.js";

export interface EngineOptions {
  /** CPUID features (features.ts) that exist for guests. */
  readonly features: ReadonlySet<string>;
  /** Compile hot regions. */
  readonly jit?: boolean | JitOptions | undefined;
  /** Bytes for decoded code; when full, all of it is dropped. */
  readonly codeBytes?: number;
}

export interface JitOptions {
  /** Compiles in the background; without it compilation is part of running the guest, and does the same each time. */
  readonly service?: RegionService | undefined;
  /** Regions of earlier runs, and this one's for later ones. */
  readonly known?: KnownRegions | undefined;
  /** Bytes of machine code that compiled regions may take, an estimate. */
  readonly cacheBytes?: number | undefined;
  readonly log?: ((line: string) => void) | undefined;
}

const DEFAULT_JIT_CACHE_BYTES = 256 * 1024 * 1024;
const DEFAULT_CODE_BYTES = 192 * 1024 * 1024;
/** Frames whose write hits go when one of them is found to hold code. */
const PROTECTED_TOGETHER = 16;

/** What the engine needs of a vCPU (cpu.ts). */
export interface EngineCpu {
  readonly block: CpuBlock;
  readonly access: MemoryAccess;
  readonly spaces: AddressSpaces;
  readonly instructions: number;
  hostCall(record: number, operation: HostOperation): number;
}

/** A vCPU's engine memory: linear addresses of its struct and of its TLBs. */
export interface CpuBlock {
  readonly state: number;
  readonly spaces: number;
}

export class Engine {
  readonly memory: MachineMemory;
  readonly core: CoreExports;
  readonly cache: CodeCache;
  readonly handlers: HandlerSet;
  readonly predecoder: Predecoder;
  readonly decoder: Decoder;
  readonly jit: Jit | undefined;
  readonly cpus: EngineCpu[] = [];
  /** Set before guests run. */
  observer: EngineObserver | undefined;
  readonly #freeBlocks: CpuBlock[] = [];
  #isPrepared = false;
  /** False: so little runs that compiling it costs more than it ever gives back; nothing gets hotter. */
  isBusy = true;
  /** The vCPU that is inside `run`. */
  current: EngineCpu | undefined;

  constructor(memory: MachineMemory, options: EngineOptions) {
    this.memory = memory;
    const imports = {
      miss: (_state: number, record: number, low: number, high: number, access: number) =>
        this.current!.access.miss(record, low, high, access),
      commit: () => this.current!.access.commit(),
      host: (_state: number, record: number, operation: number) =>
        this.current!.hostCall(record, hostOperationList[operation]!),
      segment: (_state: number, record: number, segment: number, offset: number, access: number) =>
        this.current!.access.checkSegment(record, segment, offset, access),
      sample: (record: number) => (this.jit && this.isBusy ? this.jit.sample(record, this.current!.block.state) : 0),
    };
    this.cache = new CodeCache(memory, options.codeBytes ?? DEFAULT_CODE_BYTES);
    const computedJumps = new ComputedJumps(memory);
    const { frameTables } = this.cache;
    this.core = instantiateCore(memory, { frameTables, ring: computedJumps.ring }, imports);
    const { translate, commit, goto, gotoDirect, checkSegment, gate, x87, ordinary, table } = this.core;
    const runtime = {
      memory: memory.memory,
      translate,
      commit,
      goto,
      gotoDirect,
      host: imports.host,
      checkSegment,
      x87,
      ordinary,
      gate,
    };
    const instantiate = (compiled: WebAssembly.Module) =>
      new WebAssembly.Instance(compiled, { e: runtime as WebAssembly.ModuleImports }).exports;
    this.decoder = new Decoder({ features: options.features });
    const { forms } = this.decoder;
    this.handlers = new HandlerSet(semantics, forms.length, memory.memory.buffer.byteLength / 65536, (bytes, slots) => {
      const exports = instantiate(new WebAssembly.Module(bytes));
      for (const slot of slots) table.set(slot, exports[String(slot)]);
    });
    this.cache.onNewCodeFrame = (frame) => {
      const parts = memory.frameWriters[frame]!;
      if (parts === 0) return;
      // With its neighbours, which as a rule come next. Data among them is found again by a miss.
      const first = frame - (frame % PROTECTED_TOGETHER);
      const count = Math.min(PROTECTED_TOGETHER, memory.frames - first);
      for (const cpu of this.cpus) cpu.spaces.protectFrames(first, count, parts);
      for (let i = first; i < first + count; i++) memory.frameWriters[i]! &= ~parts;
    };
    this.predecoder = new Predecoder(memory, this.decoder, this.cache, this.handlers);
    if (options.jit) {
      const { service, known, cacheBytes, log } = options.jit === true ? {} : options.jit;
      const finder = new RegionFinder(memory, this.cache, this.handlers, this.predecoder, computedJumps);
      const installed = new InstalledRegions(memory, this.handlers, table, cacheBytes ?? DEFAULT_JIT_CACHE_BYTES);
      this.jit = new Jit({
        memory,
        cache: this.cache,
        handlers: this.handlers,
        computedJumps,
        compiler: new RegionCompiler(memory, this.cache, finder, this.predecoder, (id) => installed.regionOf(id)),
        installed,
        compile: (requests) => compileRegions(requests, this.decoder, semantics),
        instantiate,
        service,
        known: known ?? new KnownRegions(),
        log: log ?? (() => {}),
        observer: () => this.observer,
      });
    }
  }

  /**
   * Makes the handlers that every 64-bit guest needs, before the first one starts: 100 ms, 15 when they are at hand. More than once:
   * nothing.
   */
  prepareGuests(readPrepared?: () => PreparedHandlers | undefined): void {
    if (this.#isPrepared) return;
    this.#isPrepared = true;
    const prepared = readPrepared?.();
    if (!prepared || !this.handlers.load(prepared)) this.#makeCommonHandlers();
    this.handlers.flush();
  }
  #makeCommonHandlers(): void {
    for (const kind of commonHandlers(this.decoder.forms)) this.handlers.slotFor(kind);
  }

  /** What `prepareGuests` takes; of an engine that has run nothing. */
  saveCommonHandlers(): PreparedHandlers {
    this.#makeCommonHandlers();
    return this.handlers.save();
  }

  /**
   * What SYSCALL does from now on: a module whose imports are `e.memory`, `e.lookupCode` and `e.leaveGate` (core-module.ts); it exports
   * `gate`: (state, record) -> next record, or 0 after an exit was described.
   */
  setGate(bytes: Uint8Array<ArrayBuffer>): void {
    const { lookupCode, leaveGate, table } = this.core;
    const imports = { memory: this.memory.memory, lookupCode, leaveGate };
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
      e: imports as WebAssembly.ModuleImports,
    });
    table.set(Slot.Gate, instance.exports.gate);
  }

  /** Linear addresses of a new vCPU's struct and TLBs: those of a released one, or fresh memory. */
  takeBlock(): CpuBlock {
    const used = this.#freeBlocks.pop();
    if (used) {
      this.memory.linear.fill(0, used.state, used.state + S.STATE_SIZE);
      return used;
    }
    const { memory } = this;
    return {
      state: memory.allocateEngine(S.STATE_SIZE, 64),
      spaces: memory.allocateEngine(ADDRESS_SPACES_BYTES, 4096),
    };
  }

  /** The vCPU will never run again: its memory serves the next one. */
  release(cpu: EngineCpu): void {
    const at = this.cpus.indexOf(cpu);
    if (at < 0) return;
    this.cpus.splice(at, 1);
    this.#freeBlocks.push(cpu.block);
  }

  /** No vCPU runs any more; what is being compiled is dropped. */
  close(): void {
    this.jit?.close();
  }

  /** Forgets all decoded code. Only between two `run`s of the core. */
  dropCode(): void {
    this.cache.drop();
    this.jit?.reset();
    for (const { block, spaces } of this.cpus) {
      this.memory.view.setUint32(block.state + S.LEFT_REGION, 0, true);
      spaces.flushAll();
    }
  }
}

// The composition root of a Xen host: machine memory, CPU engine, hypervisor and run loop, put together from a HostConfig; and
// the domains that library users create on it.

import { Cpu } from "./cpu/cpu.js";
import { Engine, type EngineCpu, type JitOptions } from "./cpu/engine.js";
import { DEFAULT_FEATURES } from "./cpu/features.js";
import { FileLocks } from "./devices/storage/file-locks.js";
import { realClock, seededRandom, VirtualClock } from "./host/clocks.js";
import { ConsolePty } from "./host/console-pty.js";
import { DeferredEvents } from "./host/deferred-events.js";
import { InternalError, XenError } from "./host/errors.js";
import type { DomainConfig, GuestDomain } from "./host/guest-domain.js";
import { JitWorker } from "./host/jit-worker.js";
import { useLargePages } from "./host/large-pages.js";
import { Network, type NetworkOptions, type NetworkServices, networkTime } from "./host/network.js";
import { joinObservers } from "./host/observers.js";
import { PerfTrace, type PerfTraceOptions } from "./host/perf-trace.js";
import { type PoolScheduling, poolScheduling, setPoolScheduling } from "./host/pool-scheduling.js";
import { readPreparedHandlers } from "./host/prepared-handlers.js";
import type { Profile } from "./host/profile.js";
import { Profiler } from "./host/profiler.js";
import { type OpenPty, ptyOpener } from "./host/pty.js";
import { RunLoop } from "./host/run-loop.js";
import { parseSize } from "./host/size.js";
import { startGuest } from "./host/start-guest.js";
import { StoreFile } from "./host/store-file.js";
import { StoreSocket } from "./host/store-socket.js";
import { attachTrace, type TraceOptions } from "./host/trace.js";
import { defaultTranslationCacheDirectory, TranslationCache } from "./host/translation-cache.js";
import { enableHints } from "./host/v8-flags.js";
import { createHypervisor } from "./hypervisor/create-hypervisor.js";
import { debugKeys } from "./hypervisor/debug-keys.js";
import { hypercallName } from "./hypervisor/hypercall/table.js";
import { XEN_CAPABILITIES, XEN_EXTRAVERSION, XEN_MAJOR, XEN_MINOR } from "./hypervisor/hypercall/xen-version.js";
import type { Domain, Hypervisor, Vcpu } from "./hypervisor/hypervisor.js";
import { HYPERVISOR_VIRT_START } from "./hypervisor/public/arch-x86/xen-x86_64.js";
import { pvCpuHooks } from "./hypervisor/pv/cpu-hooks.js";
import { cpuFeatureWords } from "./hypervisor/pv/cpuid-features.js";
import { CpuidPolicy } from "./hypervisor/pv/cpuid-policy.js";
import { writeGate } from "./hypervisor/pv/gate.js";
import { runVcpu } from "./hypervisor/run-vcpu.js";
import { MAX_CPUS } from "./hypervisor/scheduler/sched-unit.js";
import { SCHEDULERS, type SchedulerName } from "./hypervisor/scheduler/scheduler.js";
import { createHostNodes } from "./hypervisor/xenstore/domain-nodes.js";
import { homeOf } from "./hypervisor/xenstore/path.js";
import { XenStoreServer } from "./hypervisor/xenstore/server.js";
import { FileKernelCache } from "./kernel-cache.js";
import { MachineMemory, PAGE_SIZE } from "./mmu/machine-memory.js";
import { createPc } from "./pc-ports.js";

export { SCHEDULERS, type SchedulerName } from "./hypervisor/scheduler/scheduler.js";

export interface HostConfig {
  /** Memory of all domains together, bytes or "512M"; default 1 GiB. What the hypervisor and the CPU engine need comes on top. */
  readonly memory?: number | string;
  /** Same inputs, same instruction stream: virtual time and a seeded random source. */
  readonly deterministic?: boolean | { readonly seed?: number; readonly epoch?: bigint };
  /**
   * Physical CPUs, 1 to 32, for affinities and scheduling; default 1. One thread runs them all in turns: more of them make nothing
   * faster, but share out time as a machine with as many CPUs would.
   */
  readonly cpus?: number;
  /** How they are shared out among domains, as Xen's boot parameter `sched` has it; default "credit". */
  readonly scheduler?: SchedulerName;
  /** Gets the hypervisor's log, a line each, without "(XEN) ". */
  readonly log?: (line: string) => void;
  /**
   * How hot guest code is compiled to WebAssembly: in a worker thread beside the guest ("async", the default), while the guest
   * waits ("sync", and always when deterministic), or not at all. True is the default, false is "off".
   */
  readonly jit?: JitMode | boolean;
  /** Machine code that compiled guest code may take, bytes or "256M", the default. The least recently used is dropped. */
  readonly jitCache?: number | string;
  /** Directory for unpacked kernels; default $XDG_CACHE_HOME/xen-ts/kernels; false: none. */
  readonly kernelCache?: string | false;
  /**
   * Keeps what guest code was compiled to, for later runs, in this directory; true: in $XDG_CACHE_HOME/xen-ts/translations; default: false.
   * What guests do is the same with and without.
   */
  readonly translationCache?: string | boolean;
  /** The XenStore beyond the host's own domains. */
  readonly xenstore?: {
    /** Path of a Unix socket for Debian's xenstore-ls and so on (XENSTORED_PATH), and for `connectXenStore`. */
    readonly socket?: string;
    /** File that keeps what isn't domains' from one run of the host to the next. */
    readonly state?: string;
  };
  /** A pty for each unprivileged domain's console, its path in XenStore at console/tty; Linux, and needs the package koffi. */
  readonly consolePtys?: boolean;
  /** Lines about what the guests do, from the first instruction on. */
  readonly trace?: TraceOptions;
  /** Collects what `profile()` gives; costs a few per cent. */
  readonly profile?: boolean;
  /** A timeline for Perfetto or Chrome's viewer. */
  readonly perfTrace?: PerfTraceOptions;
}

/** The XenStore as seen by dom0; see docs of xenstore.txt for paths. Errors of the store are thrown: EINVAL for a bad path. */
export type HostXenStore = Pick<XenStoreServer, "read" | "write" | "directory" | "remove" | "watch">;
export const JIT_MODES = ["async", "sync", "off"] as const;
export type JitMode = (typeof JIT_MODES)[number];

const DEFAULT_MEMORY = "1G";
const DEFAULT_JIT_CACHE = "256M";
const MIN_JIT_CACHE = 1024 ** 2;
/** With the TLBs of some hundred vCPUs; what isn't used costs nothing. */
const ENGINE_BYTES = 512 * 1024 * 1024;
/** The same for each frame: record tables' addresses, the frame table. */
const ENGINE_BYTES_A_FRAME = 16;
const CODE_BYTES = 200 * 1024 * 1024;
/** What the hypervisor itself needs beside the domains: M2P, its tables, shared pages. */
const HYPERVISOR_BYTES = 8 * 1024 * 1024;
const TSC_KHZ = 2_600_000;
const MAX_MEMORY = 3 * 1024 ** 3;
const MIN_MEMORY = 16 * 1024 ** 2;
/** Less is as fast in small pages. */
const LARGE_PAGES_FROM = 64 * 1024 ** 2;

export interface HostStatistics {
  readonly instructions: number;
  /** Hypercalls of the domains that exist, by Xen's name, those of multicalls included. */
  readonly hypercalls: Readonly<Record<string, number>>;
  /** Milliseconds inside guests and their emulation, and asleep. */
  readonly busyMs: number;
  readonly idleMs: number;
  /** Exits of all vCPUs by kind. */
  readonly exits: Readonly<Record<string, number>>;
  readonly tlbMisses: number;
  readonly tlbFlushes: number;
  readonly decodedInstructions: number;
  readonly codePages: number;
  readonly codeBytes: number;
  readonly codeInvalidations: number;
  readonly handlers: number;
  /**
   * Regions compiled by the JIT, known ones made where their code was met again, those that run the code of another one (in another domain),
   * those in use, and the machine code they take by estimate.
   */
  readonly compiledRegions: number;
  readonly recalledRegions: number;
  readonly sharedRegions: number;
  readonly installedRegions: number;
  readonly jitCacheBytes: number;
}

/** What a host is made of. */
export interface HostFacts {
  /** Bytes for domains in all, and free now. */
  readonly totalMemory: number;
  readonly freeMemory: number;
  /** CPUs that domains can run on at once. */
  readonly cpus: number;
  /** Frequency of the virtual time-stamp counter. */
  readonly cpuKhz: number;
  readonly scheduler: SchedulerName;
  /** CPUID words in Xen's order (cpufeatureset.h): 1 EDX and ECX, 0x80000001 EDX and ECX, 0xd:1 EAX, 7 EBX and ECX, 0x80000007 EDX. */
  readonly featureWords: readonly number[];
  /** The Xen whose ABI it has. */
  readonly version: {
    readonly major: number;
    readonly minor: number;
    readonly extra: string;
    readonly capabilities: string;
    readonly virtStart: string;
    readonly commandLine: string;
  };
}

export class XenHost {
  readonly domains = new Map<number, GuestDomain>();
  readonly #hypervisor: Hypervisor;
  readonly #engine: Engine;
  readonly #store: XenStoreServer;
  readonly #loop: RunLoop;
  #jitWorker: JitWorker | undefined;
  #translations: TranslationCache | undefined;
  readonly #config: HostConfig;
  readonly #locks = new FileLocks();
  /** The vCPU whose turn it is. */
  #running: Vcpu | undefined;
  readonly #deferred = new DeferredEvents(() => {
    if (this.#running) this.#running.hasYielded = true;
  });
  #storeSocket: StoreSocket | undefined;
  #storeFile: StoreFile | undefined;
  readonly #profiler: Profiler | undefined;
  readonly #perfTrace: PerfTrace | undefined;
  readonly #networks = new Map<string, Network>();
  readonly #networkServices: NetworkServices;
  #openPty: OpenPty | undefined;
  #closed = false;

  /** Use createXenHost. */
  constructor(config: HostConfig) {
    this.#config = config;
    const bytes = parseSize(config.memory ?? DEFAULT_MEMORY, "memory");
    if (bytes < MIN_MEMORY || bytes > MAX_MEMORY)
      throw new XenError(
        "bad-argument",
        `memory must be between 16 MiB and 3 GiB, not ${config.memory ?? DEFAULT_MEMORY}`,
      );
    const { cpus = 1 } = config;
    if (!Number.isInteger(cpus) || cpus < 1 || cpus > MAX_CPUS)
      throw new XenError("bad-argument", `cpus must be between 1 and ${MAX_CPUS}, not ${cpus}`);
    const { scheduler = "credit" } = config;
    if (!SCHEDULERS.includes(scheduler))
      throw new XenError("bad-argument", `scheduler must be ${SCHEDULERS.join(" or ")}, not ${scheduler}`);
    const jit = jitMode(config);
    const jitCache = parseSize(config.jitCache ?? DEFAULT_JIT_CACHE, "jitCache");
    if (jitCache < MIN_JIT_CACHE) throw new XenError("bad-argument", "jitCache must be at least 1 MiB");
    enableHints();
    const frames = Math.ceil((bytes + HYPERVISOR_BYTES) / PAGE_SIZE);
    const memory = allocateMemory(frames);
    this.#engine = new Engine(memory, {
      features: DEFAULT_FEATURES,
      codeBytes: CODE_BYTES,
      jit: this.#jitOptions(jit, jitCache),
    });
    this.#engine.setGate(writeGate(memory));
    const deterministic = config.deterministic || undefined;
    const options = typeof deterministic === "object" ? deterministic : {};
    const virtualClock = deterministic ? new VirtualClock(options.epoch) : undefined;
    const clock = virtualClock ?? realClock;
    const random = deterministic ? seededRandom(options.seed ?? 1) : Math.random;
    this.#networkServices = {
      ...networkTime(clock),
      random,
      isClosed: virtualClock !== undefined,
      log: (line) => config.log?.(line),
    };
    const cpuid = new CpuidPolicy({
      features: cpuFeatureWords(DEFAULT_FEATURES),
      tscKhz: TSC_KHZ,
      xenVersion: { major: 4, minor: 17 },
      machineAddressWidth: 40,
    });
    const pc = createPc(memory, clock, () => {
      const dom0 = this.#hypervisor.findDomain(0);
      if (dom0) this.#hypervisor.powerOff(dom0);
    });
    this.#hypervisor = createHypervisor({
      memory,
      machineMap: pc.machineMap,
      clock,
      tscKhz: TSC_KHZ,
      random,
      decoder: this.#engine.decoder,
      cpuid,
      ioPorts: pc.ports,
      cpus,
      scheduler,
      createCpu: (domid, vcpu) => this.#createCpu(domid, vcpu, random),
      releaseCpu: (cpu) => this.#engine.release(cpu),
      log: (line) => config.log?.(line),
      consoleWrite: (domid, output) => this.domains.get(domid)?.console.deliver(output),
      onShutdown: (domain, reason) => this.domains.get(domain.id)?.onShutdown(reason),
    });
    if (config.trace) attachTrace(this.#hypervisor, config.trace);
    if (config.profile) this.#profiler = new Profiler();
    if (config.perfTrace) this.#perfTrace = new PerfTrace(config.perfTrace);
    const observer = joinObservers(this.#profiler, this.#perfTrace);
    this.#hypervisor.observer = observer;
    this.#engine.observer = observer;
    this.#store = new XenStoreServer(memory, { timers: this.#networkServices.timers });
    this.#store.onLog = (line) => config.log?.(line);
    this.#loop = new RunLoop({
      hypervisor: this.#hypervisor,
      run: (vcpu, budget, longestMs) => this.#run(vcpu, budget, longestMs),
      ...(virtualClock ? { virtualClock } : {}),
      onLoad: (isBusy) => {
        this.#engine.isBusy = isBusy || virtualClock !== undefined;
        if (!this.#engine.isBusy) this.#engine.jit?.rest();
      },
      afterTurn: () => this.#deferred.flush(),
      onSleep: (start, end) => this.#perfTrace?.sleep(start, end),
      onError: (error) => this.#fail(error),
    });
  }

  #jitOptions(mode: JitMode, cacheBytes: number): JitOptions | false {
    if (mode === "off") return false;
    const log = (line: string) => this.#config.log?.(line);
    const { translationCache = false } = this.#config;
    const directory = translationCache === true ? defaultTranslationCacheDirectory() : translationCache;
    if (directory) this.#translations = new TranslationCache(directory, log);
    if (mode === "async") this.#jitWorker = this.#translations?.newWorker() ?? new JitWorker();
    return { cacheBytes, service: this.#jitWorker, known: this.#translations?.known, log };
  }

  #createCpu(domid: number, vcpu: number, random: () => number): Cpu {
    const find = () => this.#hypervisor.domains.get(domid)!.vcpus[vcpu]!;
    return new Cpu(this.#engine, {
      paravirtual: true,
      hooks: pvCpuHooks(
        () => this.#hypervisor,
        find,
        () => (BigInt(Math.floor(random() * 2 ** 32)) << 32n) | BigInt(Math.floor(random() * 2 ** 32)),
      ),
    });
  }

  #run(vcpu: Vcpu, budget: number, longestMs: number): number {
    const before = vcpu.cpu.instructions;
    const start = this.#perfTrace ? performance.now() : 0;
    this.#running = vcpu;
    runVcpu(vcpu, budget, longestMs);
    this.#running = undefined;
    const executed = vcpu.cpu.instructions - before;
    this.#perfTrace?.slice(vcpu, executed, start, performance.now());
    return executed;
  }

  #fail(error: unknown): void {
    const internal = new InternalError(error instanceof Error ? error.message : String(error), { cause: error });
    for (const domain of this.domains.values()) domain.onHostFailure(internal);
  }

  /** For createXenHost. */
  async openServices(): Promise<void> {
    await this.#largePages();
    if (this.#config.consolePtys) await this.#ptys();
    const { socket, state } = this.#config.xenstore ?? {};
    if (state !== undefined)
      this.#storeFile = await StoreFile.open(state, this.#store, (line) => this.#config.log?.(line));
    createHostNodes(this.#store);
    if (socket !== undefined) this.#storeSocket = await StoreSocket.listen(socket, this.#store);
  }

  async #largePages(): Promise<void> {
    const { frames, linear } = this.#engine.memory;
    if (frames * PAGE_SIZE < LARGE_PAGES_FROM) return;
    const reason = await useLargePages(linear);
    if (reason !== undefined) this.#config.log?.(`machine memory in small pages: ${reason}`);
  }

  /** The host's XenStore, with dom0's rights. */
  get xenstore(): HostXenStore {
    return this.#store;
  }

  /** For diagnosis; its parts are not a stable API. */
  get hypervisor(): Hypervisor {
    return this.#hypervisor;
  }

  /** Where host time went so far; undefined unless the host was made with `profile`. Finding names takes a second or so. */
  profile(): Profile | undefined {
    return this.#profiler?.report(this.#loop.busyMs, this.#loop.idleMs);
  }

  /**
   * Builds and starts a domain.
   * @throws XenError: bad-argument, bad-kernel, bad-ramdisk, out-of-memory; host-closed after close().
   */
  async createDomain(config: DomainConfig): Promise<GuestDomain> {
    if (this.#closed) throw new XenError("host-closed", "the host is closed");
    const { consoles = [] } = config;
    const openPty = consoles.some(({ pty }) => pty) ? await this.#ptys() : this.#openPty;
    this.#jitWorker?.start();
    this.#engine.prepareGuests(readPreparedHandlers);
    const directory = this.#config.kernelCache;
    const cache = directory === false ? undefined : new FileKernelCache(directory === undefined ? {} : { directory });
    const guest = await startGuest(
      {
        hypervisor: this.#hypervisor,
        store: this.#store,
        cache,
        locks: this.#locks,
        deferred: this.#deferred,
        profiler: this.#profiler,
        onDestroy: (domain) => this.#forget(domain),
        vifs: { ...this.#networkServices, network: (name) => this.network(name) },
      },
      config,
      (created) => this.domains.set(created.id, created),
    );
    if (this.#closed) {
      guest.destroy();
      throw new XenError("host-closed", "the host was closed");
    }
    if (openPty && !config.privileged) this.#servePtys(guest, openPty);
    this.#loop.start();
    return guest;
  }

  async #ptys(): Promise<OpenPty> {
    this.#openPty ??= await ptyOpener();
    return this.#openPty;
  }

  #servePtys(guest: GuestDomain, open: OpenPty): void {
    const { consolePtys: all = false } = this.#config;
    const log = (line: string) => this.#config.log?.(line);
    const name = `domain ${guest.id}'s console`;
    const { console } = guest;
    if (all) ConsolePty.serve(open, { name, console, node: `${homeOf(guest.id)}/console/tty` }, this.#store, log);
    for (const [i, each] of guest.consoleDevices.list().entries()) {
      if (!all && !each.config.pty) continue;
      const extra = { name: `${name} ${i + 1}`, console: each.console, node: `${each.frontendPath}/tty` };
      ConsolePty.serve(open, extra, this.#store, log);
    }
  }

  /**
   * A network of this host, made when it is first named: by this call, or by an interface that is plugged into it.
   * @param options for the first call only
   * @throws XenError: bad-argument; host-closed
   */
  network(name = "xenbr0", options?: NetworkOptions): Network {
    if (this.#closed) throw new XenError("host-closed", "the host is closed");
    const known = this.#networks.get(name);
    if (known && options)
      throw new XenError("bad-argument", `the network ${name} exists already: its options can't change`);
    const network = known ?? new Network(name, this.#networkServices, options);
    this.#networks.set(name, network);
    return network;
  }

  get networks(): readonly Network[] {
    return [...this.#networks.values()];
  }

  #forget(domain: Domain): void {
    this.domains.delete(domain.id);
  }

  /** How the scheduler shares out the CPUs among all domains. */
  get scheduling(): PoolScheduling {
    return poolScheduling(this.#hypervisor.scheduler);
  }

  /** Changes that; what isn't given stays. @throws XenError bad-argument */
  setScheduling(parameters: Partial<PoolScheduling>): void {
    setPoolScheduling(this.#hypervisor.scheduler, parameters);
  }

  /** What the hypervisor says of itself goes to its log: a letter for each part, h lists them. */
  debugKeys(keys: string): void {
    debugKeys(this.#hypervisor, keys);
  }

  get info(): HostFacts {
    const { mm, commandLine } = this.#hypervisor;
    const words = cpuFeatureWords(DEFAULT_FEATURES);
    return {
      totalMemory: this.#hypervisor.memory.frames * PAGE_SIZE,
      freeMemory: mm.freeFrames * PAGE_SIZE,
      cpus: this.#hypervisor.scheduler.cpus,
      cpuKhz: TSC_KHZ,
      scheduler: this.#hypervisor.scheduler.name,
      featureWords: [
        ...[words.leaf1Edx, words.leaf1Ecx, words.extendedEdx, words.extendedEcx],
        ...[words.xsaveEax, words.leaf7Ebx, words.leaf7Ecx, 0],
      ],
      version: {
        major: XEN_MAJOR,
        minor: XEN_MINOR,
        extra: XEN_EXTRAVERSION,
        capabilities: XEN_CAPABILITIES,
        virtStart: `0x${HYPERVISOR_VIRT_START.toString(16)}`,
        commandLine,
      },
    };
  }

  get statistics(): HostStatistics {
    const { cpus, predecoder, cache, handlers } = this.#engine;
    const sum = (of: (cpu: EngineCpu) => number) => cpus.reduce((total, cpu) => total + of(cpu), 0);
    const names = ["", "budget", "exception", "softwareInterrupt", "syscall", "sysenter", "halt", "io", "pause"];
    const exits: Record<string, number> = {};
    for (const [kind, name] of names.entries()) {
      const count = this.#hypervisor.exitCounts[kind]!;
      if (name && count > 0) exits[name] = count;
    }
    if (this.#hypervisor.gateCount > 0) exits.gate = this.#hypervisor.gateCount;
    const hypercalls: Record<string, number> = {};
    for (const domain of this.#hypervisor.domains.values())
      for (const [number, count] of domain.hypercallCounts.entries())
        if (count > 0) hypercalls[hypercallName(number)] = (hypercalls[hypercallName(number)] ?? 0) + count;
    return {
      hypercalls,
      instructions: sum((cpu) => cpu.instructions),
      busyMs: this.#loop.busyMs,
      idleMs: this.#loop.idleMs,
      exits,
      tlbMisses: sum((cpu) => cpu.access.misses),
      tlbFlushes: sum((cpu) => cpu.spaces.flushes),
      decodedInstructions: predecoder.instructions,
      codePages: cache.pageCount,
      codeBytes: cache.bytesUsed,
      codeInvalidations: cache.invalidations,
      handlers: handlers.count,
      compiledRegions: this.#engine.jit?.regions ?? 0,
      recalledRegions: this.#engine.jit?.recalled ?? 0,
      sharedRegions: this.#engine.jit?.shared ?? 0,
      installedRegions: this.#engine.jit?.installed.count ?? 0,
      jitCacheBytes: this.#engine.jit?.installed.bytes ?? 0,
    };
  }

  /** Stops everything at once: domains are destroyed without being asked. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#loop.stop();
    const guests = [...this.domains.values()];
    for (const domain of guests) domain.destroy();
    await Promise.all(guests.map((domain) => domain.released()));
    await this.#storeSocket?.close();
    await this.#storeFile?.close();
    this.#perfTrace?.close();
    for (const network of this.#networks.values()) network.close();
    this.#engine.close();
    await this.#translations?.close();
    await this.#jitWorker?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** What is compiled when depends on the host's threads, so a deterministic machine compiles in its own. */
function jitMode({ jit = true, deterministic }: HostConfig): JitMode {
  const mode = jit === true ? "async" : jit === false ? "off" : jit;
  if (!JIT_MODES.includes(mode))
    throw new XenError("bad-argument", `jit must be one of ${JIT_MODES.join(", ")}, not ${JSON.stringify(jit)}`);
  return mode === "async" && deterministic ? "sync" : mode;
}

function allocateMemory(frames: number): MachineMemory {
  const engineBytes = ENGINE_BYTES + frames * ENGINE_BYTES_A_FRAME;
  try {
    return new MachineMemory({ frames, engineBytes });
  } catch (cause) {
    // V8 reports that the process has no room for it as a RangeError too.
    const megabytes = Math.ceil((frames * PAGE_SIZE + engineBytes) / 2 ** 20);
    throw new XenError("out-of-memory", `this process can't allocate ${megabytes} MiB for a machine`, { cause });
  }
}

/** Makes an empty host. @throws XenError "bad-argument", or "out-of-memory" when this process can't have that much. */
export async function createXenHost(config: HostConfig = {}): Promise<XenHost> {
  const host = new XenHost(config);
  try {
    await host.openServices();
  } catch (error) {
    await host.close();
    throw error;
  }
  return host;
}

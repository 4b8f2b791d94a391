// The hypervisor's objects: Hypervisor, its domains, their vCPUs. They refer to each other, so they share a file; what they
// consist of (memory, event channels, grants, timers, PV state) are engines in files of their own, which never import this one.
// Nothing here runs guest code: that is run-vcpu.ts.

import type { Cpu } from "../cpu/cpu.js";
import type { Decoder } from "../cpu/decode/decoder.js";
import type { Exit } from "../cpu/exit.js";
import { PV_KERNEL, PV_KERNEL_SP } from "../cpu/state-layout.js";
import { DOUBLE_ZERO } from "../mmu/double.js";
import type { MachineMemory } from "../mmu/machine-memory.js";
import type { Clock } from "./clock.js";
import { DomainConsole } from "./domain-console.js";
import type { DomainMemory } from "./domain-memory.js";
import { type EventVcpu, POLLS_SEVERAL } from "./event-abi.js";
import { EventChannels } from "./event-channels.js";
import { FrameType } from "./frame-table.js";
import { GrantTable } from "./grant-table.js";
import type { E820Entry } from "./machine-map.js";
import { MemoryManager, OutOfMachineMemoryError } from "./memory-manager.js";
import { type InterruptController, NoInterrupts } from "./pirq.js";
import type { Abi } from "./public/layout.js";
import { SHUTDOWN_crash, SHUTDOWN_poweroff, SHUTDOWN_watchdog } from "./public/sched.js";
import { RUNSTATE_blocked, RUNSTATE_offline, RUNSTATE_runnable, RUNSTATE_running } from "./public/vcpu.js";
import { shared_info, VIRQ_CONSOLE, VIRQ_DOM_EXC, VIRQ_TIMER, vcpu_info } from "./public/xen.js";
import { dropRoots, setKernelRoot } from "./pv/base-pointer.js";
import type { CpuidPolicy } from "./pv/cpuid-policy.js";
import { validateDescriptorPage } from "./pv/descriptor-check.js";
import { invalidateLdt } from "./pv/descriptors.js";
import type { IoPorts } from "./pv/port-space.js";
import type { PvContext, PvHost } from "./pv/pv-context.js";
import { PvVcpu } from "./pv/pv-vcpu.js";
import { Runstate, type RunstateName } from "./runstate.js";
import { createScheduler } from "./scheduler/create-scheduler.js";
import type { SchedDomain, SchedUnit } from "./scheduler/sched-unit.js";
import type { Scheduler, SchedulerName } from "./scheduler/scheduler.js";
import { SystemTime, vcpuTimeOffset } from "./time.js";
import { VcpuTimers } from "./vcpu-timers.js";

const LEGACY_VCPUS = 32;
/** Frames of the hypervisor that a new domain takes at least: shared info, grant table, spare vcpu_info. */
const FRAMES_OF_A_DOMAIN = 8;
const TIME_UPDATE_INTERVAL = 1_000_000_000n;
const UPCALL_PENDING = vcpu_info.offset(64, "evtchn_upcall_pending");
const UPCALL_MASK = vcpu_info.offset(64, "evtchn_upcall_mask");

/** A hypercall that was interrupted and goes on with new arguments when the vCPU runs again. */
export interface Continuation {
  op: number;
  readonly args: BigUint64Array;
  isPending: boolean;
}

export class Vcpu implements EventVcpu, PvContext {
  readonly id: number;
  readonly domain: Domain;
  readonly cpu: Cpu;
  readonly pv = new PvVcpu();
  readonly timers = new VcpuTimers();
  readonly runstate: Runstate;
  readonly sched: SchedUnit<Vcpu>;
  readonly continuation: Continuation = { op: 0, args: new BigUint64Array(6), isPending: false };
  /** Registers were given: by the domain builder or VCPUOP_initialise. */
  isInitialised = false;
  /** VCPUOP_up; the builder starts vCPU 0. */
  isUp = false;
  isBlocked = false;
  pollPort = 0;
  /** Machine address of the vcpu_info in use. */
  infoAddress: number;
  /** Frame of a vcpu_info that the guest registered, or -1. */
  infoMfn = -1;
  /** Guest virtual addresses of registered areas; 0 = none. */
  runstateArea = 0n;
  timeArea = 0n;
  /** Version of what the time area holds; even. */
  timeVersion = 0;
  /** Gave up the rest of its slice (SCHEDOP_yield). */
  hasYielded = false;

  constructor(domain: Domain, id: number, cpu: Cpu) {
    this.domain = domain;
    this.id = id;
    this.cpu = cpu;
    this.pv.keepIn(cpu.state.word(PV_KERNEL), cpu.state.quadword(PV_KERNEL_SP));
    this.runstate = new Runstate(domain.hypervisor.time.now());
    this.sched = domain.hypervisor.scheduler.addVcpu(domain.sched, this);
    const { abi, sharedInfo } = domain;
    // vCPUs beyond those of the shared info page have no events until they register their own.
    this.infoAddress = id < LEGACY_VCPUS ? sharedInfo + id * vcpu_info.size(abi) : domain.hypervisor.spareInfo();
  }

  get isRunnable(): boolean {
    return this.isUp && !this.isBlocked && this.domain.isRunning;
  }

  get isRunning(): boolean {
    return this.runstate.state === RUNSTATE_running;
  }

  /** An upcall is pending and not masked. */
  get hasUpcall(): boolean {
    const { u8 } = this.domain.hypervisor.memory;
    return u8[this.infoAddress + UPCALL_PENDING] !== 0 && u8[this.infoAddress + UPCALL_MASK] === 0;
  }

  unmaskUpcalls(): void {
    this.domain.hypervisor.memory.writeU8(this.infoAddress + UPCALL_MASK, 0);
  }

  block(): void {
    this.isBlocked = true;
    this.setRunstate(RUNSTATE_blocked);
  }

  wake(): void {
    if (!this.isBlocked) return;
    this.isBlocked = false;
    this.#stopPolling();
    if (this.isUp) this.setRunstate(RUNSTATE_runnable);
    this.#becameRunnable();
  }

  sendNmi(): void {
    this.pv.nmiPending = true;
    this.wake();
  }

  #becameRunnable(): void {
    const { hypervisor } = this.domain;
    hypervisor.scheduler.wake(this.sched);
    hypervisor.onRunnable();
  }

  /** SCHEDOP_poll: waits for one of the ports, whatever their masks. */
  poll(ports: readonly number[], timeout: bigint | undefined): void {
    this.pollPort = ports.length === 1 ? ports[0]! : POLLS_SEVERAL;
    this.timers.pollTimeout = timeout;
    this.domain.events.pollers.add(this);
    this.block();
  }

  #stopPolling(): void {
    if (this.pollPort === 0) return;
    this.pollPort = 0;
    this.timers.pollTimeout = undefined;
    this.domain.events.pollers.delete(this);
  }

  eventsPending(): void {
    this.wake();
  }

  endPoll(): void {
    this.wake();
  }

  up(): void {
    this.isUp = true;
    this.isBlocked = false;
    this.setRunstate(RUNSTATE_runnable);
    this.writeTime();
    this.#becameRunnable();
  }

  down(): void {
    this.isUp = false;
    this.#stopPolling();
    this.setRunstate(RUNSTATE_offline);
  }

  setRunstate(state: RunstateName): void {
    this.runstate.change(state, this.domain.hypervisor.time.now());
  }

  /** Refreshes the vcpu_time_info in vcpu_info. */
  writeTime(): void {
    const { memory, time } = this.domain.hypervisor;
    time.writeVcpuTime(memory, this.infoAddress + vcpuTimeOffset(this.domain.abi));
  }

  /** Whether `continueHypercall` will be honoured: the dispatcher always does. */
  readonly canContinueHypercall = true;

  /**
   * Leaves RIP on the hypercall instruction, with these arguments in the registers: the call goes on after the vCPU gave way.
   * For handlers whose work a guest can make long; they return nothing then.
   */
  continueHypercall(op: number, ...args: (bigint | number)[]): void {
    const { continuation } = this;
    continuation.op = op;
    continuation.isPending = true;
    continuation.args.fill(0n);
    for (let i = 0; i < args.length; i++) continuation.args[i] = BigInt.asUintN(64, BigInt(args[i]!));
  }
}

export interface DomainOptions {
  readonly name: string;
  /** dom0: may use the machine's hardware and other domains. */
  readonly privileged?: boolean;
  readonly maxPages: number;
  readonly vcpus: number;
  /** Word size of the guest; 64 unless said. */
  readonly abi?: Abi;
  /** 16 bytes; drawn from the random source when absent. */
  readonly handle?: Uint8Array;
  readonly maxEventPort?: number;
  readonly maxGrantFrames?: number;
}

export class Domain {
  readonly hypervisor: Hypervisor;
  readonly id: number;
  name: string;
  readonly privileged: boolean;
  readonly abi: Abi;
  readonly handle: Uint8Array;
  readonly vcpus: Vcpu[] = [];
  readonly sched: SchedDomain<Vcpu>;
  readonly memory: DomainMemory;
  readonly sharedInfoMfn: number;
  readonly events: EventChannels;
  readonly grants: GrantTable;
  readonly console: DomainConsole;
  /** Bit mask of VMASST_TYPE_* below 32. */
  assists = 0;
  /** VMASST_TYPE_m2p_strict. */
  isM2pStrict = false;
  pauseCount = 0;
  isDying = false;
  isShutDown = false;
  /** SHUTDOWN_* once the domain has shut down, or announced it (SCHEDOP_shutdown_code). */
  shutdownReason: number | undefined;
  /** What the hypervisor crashed it for. */
  crashReason: string | undefined;
  /** Crashed, and its registers not shown yet. */
  needsDump = false;
  /** The page in which the guest looks up which PIRQs need an EOI (PHYSDEVOP_pirq_eoi_gmfn), or -1. */
  pirqEoiMfn = -1;
  /** EOI also unmasks the PIRQ's port. */
  pirqAutoUnmask = false;
  /** System time of each watchdog's end; undefined = free slot. */
  readonly watchdogs: (bigint | undefined)[] = [undefined, undefined];
  /** Hypercalls made, by number. */
  readonly hypercallCounts = new Uint32Array(64);
  /** What has been reported as unknown, so that it is said once. */
  readonly reported = new Set<string>();

  /** Only for Hypervisor.createDomain. */
  constructor(hypervisor: Hypervisor, id: number, options: DomainOptions) {
    this.hypervisor = hypervisor;
    this.id = id;
    this.name = options.name;
    this.privileged = options.privileged ?? false;
    this.abi = options.abi ?? 64;
    this.handle = options.handle ?? hypervisor.randomBytes(16);
    this.sched = hypervisor.scheduler.addDomain();
    const { mm, memory } = hypervisor;
    this.memory = mm.createSpace({ id, privileged: this.privileged, maxPages: options.maxPages });
    this.sharedInfoMfn = mm.allocateXenFrame();
    mm.shareXenFrame(this.sharedInfoMfn, id, true);
    this.events = new EventChannels({
      domid: id,
      memory,
      abi: this.abi,
      sharedInfo: this.sharedInfo,
      vcpu: (vcpu) => this.vcpus[vcpu],
      peer: (domid) => hypervisor.domains.get(domid)?.events,
      mapFrame: (gfn) => this.#mapFrame(gfn),
      unmapFrame: (maddr) => mm.frames.putPageAndType(Math.floor(maddr / 4096)),
      ...(options.maxEventPort === undefined ? {} : { maxPort: options.maxEventPort }),
    });
    this.grants = new GrantTable({
      domid: id,
      memory,
      maxFrames: options.maxGrantFrames ?? (this.privileged ? 64 : 32),
      allocateFrame: () => {
        if (mm.freeFrames === 0) return -1;
        const mfn = mm.allocateXenFrame();
        mm.shareXenFrame(mfn, id, true);
        return mfn;
      },
      freeFrame: (mfn) => mm.freeXenFrame(mfn),
      putFrame: (mfn, isReadonly) => (isReadonly ? mm.frames.putPage(mfn) : mm.frames.putPageAndType(mfn)),
    });
    this.console = new DomainConsole({
      onOutput: (bytes) => hypervisor.consoleOutput(id, bytes),
      onInputWaiting: () => hypervisor.consoleInputWaiting(this),
    });
  }

  /** Machine address of the shared info page. */
  get sharedInfo(): number {
    return this.sharedInfoMfn * 4096;
  }

  get isRunning(): boolean {
    return this.pauseCount === 0 && !this.isShutDown && !this.isDying;
  }

  #mapFrame(gfn: bigint): number {
    const { frames } = this.hypervisor.mm;
    if (gfn >= BigInt(frames.frames)) return -1;
    const mfn = Number(gfn);
    return frames.getPageAndType(mfn, this.id, FrameType.Writable) ? mfn * 4096 : -1;
  }

  pause(): void {
    this.pauseCount++;
  }

  unpause(): void {
    if (this.pauseCount > 0) this.pauseCount--;
    for (const vcpu of this.vcpus) this.hypervisor.scheduler.wake(vcpu.sched);
    this.hypervisor.onRunnable();
  }

  /** Masks all upcalls of the vCPUs, as at the start of a domain, and fills the clock pages. */
  initialiseSharedInfo(): void {
    const { memory, time } = this.hypervisor;
    for (let i = 0; i < LEGACY_VCPUS; i++)
      memory.writeU8(this.sharedInfo + i * vcpu_info.size(this.abi) + UPCALL_MASK, 1);
    memory.fill(this.sharedInfo + shared_info.offset(this.abi, "evtchn_mask"), this.abi === 64 ? 512 : 128, 0xff);
    time.writeWallclock(memory, this.sharedInfo, this.abi);
    for (const vcpu of this.vcpus) vcpu.writeTime();
  }
}

/** A hypercall's arguments, as long as the call lasts. */
export interface TracedArgs {
  arg(index: number): bigint;
  argNumber(index: number): number;
}

export interface HypervisorOptions {
  readonly memory: MachineMemory;
  readonly machineMap?: readonly E820Entry[];
  readonly clock: Clock;
  /** Frequency of the virtual time-stamp counter in kHz. */
  readonly tscKhz: number;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** Physical CPUs that domains' vCPUs share; 1 unless said. */
  readonly cpus?: number;
  /** Credit unless said. */
  readonly scheduler?: SchedulerName;
  /** @throws RangeError: the engine has no memory for another one */
  readonly createCpu: (domid: number, vcpu: number) => Cpu;
  /** The vCPU will never run again. */
  readonly releaseCpu?: (cpu: Cpu) => void;
  readonly decoder: Decoder;
  readonly cpuid: CpuidPolicy;
  readonly ioPorts: IoPorts;
  /** The machine's interrupt lines, for dom0's PIRQs. */
  readonly interrupts?: InterruptController;
  /** A line of the hypervisor's log, without "(XEN) ". */
  readonly log: (line: string) => void;
  /** Remarks that only a debug build of Xen prints. */
  readonly debugLog?: (line: string) => void;
  /** Raw console output of a domain. */
  readonly consoleWrite: (domid: number, bytes: Uint8Array) => void;
  /** A domain shut down or crashed; it doesn't run any more. */
  readonly onShutdown?: (domain: Domain, reason: number) => void;
  /** Xen's command line, for XENVER_commandline. */
  readonly commandLine?: string;
}

/** Follows vCPUs into their guests and out again, for profiles and traces (src/host). */
export interface RunObserver {
  /** Guest code is about to run. */
  enter(vcpu: Vcpu): void;
  /** It ran, and `exit` says why it stopped; nothing was done about that yet. */
  leave(vcpu: Vcpu, exit: Exit): void;
  /** What the exit asks for is done; not called after ExitKind.Budget, which asks for nothing. */
  handled(vcpu: Vcpu): void;
}

export class Hypervisor implements PvHost {
  readonly memory: MachineMemory;
  readonly mm: MemoryManager;
  readonly time: SystemTime;
  readonly scheduler: Scheduler<Vcpu>;
  readonly domains = new Map<number, Domain>();
  readonly decoder: Decoder;
  readonly cpuid: CpuidPolicy;
  readonly ioPorts: IoPorts;
  readonly interrupts: InterruptController;
  readonly commandLine: string;
  /** Instructions until a turn of a vCPU looks at timers (run-vcpu.ts). */
  untilTimers = DOUBLE_ZERO;
  /** Called when a vCPU becomes runnable outside of runVcpu: a sleeping host loop wakes up. */
  onRunnable: () => void = () => {};
  /** Called before each hypercall, those of a multicall included. */
  traceHypercall: ((vcpu: Vcpu, number: number, args: TracedArgs) => void) | undefined;
  /** Called after each hypercall with its result; undefined when the call left RAX alone (iret) or goes on later. */
  traceHypercallResult: ((vcpu: Vcpu, number: number, result: bigint | number | undefined) => void) | undefined;
  /** Called before each instruction; while it is set, vCPUs run one instruction at a time, which is slow. */
  traceInstruction: ((vcpu: Vcpu) => void) | undefined;
  /** Called for each exception exit of a guest. */
  traceException: ((vcpu: Vcpu, vector: number, errorCode: number) => void) | undefined;
  observer: RunObserver | undefined;
  /** Exits of all vCPUs, by ExitKind. */
  readonly exitCounts = new Float64Array(16);
  /** System calls and iret hypercalls that needed no exit (pv/gate.ts). */
  gateCount = 0;
  /** Emulates a write to a page table (pv/ptwr.ts, which is above this file); create-hypervisor.ts sets it. */
  pageTableWriter: (vcpu: Vcpu, address: bigint) => boolean = () => {
    throw new Error("the hypervisor was not made by createHypervisor");
  };
  readonly #options: HypervisorOptions;
  /** Writes the time area that a vCPU registered; create-hypervisor.ts sets it. */
  onTimeUpdate: (vcpu: Vcpu) => void = () => {};
  #nextTimeUpdate = 0n;
  #spareInfo = -1;
  #nextId = 0;

  constructor(options: HypervisorOptions) {
    this.#options = options;
    this.memory = options.memory;
    this.mm = new MemoryManager({
      memory: options.memory,
      ...(options.machineMap ? { machineMap: options.machineMap } : {}),
    });
    this.mm.types.segmentValidator = (mfn) => validateDescriptorPage(options.memory, mfn);
    this.mm.types.segmentUnmapped = (owner) => {
      for (const vcpu of this.domains.get(owner)?.vcpus ?? []) invalidateLdt(this, vcpu);
    };
    this.time = new SystemTime(options.clock, options.tscKhz);
    this.scheduler = createScheduler(options.scheduler ?? "credit", options.cpus ?? 1);
    this.decoder = options.decoder;
    this.cpuid = options.cpuid;
    this.ioPorts = options.ioPorts;
    this.interrupts = options.interrupts ?? new NoInterrupts();
    this.commandLine = options.commandLine ?? "";
  }

  log(line: string): void {
    this.#options.log(line);
  }

  debugLog(line: string): void {
    this.#options.debugLog?.(line);
  }

  // --- PvHost ---

  crashDomain(vcpu: PvContext, reason: string): void {
    const domain = this.domains.get(vcpu.domain.id);
    if (domain) this.domainCrash(domain, `v${vcpu.id} ${reason}`);
  }

  emulatePageTableWrite(vcpu: PvContext, address: bigint): boolean {
    return this.pageTableWriter(this.#vcpuOf(vcpu), address);
  }

  newBasePointer(vcpu: PvContext, mfn: number): boolean {
    return setKernelRoot(this.#vcpuOf(vcpu), mfn);
  }

  getDescriptorPage(vcpu: PvContext, mfn: number): boolean {
    return this.mm.frames.getPageAndType(mfn, vcpu.domain.id, FrameType.SegDesc);
  }

  putDescriptorPage(mfn: number): void {
    this.mm.frames.putPageAndType(mfn);
  }

  readTsc(): bigint {
    return this.time.tsc();
  }

  #vcpuOf(vcpu: PvContext): Vcpu {
    const found = this.domains.get(vcpu.domain.id)?.vcpus[vcpu.id];
    if (!found) throw new Error(`vCPU ${vcpu.id} of domain ${vcpu.domain.id} is not this hypervisor's`);
    return found;
  }

  randomBytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => Math.floor(this.#options.random() * 256));
  }

  /** A vcpu_info that nobody reads, for vCPUs that haven't registered theirs. */
  spareInfo(): number {
    if (this.#spareInfo < 0) this.#spareInfo = this.mm.allocateXenFrame() * 4096;
    return this.#spareInfo;
  }

  countExit(kind: number): void {
    this.exitCounts[kind] = this.exitCounts[kind]! + 1;
  }

  // --- domains ---

  /** Domain 0 is the first one that is privileged; others count from 1. */
  createDomain(options: DomainOptions): Domain {
    if (this.mm.freeFrames < FRAMES_OF_A_DOMAIN)
      throw new OutOfMachineMemoryError(`${options.name}: the machine has no memory left for another domain`);
    const id = options.privileged && !this.domains.has(0) ? 0 : ++this.#nextId;
    const domain = new Domain(this, id, options);
    this.domains.set(id, domain);
    try {
      for (let i = 0; i < options.vcpus; i++) this.#addVcpu(domain, i);
    } catch (error) {
      this.destroyDomain(domain);
      if (!(error instanceof RangeError)) throw error;
      const text = `${options.name}: the engine has no memory left for ${options.vcpus} vCPUs`;
      throw new OutOfMachineMemoryError(text, { cause: error });
    }
    domain.initialiseSharedInfo();
    return domain;
  }

  #addVcpu(domain: Domain, id: number): void {
    const vcpu = new Vcpu(domain, id, this.#options.createCpu(domain.id, id));
    domain.memory.tlb.attach(vcpu.cpu);
    vcpu.pv.onModeSwitch = () => domain.memory.tlb.sync();
    domain.vcpus.push(vcpu);
  }

  findDomain(id: number): Domain | undefined {
    return this.domains.get(id);
  }

  /** Ends a domain for good: events, grants, page tables, memory. */
  destroyDomain(domain: Domain): void {
    if (domain.isDying) return;
    domain.isDying = true;
    for (const vcpu of domain.vcpus) vcpu.down();
    this.scheduler.removeDomain(domain.sched);
    domain.events.reset();
    domain.console.detach();
    for (const vcpu of domain.vcpus) this.#releaseVcpu(vcpu);
    domain.grants.destroy();
    if (domain.pirqEoiMfn >= 0) this.mm.frames.putPageAndType(domain.pirqEoiMfn);
    this.mm.freeXenFrame(domain.sharedInfoMfn);
    this.mm.destroySpace(domain.memory);
    this.domains.delete(domain.id);
    this.domains.get(0)?.events.raiseVirq(VIRQ_DOM_EXC);
  }

  #releaseVcpu(vcpu: Vcpu): void {
    const { pv } = vcpu;
    if (vcpu.infoMfn >= 0) this.mm.frames.putPageAndType(vcpu.infoMfn);
    vcpu.infoMfn = -1;
    for (const mfn of pv.gdtFrames) this.putDescriptorPage(mfn);
    for (const mfn of pv.ldtFrames.values()) this.putDescriptorPage(mfn);
    pv.gdtFrames.length = 0;
    pv.ldtFrames.clear();
    dropRoots(vcpu);
    vcpu.domain.memory.tlb.detach(vcpu.cpu);
    this.#options.releaseCpu?.(vcpu.cpu);
  }

  /** The domain has ended itself (SHUTDOWN_*): no vCPU of it runs any more. */
  shutdownDomain(domain: Domain, reason: number): void {
    if (domain.isShutDown) return;
    domain.isShutDown = true;
    domain.shutdownReason ??= reason;
    if (reason === SHUTDOWN_crash) domain.needsDump = true;
    if (domain.privileged) this.#logHardwareDomainShutdown(domain.id, reason);
    else this.domains.get(0)?.events.raiseVirq(VIRQ_DOM_EXC);
    this.#options.onShutdown?.(domain, domain.shutdownReason);
  }

  #logHardwareDomainShutdown(id: number, reason: number): void {
    const what = [
      "halted: halting machine",
      "shutdown: rebooting machine",
      "suspended",
      "crashed",
      "watchdog rebooted",
    ];
    this.log(`Hardware Dom${id} ${what[reason] ?? `shutdown: unknown reason ${reason}: rebooting machine`}`);
  }

  /** The hardware domain switched the machine off (ACPI S5). */
  powerOff(domain: Domain): void {
    domain.isShutDown = true;
    domain.shutdownReason = SHUTDOWN_poweroff;
    this.#options.onShutdown?.(domain, SHUTDOWN_poweroff);
  }

  /** XENPF_settime: all domains see the new wall clock. */
  setWallclock(seconds: bigint, nanoseconds: number, at: bigint): void {
    this.time.setWall(seconds, nanoseconds, at);
    for (const domain of this.domains.values()) this.time.writeWallclock(this.memory, domain.sharedInfo, domain.abi);
  }

  /** The domain did what it must not: it stops, the others go on. The run loop shows its registers. */
  domainCrash(domain: Domain, reason: string): void {
    if (domain.isShutDown || domain.isDying) return;
    this.log(`d${domain.id} ${reason}`);
    domain.crashReason = reason;
    this.shutdownDomain(domain, SHUTDOWN_crash);
  }

  // --- console ---

  consoleOutput(domid: number, bytes: Uint8Array): void {
    this.#options.consoleWrite(domid, bytes);
  }

  consoleInputWaiting(domain: Domain): void {
    if (domain.privileged) domain.events.raiseVirq(VIRQ_CONSOLE);
  }

  // --- timers ---

  /** System time of the earliest timer, or undefined. */
  nextDeadline(): bigint | undefined {
    let earliest: bigint | undefined;
    for (const domain of this.domains.values()) {
      if (!domain.isRunning) continue;
      for (const vcpu of domain.vcpus) {
        const next = vcpu.isUp ? vcpu.timers.next() : undefined;
        if (next !== undefined && (earliest === undefined || next < earliest)) earliest = next;
      }
      for (const end of domain.watchdogs)
        if (end !== undefined && (earliest === undefined || end < earliest)) earliest = end;
    }
    return earliest;
  }

  /** Raises the timer interrupts that are due. */
  runTimers(): void {
    const now = this.time.now();
    if (now >= this.#nextTimeUpdate) this.#updateTimes(now);
    for (const domain of this.domains.values()) {
      if (!domain.isRunning) continue;
      for (const vcpu of domain.vcpus) this.#runTimersOf(vcpu, now);
      if (domain.watchdogs.some((end) => end !== undefined && end <= now)) this.#watchdogFired(domain);
    }
  }

  /** The guests' time scale is a rounded fraction: fresh starting points keep the error below a nanosecond. */
  #updateTimes(now: bigint): void {
    this.#nextTimeUpdate = now + TIME_UPDATE_INTERVAL;
    for (const domain of this.domains.values())
      for (const vcpu of domain.vcpus) {
        if (!vcpu.isUp || domain.isDying) continue;
        vcpu.writeTime();
        this.onTimeUpdate(vcpu);
      }
  }

  #runTimersOf(vcpu: Vcpu, now: bigint): void {
    const next = vcpu.isUp ? vcpu.timers.next() : undefined;
    if (next === undefined || next > now) return;
    const { tick, pollOver } = vcpu.timers.expire(now);
    if (tick) vcpu.domain.events.raiseVirq(VIRQ_TIMER, vcpu.id);
    if (pollOver) vcpu.wake();
  }

  #watchdogFired(domain: Domain): void {
    this.log(`Watchdog timer fired for domain ${domain.id}`);
    domain.watchdogs.fill(undefined);
    this.shutdownDomain(domain, SHUTDOWN_watchdog);
  }
}

// Drives all domains of a host in one thread: runs whom the scheduler picks for a slice, raises due timers, and gives the event
// loop its turn at least every few milliseconds. When nothing is runnable it sleeps until the next timer or event.

import type { Hypervisor, Vcpu } from "../hypervisor/hypervisor.js";
import { DOUBLE_ZERO } from "../mmu/double.js";
import type { VirtualClock } from "./clocks.js";

/** Longest stretch without yielding to the event loop, ms. */
const SLICE_MS = 4;
/** What one runVcpu should take, ms: the grain of timers. */
const GRAIN_MS = 1;
const FIRST_BUDGET = 20_000;
const MAX_BUDGET = 2_000_000;
/** Instructions a slice under virtual time, and what each is worth. */
const VIRTUAL_BUDGET = 50_000;
const NS_PER_INSTRUCTION = 1n;
const MAX_SLEEP_MS = 1000;
/** Over how long the load is averaged, ms, and from which part of it on guests count as busy: timers of idle guests stay below. */
const LOAD_MS = 50;
const BUSY_LOAD = 0.1;

export interface RunLoopOptions {
  readonly hypervisor: Hypervisor;
  /** Runs a vCPU, for so many ms at most; returns the instructions executed. */
  readonly run: (vcpu: Vcpu, budget: number, longestMs: number) => number;
  readonly virtualClock?: VirtualClock;
  /** Called before guests run with whether they have been running for more than a small part of the time lately. */
  readonly onLoad?: (isBusy: boolean) => void;
  /** Called after each turn of a guest. */
  readonly afterTurn: () => void;
  /** Nothing was runnable between these times (performance.now()). */
  readonly onSleep?: (start: number, end: number) => void;
  /** What escapes from the loop: always a defect of ours. */
  readonly onError: (error: unknown) => void;
}

export class RunLoop {
  readonly #options: RunLoopOptions;
  #running = false;
  #wake: (() => void) | undefined;
  /** The CPU whose turn it was last; by CPU, whether its vCPU gave way. */
  #cpu = 0;
  readonly #yields: boolean[] = [];
  #budget = FIRST_BUDGET;
  /** Instructions that guests executed, and how long it took, since the budget was set. */
  #executed = DOUBLE_ZERO;
  #tookMs = DOUBLE_ZERO;
  /** All that could run yields: it polls for what only the event loop brings (GRUB's disk driver does). */
  #isWaiting = false;
  /** Part of the time that guests ran lately; virtual time has none to spare. */
  #load = 1 + DOUBLE_ZERO;
  /** Milliseconds spent in guests, and asleep. */
  busyMs = DOUBLE_ZERO;
  idleMs = DOUBLE_ZERO;

  constructor(options: RunLoopOptions) {
    this.#options = options;
    options.hypervisor.onRunnable = () => this.#wake?.();
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#loop().catch((error: unknown) => {
      this.#running = false;
      this.#options.onError(error);
    });
  }

  stop(): void {
    this.#running = false;
    this.#wake?.();
  }

  async #loop(): Promise<void> {
    // In virtual time the event loop's turns come by instructions too: what a script does when a guest said something can be repeated.
    const { virtualClock } = this.#options;
    while (this.#running) {
      const start = performance.now();
      let ran = true;
      this.#options.onLoad?.(this.#load > BUSY_LOAD);
      this.#isWaiting = false;
      do ran = this.#step(start + SLICE_MS);
      while (ran && this.#running && !this.#isWaiting && !virtualClock && performance.now() - start < SLICE_MS);
      const busy = performance.now() - start;
      this.busyMs += busy;
      this.#load = 1 - (1 - this.#load) * Math.exp(-busy / LOAD_MS);
      if (!this.#running) return;
      if (ran) await new Promise((resolve) => setImmediate(resolve));
      else await this.#sleep();
    }
  }

  /** One slice of one vCPU, which ends about then (performance.now()). False when nothing is runnable. */
  #step(end: number): boolean {
    const { hypervisor, run, afterTurn, virtualClock } = this.#options;
    hypervisor.runTimers();
    const vcpu = this.#pick();
    if (!vcpu) return this.#skipIdleTime();
    if (virtualClock) {
      virtualClock.advance(BigInt(run(vcpu, VIRTUAL_BUDGET, SLICE_MS)) * NS_PER_INSTRUCTION);
      this.#yields[this.#cpu] = vcpu.hasYielded;
      afterTurn();
      return true;
    }
    const before = performance.now();
    const executed = run(vcpu, this.#budget, Math.max(GRAIN_MS, end - before));
    this.#yields[this.#cpu] = vcpu.hasYielded;
    this.#isWaiting = vcpu.hasYielded && !hypervisor.scheduler.hasWork(this.#cpu);
    const took = performance.now() - before;
    this.#measureSpeed(executed, took);
    afterTurn();
    return true;
  }

  /** The budget follows what guests execute in a grain's time, in however many turns. */
  #measureSpeed(executed: number, took: number): void {
    this.#executed += executed;
    this.#tookMs += took;
    if (this.#tookMs < GRAIN_MS) return;
    const wanted = Math.min(this.#executed * (GRAIN_MS / this.#tookMs), 2 * this.#budget);
    this.#budget = Math.round(Math.min(MAX_BUDGET, Math.max(FIRST_BUDGET, wanted)));
    this.#executed = this.#tookMs = DOUBLE_ZERO;
  }

  /** The physical CPUs take turns; which vCPU runs there is the scheduler's choice. */
  #pick(): Vcpu | undefined {
    const { scheduler, time } = this.#options.hypervisor;
    const now = Number(time.now());
    for (let i = 0; i < scheduler.cpus; i++) {
      this.#cpu = (this.#cpu + 1) % scheduler.cpus;
      const unit = scheduler.next(this.#cpu, now, this.#yields[this.#cpu]);
      this.#yields[this.#cpu] = false;
      if (unit) return unit.vcpu;
    }
    return undefined;
  }

  /** System time at which there is something to do that nobody announces. */
  #nextDeadline(): bigint | undefined {
    const { hypervisor } = this.#options;
    const timer = hypervisor.nextDeadline();
    const { deadline } = hypervisor.scheduler;
    if (deadline === undefined) return timer;
    const credits = BigInt(Math.ceil(deadline));
    return timer === undefined || credits < timer ? credits : timer;
  }

  /** Under virtual time an idle machine jumps to its next timer. */
  #skipIdleTime(): boolean {
    const { hypervisor, virtualClock } = this.#options;
    if (!virtualClock) return false;
    const deadline = this.#nextDeadline();
    const guests = deadline === undefined ? undefined : deadline - hypervisor.time.now();
    const networks = virtualClock.untilNext;
    const next = guests === undefined || (networks !== undefined && networks < guests) ? networks : guests;
    if (next === undefined) return false;
    virtualClock.advance(next > 0n ? next : 1n);
    return true;
  }

  async #sleep(): Promise<void> {
    const { hypervisor } = this.#options;
    const start = performance.now();
    const deadline = this.#nextDeadline();
    const left = deadline === undefined ? MAX_SLEEP_MS : Number(deadline - hypervisor.time.now()) / 1e6;
    if (left > 0.05) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(Math.max(1, Math.floor(left)), MAX_SLEEP_MS));
        // What else comes in this turn of the event loop, the rest of a socket's data, is there before guests run.
        this.#wake = () => {
          this.#wake = undefined;
          clearTimeout(timer);
          setImmediate(resolve);
        };
      });
      this.#wake = undefined;
    }
    const end = performance.now();
    this.idleMs += end - start;
    this.#load *= Math.exp(-(end - start) / LOAD_MS);
    this.#options.onSleep?.(start, end);
  }
}

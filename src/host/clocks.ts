// The two clocks of a host: the real one, and a virtual one that advances with executed instructions, for deterministic runs.

import { VirtualTimers } from "../devices/network/timers.js";
import type { Clock } from "../hypervisor/clock.js";

export const realClock: Clock = {
  monotonic: () => process.hrtime.bigint(),
  wall: () => BigInt(Date.now()) * 1_000_000n,
};

/** 2026-01-01T00:00:00Z: where virtual time starts unless told otherwise. */
const DEFAULT_EPOCH = 1_767_225_600_000_000_000n;

export class VirtualClock implements Clock {
  #now = 0n;
  /** For networks: time that passes with the clock. */
  readonly timers = new VirtualTimers();
  readonly #epoch: bigint;

  /** `epoch`: wall clock at the start, ns since 1970. */
  constructor(epoch = DEFAULT_EPOCH) {
    this.#epoch = epoch;
  }
  monotonic(): bigint {
    return this.#now;
  }
  wall(): bigint {
    return this.#epoch + this.#now;
  }
  /** With the calls of `timers` that fall due meanwhile. */
  advance(ns: bigint): void {
    if (ns <= 0n) return;
    this.#now += ns;
    this.timers.advance(Number(ns) / 1e6);
  }
  /** Nanoseconds to the next call of `timers`. */
  get untilNext(): bigint | undefined {
    const milliseconds = this.timers.untilNext;
    return milliseconds === undefined ? undefined : BigInt(Math.ceil(milliseconds * 1e6));
  }
}

/** A reproducible source of numbers in [0, 1): xorshift128+ seeded with one 32-bit number. */
export function seededRandom(seed: number): () => number {
  let [a, b] = [(seed ^ 0x9e3779b9) >>> 0 || 1, (Math.imul(seed, 0x85ebca6b) ^ 0xc2b2ae35) >>> 0 || 1];
  return () => {
    let t = a;
    a = b;
    t ^= t << 13;
    t ^= t >>> 17;
    t ^= b ^ (b >>> 5);
    b = t >>> 0;
    return ((a + b) >>> 0) / 0x100000000;
  };
}

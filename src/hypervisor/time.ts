// Virtual time (xen.h: vcpu_time_info, shared_info's wallclock). System time is nanoseconds since the hypervisor started; the
// time-stamp counter is an exact linear function of it, so the guest's own computation from the TSC never drifts away.

import type { MachineMemory } from "../mmu/machine-memory.js";
import type { Clock } from "./clock.js";
import type { Abi } from "./public/layout.js";
import { shared_info, vcpu_info, vcpu_time_info, wcSecHiOffset, XEN_PVCLOCK_TSC_STABLE_BIT } from "./public/xen.js";

const NS_PER_S = 1_000_000_000n;
const AFTER_VERSION = vcpu_time_info.offset(64, "tsc_timestamp");
const KHZ_PER_GHZ = 1_000_000n;

/** ns = ((ticks << shift, or >> -shift) * mul) >> 32, with mul in [2^31, 2^32): the scale of pvclock. */
export function pvclockScale(tscKhz: number): { mul: number; shift: number } {
  let shift = 0;
  let ticksPerSecond = BigInt(tscKhz) * 1000n;
  while (ticksPerSecond > 2n * NS_PER_S) {
    ticksPerSecond >>= 1n;
    shift--;
  }
  while (ticksPerSecond <= NS_PER_S) {
    ticksPerSecond <<= 1n;
    shift++;
  }
  return { mul: Number((NS_PER_S << 32n) / ticksPerSecond), shift };
}

export class SystemTime {
  readonly tscKhz: number;
  readonly #clock: Clock;
  readonly #origin: bigint;
  readonly #scale: { mul: number; shift: number };
  /** Wall clock, ns since 1970, at system time 0. */
  #wallAtStart: bigint;

  constructor(clock: Clock, tscKhz: number) {
    this.#clock = clock;
    this.tscKhz = tscKhz;
    this.#origin = clock.monotonic();
    this.#wallAtStart = clock.wall();
    this.#scale = pvclockScale(tscKhz);
  }

  /** System time: ns since start. */
  now(): bigint {
    return this.#clock.monotonic() - this.#origin;
  }

  /** The time-stamp counter that every vCPU reads. */
  tsc(): bigint {
    return this.tscAt(this.now());
  }

  tscAt(ns: bigint): bigint {
    return (ns * BigInt(this.tscKhz)) / KHZ_PER_GHZ;
  }

  /** Wall clock now, ns since 1970. */
  wall(): bigint {
    return this.#wallAtStart + this.now();
  }

  /** XENPF_settime: the wall clock was `seconds`, `nanoseconds` at system time `at`. */
  setWall(seconds: bigint, nanoseconds: number, at: bigint): void {
    this.#wallAtStart = BigInt.asUintN(64, seconds * NS_PER_S + BigInt(nanoseconds) - at);
  }

  /** Writes a vcpu_time_info at `maddr`. The version is odd while the rest changes. */
  writeVcpuTime(memory: MachineMemory, maddr: number): void {
    const version = memory.readU32(maddr) & ~1;
    memory.writeU32(maddr, (version + 1) >>> 0);
    memory.write(maddr + AFTER_VERSION, this.encodeVcpuTime(0).subarray(AFTER_VERSION));
    memory.writeU32(maddr, (version + 2) >>> 0);
  }

  /** A vcpu_time_info as bytes, with the given version. */
  encodeVcpuTime(version: number): Uint8Array {
    const now = this.now();
    return vcpu_time_info.encode(64, {
      version,
      pad0: 0,
      tsc_timestamp: this.tscAt(now),
      system_time: now,
      tsc_to_system_mul: this.#scale.mul,
      tsc_shift: this.#scale.shift,
      flags: XEN_PVCLOCK_TSC_STABLE_BIT,
      pad1: new Uint8Array(2),
    });
  }

  /** Writes the wall clock at system time 0 into a shared info page. */
  writeWallclock(memory: MachineMemory, sharedInfo: number, abi: Abi): void {
    const at = sharedInfo + shared_info.offset(abi, "wc_version");
    const version = memory.readU32(at) & ~1;
    const seconds = this.#wallAtStart / NS_PER_S;
    memory.writeU32(at, (version + 1) >>> 0);
    memory.writeU32(sharedInfo + shared_info.offset(abi, "wc_sec"), Number(seconds & 0xffffffffn));
    memory.writeU32(sharedInfo + shared_info.offset(abi, "wc_nsec"), Number(this.#wallAtStart % NS_PER_S));
    memory.writeU32(sharedInfo + wcSecHiOffset(abi), Number((seconds >> 32n) & 0xffffffffn));
    memory.writeU32(at, (version + 2) >>> 0);
  }
}

/** Offset of the vcpu_time_info in a vcpu_info. */
export function vcpuTimeOffset(abi: Abi): number {
  return vcpu_info.offset(abi, "time");
}

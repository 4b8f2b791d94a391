// How long a vCPU has been in each run state (vcpu.h, vcpu_runstate_info).

import type { Abi } from "./public/layout.js";
import {
  type RUNSTATE_blocked,
  RUNSTATE_offline,
  type RUNSTATE_runnable,
  RUNSTATE_running,
  vcpu_runstate_info,
} from "./public/vcpu.js";

export type RunstateName =
  | typeof RUNSTATE_running
  | typeof RUNSTATE_runnable
  | typeof RUNSTATE_blocked
  | typeof RUNSTATE_offline;

export class Runstate {
  state: RunstateName = RUNSTATE_offline;
  /** System time at which the state began. */
  entryTime: bigint;
  /** ns spent in running, runnable, blocked, offline; without the present state's time. */
  readonly times: [bigint, bigint, bigint, bigint] = [0n, 0n, 0n, 0n];

  constructor(now: bigint) {
    this.entryTime = now;
  }

  change(state: RunstateName, now: bigint): void {
    const spent = now - this.entryTime;
    if (spent > 0n) {
      this.times[this.state] += spent;
      this.entryTime = now;
    }
    this.state = state;
  }

  /** ns of CPU time until now. */
  cpuTime(now: bigint): bigint {
    return this.times[RUNSTATE_running] + (this.state === RUNSTATE_running ? now - this.entryTime : 0n);
  }

  /** vcpu_runstate_info as of now: VCPUOP_get_runstate_info counts the present state's time too. */
  encode(abi: Abi, now: bigint): Uint8Array {
    const bytes = new Uint8Array(vcpu_runstate_info.size(abi));
    this.encodeInto(new DataView(bytes.buffer), abi, now);
    return bytes;
  }

  /** The same into memory of the caller's: it is done at each turn of a vCPU. */
  encodeInto(view: DataView, abi: Abi, now: bigint): void {
    const times = vcpu_runstate_info.offset(abi, "time");
    view.setInt32(vcpu_runstate_info.offset(abi, "state"), this.state, true);
    view.setBigUint64(vcpu_runstate_info.offset(abi, "state_entry_time"), this.entryTime, true);
    for (let i = 0; i < 4; i++) {
      const sinceEntry = i === this.state && now > this.entryTime ? now - this.entryTime : 0n;
      view.setBigUint64(times + 8 * i, this.times[i]! + sinceEntry, true);
    }
  }
}

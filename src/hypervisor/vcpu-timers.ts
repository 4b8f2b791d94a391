// The timers of one vCPU (vcpu.h): one single-shot and one periodic VIRQ_TIMER source, and the timeout of SCHEDOP_poll. Times are
// system time in nanoseconds. Plain state; the hypervisor asks what is due.

/** Periods below this would let a guest keep the host busy: Xen's limit, 1 ms. */
export const MIN_PERIOD = 1_000_000n;

export class VcpuTimers {
  singleshot: bigint | undefined;
  pollTimeout: bigint | undefined;
  #period = 0n;
  #nextPeriodic = 0n;

  /** Starts the periodic timer, or stops it with 0. */
  setPeriodic(period: bigint, now: bigint): void {
    this.#period = period;
    this.#nextPeriodic = now + period;
  }

  get period(): bigint {
    return this.#period;
  }

  /** The earliest deadline, or undefined. */
  next(): bigint | undefined {
    let next = this.singleshot;
    if (this.#period > 0n && (next === undefined || this.#nextPeriodic < next)) next = this.#nextPeriodic;
    if (this.pollTimeout !== undefined && (next === undefined || this.pollTimeout < next)) next = this.pollTimeout;
    return next;
  }

  /** Takes what is due at `now`: whether VIRQ_TIMER is to be raised, whether a poll is over. Missed periods are skipped. */
  expire(now: bigint): { tick: boolean; pollOver: boolean } {
    let tick = false;
    let pollOver = false;
    if (this.singleshot !== undefined && this.singleshot <= now) {
      this.singleshot = undefined;
      tick = true;
    }
    if (this.#period > 0n && this.#nextPeriodic <= now) {
      this.#nextPeriodic += ((now - this.#nextPeriodic) / this.#period + 1n) * this.#period;
      tick = true;
    }
    if (this.pollTimeout !== undefined && this.pollTimeout <= now) {
      this.pollTimeout = undefined;
      pollOver = true;
    }
    return { tick, pollOver };
  }
}

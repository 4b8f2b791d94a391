// HYPERVISOR_set_timer_op (xen.h): the single-shot timer in its first form.

import type { Vcpu } from "../hypervisor.js";
import { __HYPERVISOR_set_timer_op, VIRQ_TIMER } from "../public/xen.js";
import type { HypercallArgs, HypercallRow } from "./args.js";

/** Beyond this distance a timeout can only be a guest's overflow: Xen fires such timers in 100 ms. */
const FAR = 1n << 50n;
const SOON = 100_000_000n;

/** Argument: absolute system time in ns, or 0 to stop. */
export function setTimerOp(vcpu: Vcpu, args: HypercallArgs): number {
  const at = args.arg(0);
  const now = vcpu.domain.hypervisor.time.now();
  const { timers } = vcpu;
  if (at === 0n) timers.singleshot = undefined;
  else if (at <= now) {
    timers.singleshot = undefined;
    vcpu.domain.events.raiseVirq(VIRQ_TIMER, vcpu.id);
  } else timers.singleshot = at - now > FAR ? now + SOON : at;
  return 0;
}

/** 32-bit guests pass the two halves of the timeout. */
function setTimerOp32(vcpu: Vcpu, args: HypercallArgs): number {
  args.quads[0] = BigInt(args.argNumber(0)) | (BigInt(args.argNumber(1)) << 32n);
  return setTimerOp(vcpu, args);
}

export const timerRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_set_timer_op, name: "set_timer_op", pv64: setTimerOp, pv32: setTimerOp32, hvm: setTimerOp },
];

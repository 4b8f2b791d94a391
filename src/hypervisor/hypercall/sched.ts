// HYPERVISOR_sched_op (sched.h) and its first form, which takes the shutdown reason as its argument.

import { copyFromGuest } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { errno } from "../public/errno.js";
import * as S from "../public/sched.js";
import { __HYPERVISOR_sched_op, __HYPERVISOR_sched_op_compat } from "../public/xen.js";
import type { HypercallArgs, HypercallRow } from "./args.js";
import { input, type OperationTable, runOperation } from "./operation.js";

const MAX_POLL_PORTS = 128;
const NS_PER_S = 1_000_000_000n;

function yieldSlice(vcpu: Vcpu): number {
  vcpu.hasYielded = true;
  return 0;
}

/** Waits for an event; unmasks upcalls first, so that it can't wait for one that is pending. */
function block(vcpu: Vcpu): number {
  vcpu.unmaskUpcalls();
  if (!vcpu.hasUpcall) vcpu.block();
  return 0;
}

function shutdown(vcpu: Vcpu, reason: number): number {
  const { domain } = vcpu;
  domain.hypervisor.shutdownDomain(domain, reason);
  return 0;
}

const operations: OperationTable = {
  [S.SCHEDOP_yield]: yieldSlice,
  [S.SCHEDOP_block]: block,
  [S.SCHEDOP_shutdown]: input(S.sched_shutdown, (vcpu, { reason }) => shutdown(vcpu, reason)),
  [S.SCHEDOP_poll]: input(S.sched_poll, (vcpu, { ports, nr_ports, timeout }) => {
    if (nr_ports > MAX_POLL_PORTS) return -errno.EINVAL;
    const bytes = copyFromGuest(vcpu, ports, nr_ports * 4);
    if (!bytes) return -errno.EFAULT;
    if (vcpu.hasUpcall) return 0;
    const list = [...new Uint32Array(bytes.buffer, bytes.byteOffset, nr_ports)];
    for (const port of list) {
      const isPending = vcpu.domain.events.isPending(port);
      if (isPending === undefined) return -errno.EINVAL;
      if (isPending) return 0;
    }
    vcpu.poll(list, timeout === 0n ? undefined : timeout);
    return 0;
  }),
  [S.SCHEDOP_remote_shutdown]: input(S.sched_remote_shutdown, (vcpu, { domain_id, reason }) => {
    const { hypervisor, privileged } = vcpu.domain;
    const domain = hypervisor.findDomain(domain_id);
    if (!domain) return -errno.ESRCH;
    if (!privileged) return -errno.EPERM;
    hypervisor.shutdownDomain(domain, reason);
    return 0;
  }),
  [S.SCHEDOP_shutdown_code]: input(S.sched_shutdown, (vcpu, { reason }) => {
    const { domain } = vcpu;
    if (domain.isShutDown) return -errno.EBUSY;
    domain.shutdownReason = reason;
    return 0;
  }),
  [S.SCHEDOP_watchdog]: input(S.sched_watchdog, (vcpu, { id, timeout }) => {
    const { domain } = vcpu;
    const { watchdogs } = domain;
    if (id > watchdogs.length) return -errno.EINVAL;
    if (id === 0 && timeout === 0) return -errno.EINVAL;
    const slot = id === 0 ? watchdogs.indexOf(undefined) : id - 1;
    if (slot < 0) return -errno.ENOSPC;
    if (id !== 0 && watchdogs[slot] === undefined) return -errno.EINVAL;
    watchdogs[slot] = timeout === 0 ? undefined : domain.hypervisor.time.now() + BigInt(timeout) * NS_PER_S;
    return id === 0 ? slot + 1 : 0;
  }),
  [S.SCHEDOP_pin_override]: input(S.sched_pin_override, (vcpu) => (vcpu.domain.privileged ? 0 : -errno.EPERM)),
};

export function schedOp(vcpu: Vcpu, args: HypercallArgs): number {
  return runOperation(vcpu, operations, "sched_op", args.argNumber(0), args.arg(1));
}

export function schedOpCompat(vcpu: Vcpu, args: HypercallArgs): number {
  switch (args.argNumber(0)) {
    case S.SCHEDOP_yield:
      return yieldSlice(vcpu);
    case S.SCHEDOP_block:
      return block(vcpu);
    case S.SCHEDOP_shutdown:
      return shutdown(vcpu, args.argNumber(1));
    default:
      return -errno.ENOSYS;
  }
}

export const schedRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_sched_op, name: "sched_op", pv64: schedOp, pv32: schedOp, hvm: schedOp },
  { number: __HYPERVISOR_sched_op_compat, name: "sched_op_compat", pv64: schedOpCompat, pv32: schedOpCompat },
];

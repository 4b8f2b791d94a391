// HYPERVISOR_event_channel_op (event_channel.h) and its older form that carries the command in a struct.

import { readU32 } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { errno } from "../public/errno.js";
import * as E from "../public/event-channel.js";
import { __HYPERVISOR_event_channel_op, __HYPERVISOR_event_channel_op_compat, DOMID_SELF } from "../public/xen.js";
import type { HypercallArgs, HypercallRow } from "./args.js";
import { domainFor, inOut, input, type OperationTable, runOperation } from "./operation.js";

/** Puts a new port into the argument, or passes the error on. */
function portResult(argument: { port: number }, result: number): number {
  if (result < 0) return result;
  argument.port = result;
  return 0;
}

function remoteId(vcpu: Vcpu, domid: number): number {
  return domid === DOMID_SELF ? vcpu.domain.id : domid;
}

const operations: OperationTable = {
  [E.EVTCHNOP_alloc_unbound]: inOut(E.evtchn_alloc_unbound, (vcpu, argument) => {
    const domain = domainFor(vcpu, argument.dom);
    if (typeof domain === "number") return domain;
    return portResult(argument, domain.events.allocUnbound(remoteId(vcpu, argument.remote_dom)));
  }),
  [E.EVTCHNOP_bind_interdomain]: inOut(E.evtchn_bind_interdomain, (vcpu, argument) => {
    const port = vcpu.domain.events.bindInterdomain(remoteId(vcpu, argument.remote_dom), argument.remote_port);
    if (port < 0) return port;
    argument.local_port = port;
    return 0;
  }),
  [E.EVTCHNOP_bind_virq]: inOut(E.evtchn_bind_virq, (vcpu, argument) =>
    portResult(argument, vcpu.domain.events.bindVirq(argument.virq, argument.vcpu)),
  ),
  [E.EVTCHNOP_bind_ipi]: inOut(E.evtchn_bind_ipi, (vcpu, argument) =>
    portResult(argument, vcpu.domain.events.bindIpi(argument.vcpu)),
  ),
  [E.EVTCHNOP_bind_pirq]: inOut(E.evtchn_bind_pirq, (vcpu, argument) => {
    const { domain } = vcpu;
    const { interrupts } = domain.hypervisor;
    const { pirq } = argument;
    if (pirq >= interrupts.lines) return -errno.EINVAL;
    if (!domain.privileged) return -errno.EPERM;
    const port = domain.events.bindPirq(pirq);
    if (port >= 0) interrupts.bind(pirq, () => domain.events.raisePirq(pirq));
    return portResult(argument, port);
  }),
  [E.EVTCHNOP_close]: input(E.evtchn_close, (vcpu, { port }) => {
    const { events, hypervisor } = vcpu.domain;
    const status = events.status(port);
    if (typeof status !== "number" && status.status === E.EVTCHNSTAT_pirq) hypervisor.interrupts.unbind(status.pirq);
    return events.close(port);
  }),
  [E.EVTCHNOP_send]: (vcpu, va) => {
    const port = readU32(vcpu, va);
    return port === undefined ? -errno.EFAULT : vcpu.domain.events.send(port);
  },
  [E.EVTCHNOP_status]: inOut(E.evtchn_status, (vcpu, argument) => {
    const domain = domainFor(vcpu, argument.dom);
    if (typeof domain === "number") return domain;
    const status = domain.events.status(argument.port);
    if (typeof status === "number") return status;
    argument.status = status.status;
    argument.vcpu = status.vcpu;
    argument.u = {};
    const { remoteDomain: dom, remotePort: port } = status;
    if (status.status === E.EVTCHNSTAT_unbound) argument.u.unbound = { dom };
    if (status.status === E.EVTCHNSTAT_interdomain) argument.u.interdomain = { dom, port };
    if (status.status === E.EVTCHNSTAT_pirq) argument.u.pirq = status.pirq;
    if (status.status === E.EVTCHNSTAT_virq) argument.u.virq = status.virq;
    return 0;
  }),
  [E.EVTCHNOP_bind_vcpu]: input(E.evtchn_bind_vcpu, (vcpu, argument) =>
    vcpu.domain.events.bindVcpu(argument.port, argument.vcpu),
  ),
  [E.EVTCHNOP_unmask]: input(E.evtchn_unmask, (vcpu, { port }) => vcpu.domain.events.unmask(port)),
  [E.EVTCHNOP_reset]: input(E.evtchn_reset, (vcpu, { dom }) => {
    const domain = domainFor(vcpu, dom);
    if (typeof domain === "number") return domain;
    domain.events.reset();
    return 0;
  }),
  [E.EVTCHNOP_init_control]: inOut(E.evtchn_init_control, (vcpu, argument) => {
    argument.link_bits = E.EVTCHN_FIFO_LINK_BITS;
    return vcpu.domain.events.initControl(argument.control_gfn, argument.offset, argument.vcpu);
  }),
  [E.EVTCHNOP_expand_array]: input(E.evtchn_expand_array, (vcpu, { array_gfn }) =>
    vcpu.domain.events.expandArray(array_gfn),
  ),
  [E.EVTCHNOP_set_priority]: input(E.evtchn_set_priority, (vcpu, { port, priority }) =>
    vcpu.domain.events.setPriority(port, priority),
  ),
};

export function eventChannelOp(vcpu: Vcpu, args: HypercallArgs): number {
  return runOperation(vcpu, operations, "event_channel_op", args.argNumber(0), args.arg(1));
}

/** The struct evtchn_op: cmd, then the arguments. Only operations up to unmask exist in this form. */
export function eventChannelOpCompat(vcpu: Vcpu, args: HypercallArgs): number {
  const va = args.arg(0);
  const command = readU32(vcpu, va);
  if (command === undefined) return -errno.EFAULT;
  if (command > E.EVTCHNOP_unmask) return -errno.ENOSYS;
  const argument = BigInt.asUintN(64, va + BigInt(E.EVTCHN_OP_ARGUMENT));
  return runOperation(vcpu, operations, "event_channel_op", command, argument);
}

export const eventChannelRows: readonly HypercallRow[] = [
  {
    number: __HYPERVISOR_event_channel_op,
    name: "event_channel_op",
    pv64: eventChannelOp,
    pv32: eventChannelOp,
    hvm: eventChannelOp,
  },
  {
    number: __HYPERVISOR_event_channel_op_compat,
    name: "event_channel_op_compat",
    pv64: eventChannelOpCompat,
    pv32: eventChannelOpCompat,
  },
];

// public/event_channel.h: operations, their structs, and the FIFO ABI's words.

import { bytes, struct, u8, u16, u32, u64, union } from "./layout.js";

export const EVTCHNOP_bind_interdomain = 0;
export const EVTCHNOP_bind_virq = 1;
export const EVTCHNOP_bind_pirq = 2;
export const EVTCHNOP_close = 3;
export const EVTCHNOP_send = 4;
export const EVTCHNOP_status = 5;
export const EVTCHNOP_alloc_unbound = 6;
export const EVTCHNOP_bind_ipi = 7;
export const EVTCHNOP_bind_vcpu = 8;
export const EVTCHNOP_unmask = 9;
export const EVTCHNOP_reset = 10;
export const EVTCHNOP_init_control = 11;
export const EVTCHNOP_expand_array = 12;
export const EVTCHNOP_set_priority = 13;
export const BIND_PIRQ__WILL_SHARE = 1;
export const EVTCHNSTAT_closed = 0;
export const EVTCHNSTAT_unbound = 1;
export const EVTCHNSTAT_interdomain = 2;
export const EVTCHNSTAT_pirq = 3;
export const EVTCHNSTAT_virq = 4;
export const EVTCHNSTAT_ipi = 5;
export const EVTCHN_FIFO_PRIORITY_MAX = 0;
export const EVTCHN_FIFO_PRIORITY_DEFAULT = 7;
export const EVTCHN_FIFO_PRIORITY_MIN = 15;
export const EVTCHN_FIFO_PENDING = 31;
export const EVTCHN_FIFO_MASKED = 30;
export const EVTCHN_FIFO_LINKED = 29;
export const EVTCHN_FIFO_BUSY = 28;
export const EVTCHN_FIFO_LINK_BITS = 17;
export const EVTCHN_FIFO_MAX_QUEUES = EVTCHN_FIFO_PRIORITY_MIN + 1;
export const EVTCHN_FIFO_LINK_MASK = (1 << EVTCHN_FIFO_LINK_BITS) - 1;
export const EVTCHN_FIFO_NR_CHANNELS = 1 << EVTCHN_FIFO_LINK_BITS;
export const EVTCHN_2L_NR_CHANNELS_64 = 4096;
export const EVTCHN_2L_NR_CHANNELS_32 = 1024;

const port = u32;
const domid = u16;

export const evtchn_alloc_unbound = struct("evtchn_alloc_unbound", { dom: domid, remote_dom: domid, port });
export const evtchn_bind_interdomain = struct("evtchn_bind_interdomain", {
  remote_dom: domid,
  remote_port: port,
  local_port: port,
});
export const evtchn_bind_virq = struct("evtchn_bind_virq", { virq: u32, vcpu: u32, port });
export const evtchn_bind_pirq = struct("evtchn_bind_pirq", { pirq: u32, flags: u32, port });
export const evtchn_bind_ipi = struct("evtchn_bind_ipi", { vcpu: u32, port });
export const evtchn_close = struct("evtchn_close", { port });
export const evtchn_send = struct("evtchn_send", { port });
export const evtchn_status = struct("evtchn_status", {
  dom: domid,
  port,
  status: u32,
  vcpu: u32,
  u: union({
    unbound: struct("unbound", { dom: domid }),
    interdomain: struct("interdomain", { dom: domid, port }),
    pirq: u32,
    virq: u32,
  }),
});
export const evtchn_bind_vcpu = struct("evtchn_bind_vcpu", { port, vcpu: u32 });
export const evtchn_unmask = struct("evtchn_unmask", { port });
export const evtchn_reset = struct("evtchn_reset", { dom: domid });
export const evtchn_init_control = struct("evtchn_init_control", {
  control_gfn: u64,
  offset: u32,
  vcpu: u32,
  link_bits: u8,
  _pad: bytes(7),
});
export const evtchn_expand_array = struct("evtchn_expand_array", { array_gfn: u64 });
export const evtchn_set_priority = struct("evtchn_set_priority", { port, priority: u32 });

/** evtchn_op: `cmd`, then the union of the argument structs at this offset. */
export const EVTCHN_OP_ARGUMENT = 4;

/** evtchn_fifo_control_block: ready, reserved, one head a queue. */
export const EVTCHN_FIFO_CONTROL_BLOCK = { ready: 0, head: 8, size: 8 + 4 * EVTCHN_FIFO_MAX_QUEUES } as const;

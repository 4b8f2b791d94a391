// Event channels of one domain (event_channel.h): the port table, its bindings, and the choice of ABI. A plain engine: it sees
// machine memory and EventVcpu, no CPU and no hypercall. Results are ports (>= 0) or negative errno.
// Invariant: an interdomain port's peer points back to it, in a domain's table or in a HostBinding.

import type { MachineMemory } from "../mmu/machine-memory.js";
import { TwoLevelEvents } from "./event-2l.js";
import type { EventAbi, EventPort, EventVcpu } from "./event-abi.js";
import { FifoEvents } from "./event-fifo.js";
import { errno } from "./public/errno.js";
import {
  EVTCHN_FIFO_CONTROL_BLOCK,
  EVTCHN_FIFO_PRIORITY_DEFAULT,
  EVTCHN_FIFO_PRIORITY_MIN,
  EVTCHNSTAT_closed,
  EVTCHNSTAT_interdomain,
  EVTCHNSTAT_ipi,
  EVTCHNSTAT_pirq,
  EVTCHNSTAT_unbound,
  EVTCHNSTAT_virq,
} from "./public/event-channel.js";
import type { Abi } from "./public/layout.js";
import { NR_VIRQS, VIRQ_DEBUG, VIRQ_TIMER, VIRQ_XENOPROF, VIRQ_XENPMU } from "./public/xen.js";

const PER_VCPU_VIRQS = new Set([VIRQ_TIMER, VIRQ_DEBUG, VIRQ_XENOPROF, VIRQ_XENPMU]);
const PAGE_SIZE = 4096;

/** VIRQs that each vCPU has for itself; the others are the domain's and start on vCPU 0. */
export function isPerVcpuVirq(virq: number): boolean {
  return PER_VCPU_VIRQS.has(virq);
}

/** The end of a channel that a backend in the host process holds. */
export interface HostBinding {
  /** The guest's port. */
  readonly port: number;
  /** Sends an event to the guest. No effect after the guest closed its end. */
  notify(): void;
  /** Closes the host's end: the guest's port becomes unbound again. */
  close(): void;
  readonly isOpen: boolean;
}

interface Port extends EventPort {
  state: number;
  vcpu: number;
  remoteDomain: number;
  remotePort: number;
  pirq: number;
  virq: number;
  host: HostEnd | undefined;
}

class HostEnd implements HostBinding {
  readonly port: number;
  readonly #channels: EventChannels;
  readonly callback: () => void;
  isOpen = true;

  constructor(channels: EventChannels, port: number, callback: () => void) {
    this.#channels = channels;
    this.port = port;
    this.callback = callback;
  }

  notify(): void {
    if (this.isOpen) this.#channels.raise(this.port);
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#channels.unbindHost(this.port);
  }
}

export interface EventChannelsOptions {
  readonly domid: number;
  readonly memory: MachineMemory;
  readonly abi: Abi;
  /** Machine address of the shared info page. */
  readonly sharedInfo: number;
  readonly vcpu: (id: number) => EventVcpu | undefined;
  /** The tables of other domains, and of this one. */
  readonly peer: (domid: number) => EventChannels | undefined;
  /** Takes a writable reference of a guest frame; its machine address, or -1 when the domain doesn't own such a frame. */
  readonly mapFrame: (gfn: bigint) => number;
  readonly unmapFrame: (maddr: number) => void;
  /** Highest usable port; XEN_DOMCTL_set_max_evtchn. */
  readonly maxPort?: number;
}

export interface PortStatus {
  status: number;
  vcpu: number;
  remoteDomain: number;
  remotePort: number;
  pirq: number;
  virq: number;
}

export class EventChannels {
  readonly domid: number;
  readonly #options: EventChannelsOptions;
  readonly #ports: Port[] = [];
  /** Indexed by vCPU, then VIRQ: port or 0. */
  readonly #virqs: Uint32Array[] = [];
  readonly #pirqs = new Map<number, number>();
  #abi: EventAbi;
  #fifo: FifoEvents | undefined;
  maxPort: number;
  /** vCPUs that are in SCHEDOP_poll. */
  readonly pollers = new Set<EventVcpu>();

  constructor(options: EventChannelsOptions) {
    this.domid = options.domid;
    this.#options = options;
    this.#abi = new TwoLevelEvents(options.memory, options.sharedInfo, options.abi);
    this.maxPort = options.maxPort ?? Number.MAX_SAFE_INTEGER;
    this.#ports.push(this.#newPort(0)); // port 0 is never used
  }

  #newPort(port: number): Port {
    return {
      port,
      state: EVTCHNSTAT_closed,
      vcpu: 0,
      remoteDomain: 0,
      remotePort: 0,
      pirq: 0,
      virq: 0,
      priority: EVTCHN_FIFO_PRIORITY_DEFAULT,
      deferred: false,
      lastVcpu: 0,
      lastPriority: EVTCHN_FIFO_PRIORITY_DEFAULT,
      host: undefined,
    };
  }

  get usesFifo(): boolean {
    return this.#fifo !== undefined;
  }

  /** An allocated port of this number, in whatever state. */
  #port(port: number): Port | undefined {
    return port > 0 ? this.#ports[port] : undefined;
  }

  #vcpu(id: number): EventVcpu {
    return this.#options.vcpu(id) ?? this.#options.vcpu(0)!;
  }

  #allocate(): Port | number {
    const limit = Math.min(this.#abi.limit, this.maxPort + 1);
    for (let i = 1; i < this.#ports.length && i < limit; i++) {
      const port = this.#ports[i]!;
      if (port.state === EVTCHNSTAT_closed && !this.#abi.isBusy(port)) return port;
    }
    if (this.#ports.length >= limit) return -errno.ENOSPC;
    const port = this.#newPort(this.#ports.length);
    this.#ports.push(port);
    return port;
  }

  // --- bindings ---

  allocUnbound(remoteDomain: number): number {
    const port = this.#allocate();
    if (typeof port === "number") return port;
    port.state = EVTCHNSTAT_unbound;
    port.remoteDomain = remoteDomain;
    return port.port;
  }

  bindInterdomain(remoteDomain: number, remotePort: number): number {
    const peer = this.#options.peer(remoteDomain);
    if (!peer) return -errno.ESRCH;
    const remote = peer.#port(remotePort);
    if (!remote || remote.state !== EVTCHNSTAT_unbound || remote.remoteDomain !== this.domid) return -errno.EINVAL;
    const local = this.#allocate();
    if (typeof local === "number") return local;
    local.state = EVTCHNSTAT_interdomain;
    local.remoteDomain = remoteDomain;
    local.remotePort = remotePort;
    remote.state = EVTCHNSTAT_interdomain;
    remote.remotePort = local.port;
    // Notifications sent while the other end was unbound are lost: tell the new end once.
    this.#setPending(local);
    return local.port;
  }

  bindVirq(virq: number, vcpu: number): number {
    if (virq >= NR_VIRQS || (!isPerVcpuVirq(virq) && vcpu !== 0)) return -errno.EINVAL;
    if (!this.#options.vcpu(vcpu)) return -errno.ENOENT;
    const virqs = (this.#virqs[vcpu] ??= new Uint32Array(NR_VIRQS));
    if (virqs[virq]) return -errno.EEXIST;
    const port = this.#allocate();
    if (typeof port === "number") return port;
    port.state = EVTCHNSTAT_virq;
    port.vcpu = vcpu;
    port.virq = virq;
    virqs[virq] = port.port;
    return port.port;
  }

  bindIpi(vcpu: number): number {
    if (!this.#options.vcpu(vcpu)) return -errno.ENOENT;
    const port = this.#allocate();
    if (typeof port === "number") return port;
    port.state = EVTCHNSTAT_ipi;
    port.vcpu = vcpu;
    return port.port;
  }

  /** The caller has checked that the domain may use the interrupt. */
  bindPirq(pirq: number): number {
    if (this.#pirqs.has(pirq)) return -errno.EEXIST;
    const port = this.#allocate();
    if (typeof port === "number") return port;
    port.state = EVTCHNSTAT_pirq;
    port.pirq = pirq;
    this.#pirqs.set(pirq, port.port);
    return port.port;
  }

  /** Connects a backend in the host to a port that the guest (or its builder) allocated unbound. */
  bindHost(port: number, callback: () => void): HostBinding | undefined {
    const local = this.#port(port);
    if (local?.state !== EVTCHNSTAT_unbound) return undefined;
    local.state = EVTCHNSTAT_interdomain;
    local.host = new HostEnd(this, port, callback);
    return local.host;
  }

  /** For HostBinding only. */
  unbindHost(port: number): void {
    const local = this.#port(port);
    if (!local?.host) return;
    local.host = undefined;
    local.state = EVTCHNSTAT_unbound;
  }

  close(number: number): number {
    const port = this.#port(number);
    if (!port) return -errno.EINVAL;
    switch (port.state) {
      case EVTCHNSTAT_closed:
        return -errno.EINVAL;
      case EVTCHNSTAT_virq:
        this.#clearVirq(port);
        break;
      case EVTCHNSTAT_pirq:
        this.#pirqs.delete(port.pirq);
        break;
      case EVTCHNSTAT_interdomain:
        this.#closePeer(port);
        break;
    }
    this.#abi.clearPending(port);
    const { lastVcpu, lastPriority } = port;
    // The queue memory of a FIFO port outlives the binding: the guest may still have it linked.
    Object.assign(port, this.#newPort(number), { lastVcpu, lastPriority });
    return 0;
  }

  #clearVirq(port: Port): void {
    for (const virqs of this.#virqs) if (virqs?.[port.virq] === port.port) virqs[port.virq] = 0;
  }

  #closePeer(port: Port): void {
    if (port.host) {
      port.host.isOpen = false;
      return;
    }
    const domain = this.#options.peer(port.remoteDomain);
    if (!domain) return;
    const peer = domain.#port(port.remotePort);
    if (!peer) return;
    peer.state = EVTCHNSTAT_unbound;
    peer.remoteDomain = this.domid;
    peer.remotePort = 0;
  }

  bindVcpu(number: number, vcpu: number): number {
    if (!this.#options.vcpu(vcpu)) return -errno.ENOENT;
    const port = this.#port(number);
    if (!port) return -errno.EINVAL;
    if (port.state === EVTCHNSTAT_closed || port.state === EVTCHNSTAT_ipi) return -errno.EINVAL;
    if (port.state === EVTCHNSTAT_virq) {
      if (isPerVcpuVirq(port.virq)) return -errno.EINVAL;
    }
    port.vcpu = vcpu;
    return 0;
  }

  // --- delivery ---

  send(number: number): number {
    const port = this.#port(number);
    if (!port) return -errno.EINVAL;
    switch (port.state) {
      case EVTCHNSTAT_interdomain:
        if (port.host) port.host.callback();
        else this.#options.peer(port.remoteDomain)?.raise(port.remotePort);
        return 0;
      case EVTCHNSTAT_ipi:
        this.#setPending(port);
        return 0;
      case EVTCHNSTAT_unbound:
        return 0; // nobody there: dropped
      default:
        return -errno.EINVAL;
    }
  }

  /** Marks a port pending, whoever asks. */
  raise(number: number): void {
    const port = this.#port(number);
    if (port && port.state !== EVTCHNSTAT_closed) this.#setPending(port);
  }

  /** False when nobody bound it. A global VIRQ is looked up on vCPU 0, wherever its port is delivered. */
  raiseVirq(virq: number, vcpu = 0): boolean {
    const number = this.#virqs[vcpu]?.[virq] ?? 0;
    if (number === 0) return false;
    this.#setPending(this.#ports[number]!);
    return true;
  }

  /** The port that a PIRQ is bound to, or 0. */
  pirqPort(pirq: number): number {
    return this.#pirqs.get(pirq) ?? 0;
  }

  /** False when nobody bound it. */
  raisePirq(pirq: number): boolean {
    const number = this.#pirqs.get(pirq);
    if (number === undefined) return false;
    this.#setPending(this.#ports[number]!);
    return true;
  }

  #setPending(port: Port): void {
    if (this.#abi.setPending(port, this.#vcpu(port.vcpu))) return;
    for (const vcpu of this.pollers) if (vcpu.pollPort < 0 || vcpu.pollPort === port.port) vcpu.endPoll();
  }

  unmask(number: number): number {
    const port = this.#port(number);
    if (!port) return -errno.EINVAL;
    this.#abi.unmask(port, this.#vcpu(port.vcpu));
    return 0;
  }

  /** For SCHEDOP_poll: undefined when the port isn't valid. */
  isPending(number: number): boolean | undefined {
    const port = this.#port(number);
    return port && this.#abi.isPending(port);
  }

  // --- queries ---

  status(number: number): PortStatus | number {
    const port = this.#port(number);
    if (!port) return -errno.EINVAL;
    return { ...port, status: port.state };
  }

  /** Numbers of the ports in use. */
  openPorts(): number[] {
    return this.#ports.filter((port) => port.state !== EVTCHNSTAT_closed).map((port) => port.port);
  }

  // --- the FIFO ABI ---

  setPriority(number: number, priority: number): number {
    if (!this.#fifo) return -errno.ENOSYS;
    if (priority > EVTCHN_FIFO_PRIORITY_MIN) return -errno.EINVAL;
    const port = this.#port(number);
    if (!port) return -errno.EINVAL;
    port.priority = priority;
    return 0;
  }

  initControl(gfn: bigint, offset: number, vcpuId: number): number {
    if (!this.#options.vcpu(vcpuId)) return -errno.ENOENT;
    if (offset > PAGE_SIZE - EVTCHN_FIFO_CONTROL_BLOCK.size || offset & 7) return -errno.EINVAL;
    if (this.#fifo?.hasControlBlock(vcpuId)) return -errno.EINVAL;
    const page = this.#options.mapFrame(gfn);
    if (page < 0) return -errno.EINVAL;
    if (!this.#fifo) {
      // From here on there are no bitmaps: events that were pending in them wait for the port's word.
      for (const port of this.#ports) if (port.state !== EVTCHNSTAT_closed) port.deferred = this.#abi.isPending(port);
      this.#abi = this.#fifo = new FifoEvents(this.#options.memory);
    }
    this.#fifo.setControlBlock(vcpuId, page + offset);
    return 0;
  }

  expandArray(gfn: bigint): number {
    const fifo = this.#fifo;
    if (!fifo) return -errno.EOPNOTSUPP;
    if (fifo.isArrayFull) return -errno.ENOSPC;
    const page = this.#options.mapFrame(gfn);
    if (page < 0) return -errno.EINVAL;
    const first = fifo.addArrayPage(page);
    for (let i = first; i < fifo.described && i < this.#ports.length; i++) {
      const port = this.#ports[i]!;
      if (!port.deferred) continue;
      port.deferred = false;
      this.#setPending(port);
    }
    return 0;
  }

  /** Machine addresses in the guest frames that the FIFO ABI holds, as `mapFrame` gave them; a frame may come more than once. */
  fifoPages(): Iterable<number> {
    return this.#fifo?.pages() ?? [];
  }

  /** Closes everything and returns to the 2-level ABI: EVTCHNOP_reset, and the end of the domain. */
  reset(): void {
    for (const port of this.openPorts()) this.close(port);
    if (!this.#fifo) return;
    for (const maddr of this.fifoPages()) this.#options.unmapFrame(maddr);
    this.#fifo = undefined;
    for (const port of this.#ports) port.deferred = false;
    this.#abi = new TwoLevelEvents(this.#options.memory, this.#options.sharedInfo, this.#options.abi);
  }
}

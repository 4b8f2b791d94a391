// Network interfaces as library users describe them: the keys of xl-network-configuration(5), and what they are plugged into.

import type { PacketPort } from "../devices/network/packet-port.js";
import type { NatOptions } from "../devices/network/user-net/nat-options.js";

export type { FrameFault, LineFaults } from "../devices/network/faulty-port.js";
export type { Offload } from "../devices/network/offload.js";
export { type PacketPort, pairPorts } from "../devices/network/packet-port.js";
export { connectStreamLink } from "../devices/network/stream-link.js";
export type { NatOptions } from "../devices/network/user-net/nat-options.js";
export type { NetStatistics } from "../devices/xen/netback/net-backend.js";

/** NAT of the interface's own: the guest is alone behind it, at 10.0.2.15 unless `network` says otherwise. */
export interface NatPort extends NatOptions {
  readonly type: "nat";
}

/** A Unix socket to another host on this machine; frames with a length of 4 bytes before them, as QEMU's `-netdev stream`. */
export interface StreamPort {
  readonly type: "stream";
  readonly path: string;
  /** Waits for the other side instead of connecting to it. */
  readonly listen?: boolean;
}

/** A TAP device of the operating system: needs Linux, the optional package koffi, and rights to the device. */
export interface TapPort {
  readonly type: "tap";
  /** Default: one that the kernel makes up. */
  readonly device?: string;
  /** Sets the device up as Xen's script vif-route does; default: nothing is done to it. */
  readonly route?: TapRoute;
}

/**
 * The machine routes packets for these addresses to the device, and answers ARP on it for whom it leads to; for IPv6, which needs
 * forwarding to be on, neighbour solicitations for these addresses on `gatewayDevice`, and for those of other guests on the
 * device; what is beyond, the guest reaches by the machine's address as its gateway. Needs root.
 */
export interface TapRoute {
  /** IPv4 and IPv6 addresses of the guest. */
  readonly addresses: readonly string[];
  /** Whose addresses the machine has towards the guest; default: the default route's device. */
  readonly gatewayDevice?: string;
}

export type VifPort = NatPort | StreamPort | TapPort;

export interface VifConfig {
  /** "00:16:3e:xx:xx:xx"; default: one of Xen's, at random. */
  readonly mac?: string;
  /** Network of the host; default "xenbr0". */
  readonly bridge?: string;
  /** Instead of a bridge: something else, or any port. */
  readonly port?: VifPort | PacketPort;
  /** Default: the lowest free one. */
  readonly devid?: number;
  /** Name of the port on its bridge; default vifDOMID.DEVID. */
  readonly vifname?: string;
  /** "10Mb/s", "250KB/s", "1MB/s@20ms": limits what the guest sends. */
  readonly rate?: string;
  /** For the guest and the store; in xl's words with script=vif-route also what is routed to it. */
  readonly ip?: string;
  readonly mtu?: number;
  /** Tells the frontend whether to trust us; default true. */
  readonly trusted?: boolean;
  /** Drops frames whose source address isn't `mac`. */
  readonly locksMac?: boolean;
  /** Ports of the host that lead to this guest, behind a NAT: "tcp:127.0.0.1:8080-:80". */
  readonly hostfwd?: readonly string[];
  /** Recorded in the store, not run. */
  readonly script?: string;
  /** As `script`. */
  readonly gatewaydev?: string;
}

// What users of a NAT network can say about it, and the syntax of port forwards.

import { isIPv6 } from "node:net";
import type { IpAddress } from "./ip-packet.js";
import { parseAddress } from "./ipv4.js";
import { parseIpv6Address } from "./ipv6.js";

export interface NatOptions {
  /** Default "10.0.2.0/24". The gateway is its address 2, the name server 3, guests start at 15. */
  readonly network?: string;
  /**
   * Guests make addresses of their own in this IPv6 network, a /64; the gateway is its address 2, the name server 3. Default "fec0::/64";
   * false: no IPv6.
   */
  readonly ipv6?: string | false;
  /** Guests reach the gateway (DHCP, names, echo) and nothing beyond it; port forwards still lead in. */
  readonly restrict?: boolean;
  /** The gateway's address leads to 127.0.0.1 of the machine that xen-ts runs on, that of IPv6 to ::1; default false. */
  readonly hostLoopback?: boolean;
  /** "tcp:127.0.0.1:8080-:80", "udp::5353-10.0.2.15:53", "tcp:[::1]:8080-[fec0::15]:80": ports of the machine that lead to a guest. */
  readonly hostfwd?: readonly string[];
  /** Name servers to ask, "192.0.2.53" or "127.0.0.1:5300"; default: those of the machine. */
  readonly dns?: readonly string[];
  /** Names that are answered at once, before the machine's /etc/hosts. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** Handed to guests by DHCP. */
  readonly hostname?: string;
  readonly domain?: string;
}

export interface HostForward {
  readonly protocol: "tcp" | "udp";
  /** Where the machine listens; default 127.0.0.1. */
  readonly hostAddress: string;
  /** 0: any free one. */
  readonly hostPort: number;
  /** Undefined: the first guest. */
  readonly guestAddress: IpAddress | undefined;
  readonly guestPort: number;
}

const FORWARD = /^(?:(tcp|udp):)?([0-9.]*|\[[0-9a-fA-F:.]+\]):(\d{1,5})-([0-9.]*|\[[0-9a-fA-F:.]+\]):(\d{1,5})$/;
export const DEFAULT_IPV6 = "fec0::/64";

function parseEither(text: string): IpAddress {
  return text.startsWith("[") ? parseIpv6Address(text.slice(1, -1)) : parseAddress(text);
}

/** `[tcp|udp]:[HOSTADDRESS]:PORT-[GUESTADDRESS]:PORT`, as QEMU has it; IPv6 addresses in brackets. @throws RangeError saying what is wrong */
export function parseHostForward(text: string): HostForward {
  const match = FORWARD.exec(text);
  if (!match) throw new RangeError(`hostfwd: "${text}" is not of the form tcp:127.0.0.1:8080-:80`);
  const [, protocol = "tcp", hostAddress, hostPort, guestAddress, guestPort] = match;
  if (hostAddress) parseEither(hostAddress);
  const ports = [Number(hostPort), Number(guestPort)] as const;
  if (ports.some((port) => port > 65_535) || ports[1] === 0)
    throw new RangeError(`hostfwd: "${text}" has a port that doesn't exist`);
  return {
    protocol: protocol as "tcp" | "udp",
    // All addresses of the machine must be asked for: 0.0.0.0, [::].
    hostAddress: hostAddress?.replace(/[[\]]/g, "") || "127.0.0.1",
    hostPort: ports[0],
    guestAddress: guestAddress ? parseEither(guestAddress) : undefined,
    guestPort: ports[1],
  };
}

/** "10.0.2.0/24" → address and length. @throws RangeError */
export function parseSubnet(text: string): { readonly address: number; readonly prefixLength: number } {
  const match = /^([0-9.]+)\/(\d{1,2})$/.exec(text);
  if (!match) throw new RangeError(`network: "${text}" is not of the form 10.0.2.0/24`);
  const prefixLength = Number(match[2]);
  if (prefixLength < 8 || prefixLength > 27) throw new RangeError(`network: ${text}: the prefix must be 8 to 27`);
  return { address: parseAddress(match[1]!), prefixLength };
}

/** "fec0::/64" → the first half of its addresses, 16 hexadecimal digits. @throws RangeError */
export function parseSubnet6(text: string): string {
  const [address = "", length, ...rest] = text.split("/");
  if (!isIPv6(address) || length !== "64" || rest.length > 0)
    throw new RangeError(`ipv6: "${text}" is not of the form fec0::/64 (guests make addresses in a /64)`);
  const prefix = parseIpv6Address(address).slice(0, 16);
  if (/^(?:0{4}|ff|fe[89ab])/.test(prefix)) throw new RangeError(`ipv6: ${text}: no network of hosts`);
  return prefix;
}

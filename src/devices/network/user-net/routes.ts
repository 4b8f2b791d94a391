// Where guests of a NAT may go: which address of the machine's world stands for the one that a guest asked for. Everything else is
// refused.

import type { IpAddress } from "./ip-packet.js";
import { formatAddress } from "./ipv4.js";
import { formatIpv6Address } from "./ipv6.js";

export interface RouteOptions {
  readonly gateway: number;
  /** Undefined: no IPv6. */
  readonly gateway6?: string | undefined;
  readonly restrict: boolean;
  readonly hostLoopback: boolean;
}

/** Ranges that no router forwards, first address and prefix: this network, loopback, link-local (RFC 3927 2.7), multicast and above. */
const NEVER: readonly (readonly [number, number])[] = [
  [0x00000000, 8],
  [0x7f000000, 8],
  [0xa9fe0000, 16],
  [0xe0000000, 3],
];

/**
 * Those of IPv6: unspecified, loopback and all that stand for IPv4 addresses, for the machine would connect to these (RFC 4291 2.5.5, 2765
 * 2.1); link-local and site-local; multicast.
 */
const NEVER_6 = /^(?:0{16}|fe[89abcdef]|ff)/;

/** The address to connect to in the guest's stead; undefined: it may not. */
export function routeTo(
  target: IpAddress,
  { gateway, gateway6, restrict, hostLoopback }: RouteOptions,
): string | undefined {
  if (target === gateway) return hostLoopback && !restrict ? "127.0.0.1" : undefined;
  if (target === gateway6) return hostLoopback && !restrict ? "::1" : undefined;
  if (restrict) return undefined;
  if (typeof target === "string")
    return gateway6 === undefined || NEVER_6.test(target) ? undefined : formatIpv6Address(target);
  for (const [base, prefix] of NEVER) if ((target & (-1 << (32 - prefix))) >>> 0 === base) return undefined;
  return formatAddress(target);
}

// Where guests of a NAT may go: which address of the machine's world stands for the one that a guest asked for. Everything else is
// refused.

export interface RouteOptions {
  readonly gateway: number;
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

/** The address to connect to in the guest's stead; undefined: it may not. */
export function routeTo(target: number, { gateway, restrict, hostLoopback }: RouteOptions): string | undefined {
  if (target === gateway) return hostLoopback && !restrict ? "127.0.0.1" : undefined;
  if (restrict) return undefined;
  for (const [base, prefix] of NEVER) if ((target & (-1 << (32 - prefix))) >>> 0 === base) return undefined;
  return [24, 16, 8, 0].map((shift) => (target >>> shift) & 255).join(".");
}

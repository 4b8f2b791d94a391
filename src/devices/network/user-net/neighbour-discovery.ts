// The messages by which IPv6 guests find their router and addresses: neighbour discovery (RFC 4861), the prefix for addresses of their own
// making (RFC 4862), the name server (RFC 8106). Checksums are the sender's matter.

export const ND = { routerSolicitation: 133, routerAdvertisement: 134, solicitation: 135, advertisement: 136 } as const;
/** Whoever forwards such a packet has lowered its hop limit: it can't come from elsewhere. */
export const ND_HOP_LIMIT = 255;

const OPTION = { sourceLink: 1, targetLink: 2, prefix: 3, mtu: 5, nameServer: 25 } as const;
/** Other configuration, of the name server, is to be had by DHCPv6. */
const OTHER_CONFIGURATION = 0x40;
const ON_LINK_AND_AUTONOMOUS = 0xc0;
const FOREVER = 0xffffffff;
/** Seconds; the longest (RFC 8319), as nothing here goes away. */
const ROUTER_LIFETIME = 65_535;
const [ROUTER, SOLICITED, OVERRIDE] = [0x80, 0x40, 0x20] as const;

export interface RouterAdvertisement {
  readonly mac: Uint8Array;
  readonly mtu: number;
  /** 16 bytes each. */
  readonly prefix: Uint8Array;
  readonly prefixLength: number;
  readonly nameServer: Uint8Array;
}

export function routerAdvertisement(options: RouterAdvertisement): Uint8Array {
  const message = new Uint8Array(16 + 8 + 8 + 32 + 24);
  const view = new DataView(message.buffer);
  message.set([ND.routerAdvertisement, 0, 0, 0, 64, OTHER_CONFIGURATION]);
  view.setUint16(6, ROUTER_LIFETIME);
  message.set([OPTION.sourceLink, 1, ...options.mac], 16);
  message.set([OPTION.mtu, 1], 24);
  view.setUint32(28, options.mtu);
  message.set([OPTION.prefix, 4, options.prefixLength, ON_LINK_AND_AUTONOMOUS], 32);
  view.setUint32(36, FOREVER);
  view.setUint32(40, FOREVER);
  message.set(options.prefix, 48);
  message.set([OPTION.nameServer, 3], 64);
  view.setUint32(68, FOREVER);
  message.set(options.nameServer, 72);
  return message;
}

/** @param target 16 bytes. @param isAnswer to one who asked from an address of its own */
export function neighbourAdvertisement(target: Uint8Array, mac: Uint8Array, isAnswer: boolean): Uint8Array {
  const message = new Uint8Array(32);
  message.set([ND.advertisement, 0, 0, 0, ROUTER | OVERRIDE | (isAnswer ? SOLICITED : 0)]);
  message.set(target, 8);
  message.set([OPTION.targetLink, 1, ...mac], 24);
  return message;
}

export function neighbourSolicitation(target: Uint8Array, mac: Uint8Array): Uint8Array {
  const message = new Uint8Array(32);
  message[0] = ND.solicitation;
  message.set(target, 8);
  message.set([OPTION.sourceLink, 1, ...mac], 24);
  return message;
}

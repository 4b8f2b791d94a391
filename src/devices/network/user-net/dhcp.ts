// A DHCP server for the guests of user-mode networking (RFC 2131, options of RFC 2132). An address belongs to a hardware address
// as long as the network exists, so that a guest that comes back finds it again.

export interface DhcpOptions {
  /** Addresses as numbers. */
  readonly server: number;
  readonly router: number;
  readonly dns: number;
  readonly mask: number;
  /** The first address given out, and how many. */
  readonly first: number;
  readonly count: number;
  readonly leaseSeconds: number;
  readonly hostname: string | undefined;
  readonly domain: string | undefined;
  readonly mtu: number;
}

const FIXED_SIZE = 236;
const MAGIC = 0x63825363;
const OPTION = {
  ...{ pad: 0, mask: 1, router: 3, dns: 6, hostname: 12, domain: 15, mtu: 26, broadcast: 28, requested: 50 },
  ...{ lease: 51, type: 53, server: 54, renewal: 58, rebinding: 59, end: 255 },
} as const;
const [DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, INFORM] = [1, 2, 3, 4, 5, 6, 8] as const;

export class DhcpServer {
  readonly #options: DhcpOptions;
  readonly #byHardware = new Map<string, number>();
  /** Addresses that a guest found in use. */
  readonly #declined = new Set<number>();

  constructor(options: DhcpOptions) {
    this.#options = options;
  }

  /** What each hardware address was given. */
  get leases(): ReadonlyMap<string, number> {
    return this.#byHardware;
  }

  /** @param message the UDP payload. @returns that of the answer, to be broadcast; undefined: none */
  answer(message: Uint8Array): Uint8Array | undefined {
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
    // Ethernet only (htype 1, hlen 6), requests only.
    if (message.length < FIXED_SIZE + 4 || message[0] !== 1 || message[1] !== 1 || message[2] !== 6) return undefined;
    if (view.getUint32(FIXED_SIZE) !== MAGIC) return undefined;
    const options = parseOptions(message.subarray(FIXED_SIZE + 4));
    const type = options.get(OPTION.type)?.[0];
    const hardware = Buffer.from(message.subarray(28, 34)).toString("hex");
    const server = addressOption(options, OPTION.server);
    const requested = addressOption(options, OPTION.requested) ?? view.getUint32(12);
    switch (type) {
      case DISCOVER: {
        const address = this.#lease(hardware);
        return address === undefined ? undefined : this.#reply(message, OFFER, address);
      }
      case REQUEST: {
        if (server !== undefined && server !== this.#options.server) return undefined;
        const address = this.#lease(hardware);
        return address === undefined || address !== requested
          ? this.#reply(message, NAK, 0)
          : this.#reply(message, ACK, address);
      }
      case DECLINE:
        if (requested === this.#byHardware.get(hardware)) {
          this.#declined.add(requested);
          this.#byHardware.delete(hardware);
        }
        return undefined;
      case INFORM:
        return this.#reply(message, ACK, 0);
    }
    return undefined;
  }

  #lease(hardware: string): number | undefined {
    const known = this.#byHardware.get(hardware);
    if (known !== undefined) return known;
    const taken = new Set(this.#byHardware.values());
    const { first, count } = this.#options;
    for (let address = first; address < first + count; address++) {
      if (taken.has(address) || this.#declined.has(address)) continue;
      this.#byHardware.set(hardware, address);
      return address;
    }
    return undefined;
  }

  #reply(request: Uint8Array, type: number, address: number): Uint8Array {
    const { server, router, dns, mask, leaseSeconds, hostname, domain, mtu } = this.#options;
    const options: number[] = [];
    const add = (code: number, ...bytes: number[]) => options.push(code, bytes.length, ...bytes);
    const addText = (code: number, text: string) => add(code, ...Buffer.from(text).subarray(0, 255));
    add(OPTION.type, type);
    add(OPTION.server, ...octets(server));
    if (type !== NAK) {
      // An INFORM asks for the configuration of an address that it has: no lease (RFC 2131 4.3.5).
      if (address !== 0) {
        add(OPTION.lease, ...octets(leaseSeconds));
        add(OPTION.renewal, ...octets(Math.floor(leaseSeconds / 2)));
        add(OPTION.rebinding, ...octets(Math.floor((leaseSeconds * 7) / 8)));
      }
      add(OPTION.mask, ...octets(mask));
      add(OPTION.broadcast, ...octets((router | ~mask) >>> 0));
      add(OPTION.router, ...octets(router));
      add(OPTION.dns, ...octets(dns));
      add(OPTION.mtu, mtu >> 8, mtu & 255);
      if (hostname) addText(OPTION.hostname, hostname);
      if (domain) addText(OPTION.domain, domain);
    }
    options.push(OPTION.end);
    // 300 bytes at least, for clients that remember BOOTP (RFC 1542 2.1).
    const reply = new Uint8Array(Math.max(300, FIXED_SIZE + 4 + options.length));
    const view = new DataView(reply.buffer);
    reply.set([2, 1, 6, 0]);
    reply.set(request.subarray(4, 8), 4);
    reply.set(request.subarray(10, 16), 10);
    view.setUint32(16, address);
    if (address !== 0) view.setUint32(20, server);
    reply.set(request.subarray(24, 44), 24);
    view.setUint32(FIXED_SIZE, MAGIC);
    reply.set(options, FIXED_SIZE + 4);
    return reply;
  }
}

function octets(value: number): [number, number, number, number] {
  return [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function parseOptions(bytes: Uint8Array): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  for (let at = 0; at < bytes.length && bytes[at] !== OPTION.end; ) {
    if (bytes[at] === OPTION.pad) {
      at++;
      continue;
    }
    const length = bytes[at + 1] ?? 0;
    if (at + 2 + length > bytes.length) break;
    options.set(bytes[at]!, bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return options;
}

function addressOption(options: ReadonlyMap<number, Uint8Array>, code: number): number | undefined {
  const value = options.get(code);
  if (value?.length !== 4) return undefined;
  return new DataView(value.buffer, value.byteOffset, 4).getUint32(0);
}

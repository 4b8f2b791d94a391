// The I/O port space: 65,536 byte addresses. A device claims ranges; unclaimed ports read as all ones and ignore writes, as
// on a PC whose ISA bus is pulled up. Wide accesses to a byte-wide device become one access a byte, low address first.

/** A device behind ports. Values are unsigned; sizes 1, 2 or 4 bytes. A byte-wide device sees size 1 only. */
export interface PortDevice {
  readPort(port: number, size: number): number;
  writePort(port: number, size: number, value: number): void;
}

export interface PortClaim {
  readonly first: number;
  readonly count: number;
  readonly device: PortDevice;
  /** Passes 2- and 4-byte accesses that lie in the range on as they are. */
  readonly wide?: boolean;
}

const PORTS = 0x10000;

export class PortBus {
  /** Claim of each port, as index into `#claims` plus 1. */
  readonly #owner = new Uint16Array(PORTS);
  readonly #claims: PortClaim[] = [];

  /** @throws RangeError when the range is outside the port space or somebody's already. */
  claim(claim: PortClaim): void {
    const { first, count } = claim;
    if (first < 0 || count < 1 || first + count > PORTS) throw new RangeError(`ports ${first.toString(16)}+${count}`);
    for (let port = first; port < first + count; port++) {
      if (this.#owner[port]) throw new RangeError(`port ${port.toString(16)} is claimed twice`);
    }
    this.#claims.push(claim);
    this.#owner.fill(this.#claims.length, first, first + count);
  }

  read(port: number, size: number): number {
    const claim = this.#claimOf(port);
    if (claim && (size === 1 || this.#coversWide(claim, port, size))) return claim.device.readPort(port, size) >>> 0;
    if (size === 1) return 0xff;
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + this.read((port + i) & 0xffff, 1);
    return value;
  }

  write(port: number, size: number, value: number): void {
    const claim = this.#claimOf(port);
    if (claim && (size === 1 || this.#coversWide(claim, port, size))) {
      claim.device.writePort(port, size, value >>> 0);
      return;
    }
    if (size === 1) return;
    for (let i = 0; i < size; i++) this.write((port + i) & 0xffff, 1, (value >>> (i * 8)) & 0xff);
  }

  #claimOf(port: number): PortClaim | undefined {
    return this.#claims[this.#owner[port & 0xffff]! - 1];
  }

  #coversWide(claim: PortClaim, port: number, size: number): boolean {
    return claim.wide === true && port >= claim.first && port + size <= claim.first + claim.count;
  }
}

// PCI configuration mechanism 1 (PCI Local Bus Specification 3.0, 3.2.2.3.2): the address register at 0xcf8, its data window at
// 0xcfc-0xcff. One bus; functions that don't exist read as all ones.

import type { PortDevice } from "../port-bus.js";

/** A function's 256 bytes of configuration space. `offset` is a multiple of `size`. */
export interface PciFunction {
  readConfig(offset: number, size: number): number;
  writeConfig(offset: number, size: number, value: number): void;
}

const ADDRESS = 0xcf8;
const DATA = 0xcfc;
const ENABLE = 0x8000_0000;
const ADDRESS_MASK = 0x80ff_fffc;

export class PciConfig implements PortDevice {
  readonly #functions = new Map<number, PciFunction>();
  #address = 0;

  /** @throws RangeError when the slot is taken or out of range. */
  add(device: number, fn: number, target: PciFunction): void {
    const key = device * 8 + fn;
    if (device > 31 || fn > 7 || this.#functions.has(key)) throw new RangeError(`PCI function ${device}.${fn}`);
    this.#functions.set(key, target);
  }

  readPort(port: number, size: number): number {
    if (port < DATA) return port === ADDRESS && size === 4 ? this.#address : ones(size);
    const target = this.#target();
    return target ? target.readConfig((this.#address & 0xfc) | (port & 3), size) >>> 0 : ones(size);
  }

  writePort(port: number, size: number, value: number): void {
    // Anything but a whole doubleword at the address port goes past the mechanism.
    if (port < DATA) {
      if (port === ADDRESS && size === 4) this.#address = (value & ADDRESS_MASK) >>> 0;
      return;
    }
    this.#target()?.writeConfig((this.#address & 0xfc) | (port & 3), size, value);
  }

  #target(): PciFunction | undefined {
    if (!(this.#address & ENABLE) || this.#address & 0xff_0000) return undefined;
    return this.#functions.get((this.#address >>> 8) & 0xff);
  }
}

function ones(size: number): number {
  return size === 4 ? 0xffff_ffff : (1 << (size * 8)) - 1;
}

export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  /** Class, subclass and programming interface: 0xCCSSPP. */
  readonly classCode: number;
  readonly revision?: number;
  readonly multifunction?: boolean;
}

/** A function with the standard header and no base addresses: bridges and the like. Device-specific bytes are plain storage. */
export class SimplePciFunction implements PciFunction {
  readonly #bytes = new Uint8Array(256);
  /** 1 bits may be written. */
  readonly #writable = new Uint8Array(256);

  constructor(identity: PciIdentity, initial: Readonly<Record<number, number>> = {}) {
    const view = new DataView(this.#bytes.buffer);
    view.setUint16(0, identity.vendor, true);
    view.setUint16(2, identity.device, true);
    view.setUint32(8, (identity.classCode << 8) | (identity.revision ?? 0), true);
    view.setUint8(0x0e, identity.multifunction ? 0x80 : 0);
    // Command: I/O, memory, bus master, parity, SERR; interrupt line.
    this.#writable[4] = 0x47;
    this.#writable[5] = 0x01;
    this.#writable[0x3c] = 0xff;
    this.#writable.fill(0xff, 0x40);
    for (const [offset, value] of Object.entries(initial)) this.#bytes[Number(offset)] = value;
  }

  readConfig(offset: number, size: number): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.#bytes[offset + i] ?? 0xff);
    return value;
  }

  writeConfig(offset: number, size: number, value: number): void {
    for (let i = 0; i < size && offset + i < 256; i++) {
      const mask = this.#writable[offset + i]!;
      this.#bytes[offset + i] = (this.#bytes[offset + i]! & ~mask) | ((value >>> (i * 8)) & mask);
    }
  }
}

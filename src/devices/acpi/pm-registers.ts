// The fixed ACPI register blocks (ACPI specification 6.4, section 4.8.3): PM1a events at 0x600, PM1a control at 0x604, PM timer at
// 0x608, general-purpose events at 0xafe0. Writing SLP_EN with the S5 type turns the machine off.

import type { PortDevice } from "../port-bus.js";
import { SLEEP_TYPE_S5 } from "./dsdt.js";

export const PM1_EVENT = 0x600;
export const PM1_CONTROL = 0x604;
export const PM_TIMER = 0x608;
export const GPE0 = 0xafe0;
export const PM_TIMER_FREQUENCY = 3_579_545;

const SCI_ENABLE = 1;
const SLEEP_ENABLE = 1 << 13;

export interface PmOptions {
  /** Monotonic nanoseconds. */
  readonly now: () => bigint;
  /** The guest turned the machine off. */
  readonly onPowerOff: () => void;
}

export class PmRegisters implements PortDevice {
  readonly #options: PmOptions;
  /** Status (2 bytes), enable (2 bytes). */
  readonly #events = new Uint8Array(4);
  readonly #gpe = new Uint8Array(4);
  #control = SCI_ENABLE;

  constructor(options: PmOptions) {
    this.#options = options;
  }

  readPort(port: number, size: number): number {
    if (port >= PM_TIMER && port < PM_TIMER + 4)
      return size === 4 ? this.#timer() : (this.#timer() >>> ((port & 3) * 8)) & 0xff;
    if (port >= PM1_CONTROL && port < PM1_CONTROL + 2)
      return read([this.#control & 0xff, this.#control >> 8], port & 1, size);
    if (port >= GPE0) return read(this.#gpe, port - GPE0, size);
    return port < PM1_CONTROL ? read(this.#events, port - PM1_EVENT, size) : read([], 0, size);
  }

  writePort(port: number, size: number, value: number): void {
    if (port >= GPE0) writeEvents(this.#gpe, port - GPE0, size, value);
    else if (port < PM1_CONTROL) writeEvents(this.#events, port - PM1_EVENT, size, value);
    else if (port < PM1_CONTROL + 2) this.#writeControl(port & 1, size, value);
  }

  /** 24 bits of a 3.579545 MHz counter. */
  #timer(): number {
    return Number(BigInt.asUintN(24, (this.#options.now() * BigInt(PM_TIMER_FREQUENCY)) / 1_000_000_000n));
  }

  #writeControl(offset: number, size: number, value: number): void {
    const written = size === 1 ? value << (8 * offset) : value & 0xffff;
    const mask = size === 1 ? 0xff << (8 * offset) : 0xffff;
    const control = (this.#control & ~mask) | written;
    // SLP_EN reads as zero.
    this.#control = (control & ~SLEEP_ENABLE) | SCI_ENABLE;
    if (control & SLEEP_ENABLE && ((control >> 10) & 7) === SLEEP_TYPE_S5) this.#options.onPowerOff();
  }
}

function read(bytes: ArrayLike<number>, offset: number, size: number): number {
  let value = 0;
  for (let i = size - 1; i >= 0; i--) value = value * 256 + (bytes[offset + i] ?? 0);
  return value;
}

/** First half: status bits, cleared by writing 1; nothing sets one here. Second half: enable bits. */
function writeEvents(bytes: Uint8Array, offset: number, size: number, value: number): void {
  const half = bytes.length / 2;
  for (let i = 0; i < size && offset + i < bytes.length; i++) {
    const byte = (value >>> (8 * i)) & 0xff;
    const at = offset + i;
    bytes[at] = at < half ? bytes[at]! & ~byte : byte;
  }
}

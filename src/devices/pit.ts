// The 8254 programmable interval timer (Intel data sheet 231164) at ports 0x40-0x43, and the part of port 0x61 that belongs to
// it: gate and output of channel 2, the speaker's. Counters are computed from the clock when they are looked at; channel 0
// raises no interrupt by itself (`nextTick` tells when it would).
// Invariant: a channel's count was loaded at `loadedAt`, in input clock ticks, and counts only while its gate is high.

import type { PortDevice } from "./port-bus.js";

export const PIT_FREQUENCY = 1_193_182;

const ReadWrite = { Latch: 0, Low: 1, High: 2, Both: 3 } as const;

interface Channel {
  mode: number;
  access: number;
  bcd: boolean;
  /** Initial count 1-65536; 0 while none has been written since the mode was set. */
  reload: number;
  /** Tick at which counting started. */
  loadedAt: bigint;
  gate: boolean;
  /** Count when the gate went low, or -1. */
  frozen: number;
  /** Low byte of a two-byte write, or -1. */
  pendingLow: number;
  latched: number;
  latchedBytes: number;
  status: number;
  readHigh: boolean;
}

function newChannel(gate: boolean): Channel {
  return {
    mode: 0,
    access: ReadWrite.Both,
    bcd: false,
    reload: 0,
    loadedAt: 0n,
    gate,
    frozen: -1,
    pendingLow: -1,
    latched: 0,
    latchedBytes: 0,
    status: -1,
    readHigh: false,
  };
}

export class Pit implements PortDevice {
  readonly #now: () => bigint;
  readonly #channels = [newChannel(true), newChannel(true), newChannel(false)] as const;
  #speaker = 0;
  #refresh = 0;

  /** @param now monotonic nanoseconds. */
  constructor(now: () => bigint) {
    this.#now = now;
  }

  readPort(port: number): number {
    if (port === 0x61) return this.#readControlB();
    return port === 0x43 ? 0xff : this.#readCounter(this.#channels[port & 3]!);
  }

  writePort(port: number, _size: number, value: number): void {
    if (port === 0x61) this.#writeControlB(value);
    else if (port === 0x43) this.#writeControl(value);
    else this.#writeCounter(this.#channels[port & 3]!, value);
  }

  /** Output pin of a channel. */
  output(index: number): boolean {
    const channel = this.#channels[index]!;
    if (channel.reload === 0) return channel.mode !== 0;
    const elapsed = this.#elapsed(channel);
    switch (channel.mode) {
      case 0:
      case 1:
        return elapsed >= BigInt(channel.reload);
      case 2:
        return elapsed % BigInt(channel.reload) !== BigInt(channel.reload - 1);
      case 3:
        return elapsed % BigInt(channel.reload) < BigInt((channel.reload + 1) >> 1);
      default:
        return elapsed !== BigInt(channel.reload);
    }
  }

  get #ticks(): bigint {
    return (this.#now() * BigInt(PIT_FREQUENCY)) / 1_000_000_000n;
  }

  /** Ticks counted since the count was loaded. */
  #elapsed(channel: Channel): bigint {
    if (channel.frozen >= 0) return BigInt(channel.reload - channel.frozen);
    return this.#ticks - channel.loadedAt;
  }

  #count(channel: Channel): number {
    if (channel.reload === 0) return 0;
    const elapsed = this.#elapsed(channel);
    const periodic = channel.mode === 2 || channel.mode === 3;
    const step = channel.mode === 3 ? 2n : 1n;
    if (periodic) return Number(BigInt(channel.reload) - ((elapsed * step) % BigInt(channel.reload))) & 0xffff;
    return Number(BigInt.asUintN(16, BigInt(channel.reload) - elapsed));
  }

  #writeControl(value: number): void {
    const select = value >> 6;
    if (select === 3) {
      this.#readBack(value);
      return;
    }
    const channel = this.#channels[select]!;
    const access = (value >> 4) & 3;
    if (access === ReadWrite.Latch) {
      this.#latchCount(channel);
      return;
    }
    channel.access = access;
    // Modes 6 and 7 are other names of 2 and 3.
    const mode = (value >> 1) & 7;
    channel.mode = mode > 5 ? mode - 4 : mode;
    channel.bcd = (value & 1) !== 0;
    channel.reload = 0;
    channel.frozen = -1;
    channel.pendingLow = -1;
    channel.readHigh = false;
    channel.latchedBytes = 0;
    channel.status = -1;
  }

  #readBack(value: number): void {
    this.#channels.forEach((channel, i) => {
      if (!(value & (2 << i))) return;
      if (!(value & 0x20)) this.#latchCount(channel);
      if (!(value & 0x10) && channel.status < 0) {
        const out = this.output(i) ? 0x80 : 0;
        const nullCount = channel.reload === 0 ? 0x40 : 0;
        channel.status = out | nullCount | (channel.access << 4) | (channel.mode << 1) | (channel.bcd ? 1 : 0);
      }
    });
  }

  #latchCount(channel: Channel): void {
    if (channel.latchedBytes > 0) return;
    channel.latched = encode(this.#count(channel), channel.bcd);
    channel.latchedBytes = channel.access === ReadWrite.Both ? 2 : 1;
  }

  #readCounter(channel: Channel): number {
    if (channel.status >= 0) {
      const { status } = channel;
      channel.status = -1;
      return status;
    }
    let value: number;
    if (channel.latchedBytes > 0) {
      value = channel.latched;
      channel.latchedBytes--;
    } else value = encode(this.#count(channel), channel.bcd);
    if (channel.access === ReadWrite.Low) return value & 0xff;
    if (channel.access === ReadWrite.High) return value >> 8;
    channel.readHigh = !channel.readHigh;
    return channel.readHigh ? value & 0xff : value >> 8;
  }

  #writeCounter(channel: Channel, value: number): void {
    if (channel.access === ReadWrite.Both && channel.pendingLow < 0) {
      channel.pendingLow = value;
      return;
    }
    let count = value;
    if (channel.access === ReadWrite.High) count = value << 8;
    else if (channel.access === ReadWrite.Both) count = (value << 8) | channel.pendingLow;
    channel.pendingLow = -1;
    count = decode(count, channel.bcd);
    channel.reload = count === 0 ? (channel.bcd ? 10_000 : 0x10000) : count;
    channel.loadedAt = this.#ticks;
    channel.frozen = channel.gate ? -1 : channel.reload;
  }

  /** Bit 0 gate of channel 2, bit 1 speaker; bit 4 toggles with memory refresh, bit 5 output of channel 2. */
  #readControlB(): number {
    this.#refresh ^= 0x10;
    const { gate } = this.#channels[2];
    return this.#speaker | (gate ? 1 : 0) | this.#refresh | (this.output(2) ? 0x20 : 0);
  }

  #writeControlB(value: number): void {
    const channel = this.#channels[2];
    const gate = (value & 1) !== 0;
    this.#speaker = value & 2;
    if (gate === channel.gate) return;
    if (!gate) {
      channel.frozen = channel.reload === 0 ? -1 : this.#count(channel);
    } else if (channel.reload !== 0) {
      // Modes 1, 2, 3 and 5 restart on the rising edge; 0 and 4 go on.
      const resumes = channel.mode === 0 || channel.mode === 4;
      const counted = resumes && channel.frozen >= 0 ? channel.reload - channel.frozen : 0;
      channel.loadedAt = this.#ticks - BigInt(counted);
      channel.frozen = -1;
    }
    channel.gate = gate;
  }
}

function encode(count: number, bcd: boolean): number {
  if (!bcd) return count & 0xffff;
  return Number.parseInt(String(count % 10_000), 16);
}

function decode(count: number, bcd: boolean): number {
  return bcd ? Number(count.toString(16).replace(/[a-f]/g, "9")) : count;
}

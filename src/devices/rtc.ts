// The MC146818 real-time clock and CMOS RAM (Motorola data sheet) at ports 0x70-0x71, with the second bank of PCs at 0x72-0x73.
// Time comes from the wall clock plus the difference that guests set. Interrupt sources only show in register C.

import type { PortDevice } from "./port-bus.js";

const Register = {
  Seconds: 0,
  Minutes: 2,
  Hours: 4,
  Weekday: 6,
  Day: 7,
  Month: 8,
  Year: 9,
  A: 10,
  B: 11,
  C: 12,
  D: 13,
} as const;
const CENTURY = 0x32;

const A_UPDATE_IN_PROGRESS = 0x80;
/** 32,768 Hz time base, 1,024 Hz periodic rate. */
const A_DEFAULT = 0x26;
const B_SET = 0x80;
const B_BINARY = 0x04;
const B_24_HOURS = 0x02;
const D_VALID = 0x80;
/** UIP rises 244 us before an update. */
const UPDATE_WARNING = 244_000n;
const SECOND = 1_000_000_000n;

/** A moment as the registers hold it, decoded: the year with its century, the month from 1. */
interface Fields {
  year: number;
  month: number;
  day: number;
  hours: number;
  minutes: number;
  seconds: number;
}

export class Rtc implements PortDevice {
  readonly #wall: () => bigint;
  readonly #ram = new Uint8Array(256);
  /** Guest time minus host time, ns. */
  #offset = 0n;
  /** The registers while SET stops the clock; undefined: it runs. */
  #stopped: Fields | undefined;
  #index = 0;
  #highIndex = 0x80;

  /** @param wall nanoseconds since 1970-01-01 UTC. */
  constructor(wall: () => bigint) {
    this.#wall = wall;
    this.#ram[Register.A] = A_DEFAULT;
    this.#ram[Register.B] = B_24_HOURS;
  }

  readPort(port: number): number {
    if (port === 0x71) return this.#read(this.#index);
    return port === 0x73 ? this.#ram[this.#highIndex]! : 0xff;
  }

  writePort(port: number, _size: number, value: number): void {
    // Bit 7 of port 0x70 is the NMI mask.
    if (port === 0x70) this.#index = value & 0x7f;
    else if (port === 0x71) this.#write(this.#index, value);
    else if (port === 0x72) this.#highIndex = 0x80 | (value & 0x7f);
    else this.#ram[this.#highIndex] = value;
  }

  get #time(): bigint {
    return this.#wall() + this.#offset;
  }

  #fields(): Fields {
    if (this.#stopped) return this.#stopped;
    const date = new Date(Number(this.#time / 1_000_000n));
    return {
      year: date.getUTCFullYear(),
      month: date.getUTCMonth() + 1,
      day: date.getUTCDate(),
      hours: date.getUTCHours(),
      minutes: date.getUTCMinutes(),
      seconds: date.getUTCSeconds(),
    };
  }

  #setTime(fields: Fields): void {
    const { year, month, day, hours, minutes, seconds } = fields;
    const milliseconds = Date.UTC(year, month - 1, day, hours, minutes, seconds);
    this.#offset = BigInt(milliseconds) * 1_000_000n - this.#wall();
  }

  #read(register: number): number {
    if (isTime(register)) return this.#readTime(register);
    if (register === Register.A) {
      const updatesSoon = !this.#stopped && this.#time % SECOND >= SECOND - UPDATE_WARNING;
      return this.#ram[Register.A]! | (updatesSoon ? A_UPDATE_IN_PROGRESS : 0);
    }
    if (register === Register.C) return 0;
    return register === Register.D ? D_VALID : this.#ram[register]!;
  }

  #readTime(register: number): number {
    const fields = this.#fields();
    switch (register) {
      case Register.Seconds:
        return this.#encode(fields.seconds);
      case Register.Minutes:
        return this.#encode(fields.minutes);
      case Register.Hours:
        return this.#encodeHours(fields.hours);
      case Register.Weekday:
        return this.#encode(new Date(Date.UTC(fields.year, fields.month - 1, fields.day)).getUTCDay() + 1);
      case Register.Day:
        return this.#encode(fields.day);
      case Register.Month:
        return this.#encode(fields.month);
      case Register.Year:
        return this.#encode(fields.year % 100);
      default:
        return this.#encode(Math.floor(fields.year / 100));
    }
  }

  #encodeHours(hours: number): number {
    if (this.#ram[Register.B]! & B_24_HOURS) return this.#encode(hours);
    return this.#encode(hours % 12 || 12) | (hours >= 12 ? 0x80 : 0);
  }

  #decodeHours(value: number): number {
    if (this.#ram[Register.B]! & B_24_HOURS) return this.#decode(value);
    return (this.#decode(value & 0x7f) % 12) + (value & 0x80 ? 12 : 0);
  }

  #encode(value: number): number {
    return this.#ram[Register.B]! & B_BINARY ? value : (Math.floor(value / 10) << 4) | (value % 10);
  }

  #decode(value: number): number {
    return this.#ram[Register.B]! & B_BINARY ? value : (value >> 4) * 10 + (value & 15);
  }

  #write(register: number, value: number): void {
    if (isTime(register)) this.#writeTime(register, value);
    else if (register === Register.A) this.#ram[Register.A] = value & 0x7f;
    else if (register === Register.B) this.#writeB(value);
    else if (register !== Register.C && register !== Register.D) this.#ram[register] = value;
  }

  #writeB(value: number): void {
    const stop = (value & B_SET) !== 0;
    if (stop) this.#stopped ??= this.#fields();
    else if (this.#stopped) {
      this.#setTime(this.#stopped);
      this.#stopped = undefined;
    }
    this.#ram[Register.B] = value;
  }

  /** While the clock is stopped fields may pass through combinations that are no date. */
  #writeTime(register: number, value: number): void {
    const fields = this.#fields();
    const decoded = this.#decode(value);
    switch (register) {
      case Register.Seconds:
        fields.seconds = decoded;
        break;
      case Register.Minutes:
        fields.minutes = decoded;
        break;
      case Register.Hours:
        fields.hours = this.#decodeHours(value);
        break;
      case Register.Weekday:
        return;
      case Register.Day:
        fields.day = decoded;
        break;
      case Register.Month:
        fields.month = decoded;
        break;
      case Register.Year:
        fields.year = fields.year - (fields.year % 100) + decoded;
        break;
      default:
        fields.year = decoded * 100 + (fields.year % 100);
    }
    if (!this.#stopped) this.#setTime(fields);
  }
}

function isTime(register: number): boolean {
  const isAlarm = register === 1 || register === 3 || register === 5;
  return (register <= Register.Year && !isAlarm) || register === CENTURY;
}

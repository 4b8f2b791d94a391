// Resource descriptors (ACPI specification 6.4, section 6.4): what a device uses, as bytes for a _CRS buffer.

import { type Aml, buffer } from "./aml.js";

function word(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff];
}

function dword(value: number): number[] {
  return [...word(value), ...word(value >>> 16)];
}

/** I/O ports, decoded with 16 bits. */
export function io(base: number, length: number, alignment = 1): number[] {
  return [0x47, 0x01, ...word(base), ...word(base), alignment, length];
}

/** An edge-triggered ISA interrupt. */
export function irqNoFlags(irq: number): number[] {
  return [0x22, ...word(1 << irq)];
}

const PRODUCER_POSITIVE_FIXED = 0x0c;

/** A range of bus numbers that a bridge passes on. */
export function busRange(first: number, last: number): number[] {
  return [
    0x88,
    ...word(13),
    2,
    PRODUCER_POSITIVE_FIXED,
    0,
    ...word(0),
    ...word(first),
    ...word(last),
    ...word(0),
    ...word(last - first + 1),
  ];
}

/** A range of I/O ports that a bridge passes on. */
export function ioRange(first: number, last: number): number[] {
  const entireRange = 3;
  return [
    0x88,
    ...word(13),
    1,
    PRODUCER_POSITIVE_FIXED,
    entireRange,
    ...word(0),
    ...word(first),
    ...word(last),
    ...word(0),
    ...word(last - first + 1),
  ];
}

/** A range of memory that a bridge passes on: uncached, writable. */
export function memoryRange(first: number, last: number, cacheable = false): number[] {
  const flags = 1 | (cacheable ? 2 : 0);
  const size = last - first + 1;
  return [
    0x87,
    ...word(23),
    0,
    PRODUCER_POSITIVE_FIXED,
    flags,
    ...dword(0),
    ...dword(first),
    ...dword(last),
    ...dword(0),
    ...dword(size),
  ];
}

/** The descriptors with their end tag, as a Buffer. */
export function resources(...descriptors: number[][]): Aml {
  const bytes = [...descriptors.flat(), 0x79];
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  return buffer([...bytes, -sum & 0xff]);
}

// ACPI tables (ACPI specification 6.4, chapter 5) of a machine with one I/O APIC: RSDP, RSDT, FADT, FACS, MADT, DSDT. Built as one
// image for a given address.

import { dsdtTerms } from "./dsdt.js";
import { GPE0, PM_TIMER, PM1_CONTROL, PM1_EVENT } from "./pm-registers.js";

const HEADER = 36;
const OEM_ID = "XENTS ";
const OEM_TABLE_ID = "XENTSPC ";
const CREATOR_ID = "XNTS";

export const LOCAL_APIC = 0xfee0_0000;
export const IO_APIC = 0xfec0_0000;
const SCI = 9;

/** MADT flag: the machine also has two 8259s. */
const PCAT_COMPAT = 1;
/** FADT flags: WBINVD works; no fixed sleep button or RTC wake status; RTC wakes from S4; the PM timer has 24 bits. */
const FADT_FLAGS = (1 << 0) | (1 << 5) | (1 << 6) | (1 << 7);
/** IAPC_BOOT_ARCH: legacy ISA devices, no i8042. */
const LEGACY_DEVICES = 1;

function ascii(target: Uint8Array, offset: number, text: string): void {
  for (let i = 0; i < text.length; i++) target[offset + i] = text.charCodeAt(i);
}

function checksum(bytes: Uint8Array, at: number): void {
  bytes[at] = 0;
  bytes[at] = -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}

/** A system description table with its header filled in. */
export function systemTable(signature: string, revision: number, body: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(HEADER + body.length);
  const view = new DataView(bytes.buffer);
  bytes.set(Uint8Array.from(body), HEADER);
  ascii(bytes, 0, signature);
  view.setUint32(4, bytes.length, true);
  bytes[8] = revision;
  ascii(bytes, 10, OEM_ID);
  ascii(bytes, 16, OEM_TABLE_ID);
  view.setUint32(24, 1, true);
  ascii(bytes, 28, CREATOR_ID);
  view.setUint32(32, 1, true);
  checksum(bytes, 9);
  return bytes;
}

function madt(cpus: number): Uint8Array {
  const body: number[] = [];
  const dword = (value: number) => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
  body.push(...dword(LOCAL_APIC), ...dword(PCAT_COMPAT));
  for (let id = 0; id < cpus; id++) body.push(0, 8, id, id, ...dword(1));
  body.push(1, 12, 0, 0, ...dword(IO_APIC), ...dword(0));
  // ISA interrupt 0 is line 2; the SCI and the PCI interrupts are level-triggered, active high.
  body.push(2, 10, 0, 0, ...dword(2), 0, 0);
  for (const irq of [5, 9, 10, 11]) body.push(2, 10, 0, irq, ...dword(irq), 0x0d, 0);
  // Local APIC NMI: all processors, LINT1.
  body.push(4, 6, 0xff, 0, 0, 1);
  return systemTable("APIC", 1, body);
}

/** Revision 1 with 116 bytes, as machines of that time have it. */
function fadt(facs: number, dsdt: number): Uint8Array {
  const bytes = new Uint8Array(116 - HEADER);
  const view = new DataView(bytes.buffer);
  const at = (offset: number) => offset - HEADER;
  view.setUint32(at(36), facs, true);
  view.setUint32(at(40), dsdt, true);
  view.setUint16(at(46), SCI, true);
  view.setUint32(at(56), PM1_EVENT, true);
  view.setUint32(at(64), PM1_CONTROL, true);
  view.setUint32(at(76), PM_TIMER, true);
  view.setUint32(at(80), GPE0, true);
  bytes.set([4, 2, 0, 4, 4, 0], at(88)); // lengths: PM1 events, control, PM2, timer, GPE0, GPE1
  view.setUint16(at(96), 0xfff, true); // C2 and C3 latency: not supported
  view.setUint16(at(98), 0xfff, true);
  bytes[at(108)] = 0x32; // century register of the clock
  view.setUint16(at(109), LEGACY_DEVICES, true);
  view.setUint32(at(112), FADT_FLAGS, true);
  return systemTable("FACP", 1, bytes);
}

function facs(): Uint8Array {
  const bytes = new Uint8Array(64);
  ascii(bytes, 0, "FACS");
  new DataView(bytes.buffer).setUint32(4, 64, true);
  return bytes;
}

function rsdp(rsdt: number): Uint8Array {
  const bytes = new Uint8Array(20);
  ascii(bytes, 0, "RSD PTR ");
  ascii(bytes, 9, OEM_ID);
  new DataView(bytes.buffer).setUint32(16, rsdt, true);
  checksum(bytes, 8);
  return bytes;
}

export interface AcpiOptions {
  /** Machine address that the tables are for, 64-byte aligned. */
  readonly address: number;
  readonly cpus: number;
  /** First machine address above RAM. */
  readonly pciMemory: number;
}

export interface AcpiImage {
  /** 20 bytes for the BIOS area, 16-byte aligned. */
  readonly rsdp: Uint8Array;
  /** All other tables, for `address`. */
  readonly tables: Uint8Array;
}

export function acpiTables(options: AcpiOptions): AcpiImage {
  const parts: { at: number; bytes: Uint8Array }[] = [];
  let next = options.address;
  const place = (bytes: Uint8Array): number => {
    const at = next;
    parts.push({ at, bytes });
    next = Math.ceil((at + bytes.length) / 64) * 64;
    return at;
  };
  const facsAt = place(facs());
  const dsdtAt = place(systemTable("DSDT", 1, dsdtTerms({ pciMemory: options.pciMemory })));
  const pointers = [place(fadt(facsAt, dsdtAt)), place(madt(options.cpus))];
  const rsdtBody = new Uint8Array(pointers.length * 4);
  pointers.forEach((pointer, i) => {
    new DataView(rsdtBody.buffer).setUint32(i * 4, pointer, true);
  });
  const rsdtAt = place(systemTable("RSDT", 1, rsdtBody));
  const tables = new Uint8Array(next - options.address);
  for (const { at, bytes } of parts) tables.set(bytes, at - options.address);
  return { rsdp: rsdp(rsdtAt), tables };
}

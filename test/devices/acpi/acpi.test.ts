import { describe, expect, it } from "vitest";
import { eisaId, integer, nameString, packageOf } from "../../../src/devices/acpi/aml.js";
import { ACPI_RESERVED_BYTES, installAcpi } from "../../../src/devices/acpi/install.js";
import { PmRegisters } from "../../../src/devices/acpi/pm-registers.js";
import { PortBus } from "../../../src/devices/port-bus.js";
import { MachineMemory } from "../../../src/mmu/machine-memory.js";

const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
const signature = (bytes: Uint8Array, at = 0, length = 4) => String.fromCharCode(...bytes.subarray(at, at + length));

describe("AML", () => {
  it("encodes names, ids, integers and package lengths", () => {
    expect(String.fromCharCode(...nameString("\\_SB.PCI0"))).toBe("\\._SB_PCI0");
    expect(eisaId("PNP0A03")).toEqual([0x0c, 0x41, 0xd0, 0x0a, 0x03]);
    expect([integer(0), integer(1), integer(0x80), integer(0x1234), integer(0x8000_0000)]).toEqual([
      [0],
      [1],
      [0x0a, 0x80],
      [0x0b, 0x34, 0x12],
      [0x0c, 0, 0, 0, 0x80],
    ]);
    expect(packageOf(integer(0), integer(1)).slice(0, 3)).toEqual([0x12, 4, 2]);
    const long = packageOf(...Array.from({ length: 100 }, () => integer(0)));
    expect(long.slice(0, 4)).toEqual([0x12, 0x47, 0x06, 100]);
    expect(long).toHaveLength(1 + 0x67);
  });
});

describe("tables", () => {
  const memory = new MachineMemory({ frames: 1024, engineBytes: 65536 });
  const off: number[] = [];
  const ports = new PortBus();
  const reserved = installAcpi(memory, ports, {
    cpus: 2,
    now: () => 1_000_000_000n,
    onPowerOff: () => void off.push(1),
  });
  const table = (address: number) => memory.bytes(address, memory.readU32(address + 4));

  it("hang together from the root pointer, with right checksums", () => {
    expect(reserved).toEqual({ address: 1024 * 4096 - ACPI_RESERVED_BYTES, size: ACPI_RESERVED_BYTES });
    const rsdp = memory.bytes(0xf59d0, 20);
    expect(signature(rsdp, 0, 8)).toBe("RSD PTR ");
    expect(sum(rsdp)).toBe(0);
    const rsdt = table(memory.readU32(0xf59d0 + 16));
    expect(signature(rsdt)).toBe("RSDT");
    expect(sum(rsdt)).toBe(0);
    const view = new DataView(rsdt.buffer, rsdt.byteOffset);
    const pointers = [view.getUint32(36, true), view.getUint32(40, true)];
    expect(pointers.map((p) => signature(table(p)))).toEqual(["FACP", "APIC"]);
    for (const p of pointers) expect(sum(table(p))).toBe(0);
    const facp = pointers[0]!;
    expect(signature(memory.bytes(memory.readU32(facp + 36), 4))).toBe("FACS");
    const dsdt = table(memory.readU32(facp + 40));
    expect(signature(dsdt)).toBe("DSDT");
    expect(sum(dsdt)).toBe(0);
    expect(memory.readU32(facp + 36) % 64).toBe(0);
  });

  it("the sleep register turns the machine off", () => {
    expect(ports.read(0x604, 2)).toBe(1);
    ports.write(0x604, 2, (1 << 10) | 1);
    expect(off).toEqual([]);
    ports.write(0x604, 2, 1 << 13);
    expect(off).toEqual([1]);
    expect(ports.read(0x604, 2) & 0x2000).toBe(0);
    expect(ports.read(0x608, 4)).toBe(3_579_545);
  });

  it("event enables stick, statuses clear", () => {
    const pm = new PmRegisters({ now: () => 0n, onPowerOff: () => {} });
    pm.writePort(0x602, 2, 0x0121);
    expect(pm.readPort(0x602, 2)).toBe(0x0121);
    pm.writePort(0x600, 2, 0xffff);
    expect(pm.readPort(0x600, 2)).toBe(0);
  });
});

import { describe, expect, it } from "vitest";
import { SimplePciFunction } from "../../src/devices/pci/config.js";
import { Pit } from "../../src/devices/pit.js";
import { createPlatform } from "../../src/devices/platform.js";
import { PortBus } from "../../src/devices/port-bus.js";
import { Rtc } from "../../src/devices/rtc.js";

const TICK = 1_000_000_000 / 1_193_182;

function pitAt() {
  let now = 1_000_000_000n;
  const pit = new Pit(() => now);
  return { pit, pass: (ticks: number) => (now += BigInt(Math.ceil(ticks * TICK))) };
}

describe("port bus", () => {
  it("unclaimed ports read as ones at every width", () => {
    const bus = new PortBus();
    expect([bus.read(0x300, 1), bus.read(0x300, 2), bus.read(0xfffe, 4)]).toEqual([0xff, 0xffff, 0xffff_ffff]);
    bus.write(0x300, 4, 1);
  });

  it("splits wide accesses to byte devices and refuses double claims", () => {
    const bus = new PortBus();
    const seen: number[][] = [];
    const device = {
      readPort: (port: number) => port & 0xff,
      writePort: (...args: number[]) => void seen.push(args),
    };
    bus.claim({ first: 0x10, count: 3, device });
    expect(bus.read(0x10, 4)).toBe(0xff12_1110);
    bus.write(0x11, 2, 0xbbaa);
    expect(seen).toEqual([
      [0x11, 1, 0xaa],
      [0x12, 1, 0xbb],
    ]);
    expect(() => bus.claim({ first: 0x12, count: 1, device })).toThrow(RangeError);
  });
});

describe("8254", () => {
  it("mode 0 on channel 2 counts down while the gate is open and raises its output at the end", () => {
    const { pit, pass } = pitAt();
    pit.writePort(0x61, 1, 1);
    pit.writePort(0x43, 1, 0xb0);
    pit.writePort(0x42, 1, 0x00);
    pit.writePort(0x42, 1, 0x10);
    pass(256);
    pit.writePort(0x43, 1, 0x80);
    const latched = pit.readPort(0x42) | (pit.readPort(0x42) << 8);
    expect(latched).toBe(0x0f00);
    expect(pit.readPort(0x61) & 0x21).toBe(1);
    pass(0x1000);
    expect(pit.readPort(0x61) & 0x21).toBe(0x21);
  });

  it("a closed gate stops mode 0", () => {
    const { pit, pass } = pitAt();
    pit.writePort(0x61, 1, 1);
    pit.writePort(0x43, 1, 0xb0);
    pit.writePort(0x42, 1, 0);
    pit.writePort(0x42, 1, 1);
    pass(100);
    pit.writePort(0x61, 1, 0);
    pass(1000);
    pit.writePort(0x61, 1, 1);
    pass(100);
    expect(pit.readPort(0x42)).toBe(256 - 200);
  });

  it("mode 2 reloads, mode 3 is a square wave, read-back tells the status", () => {
    const { pit, pass } = pitAt();
    pit.writePort(0x43, 1, 0x34);
    pit.writePort(0x40, 1, 100);
    pit.writePort(0x40, 1, 0);
    pass(250);
    expect(pit.readPort(0x40)).toBe(50);
    pit.readPort(0x40);
    pit.writePort(0x43, 1, 0xe2); // read back status of channel 0
    expect(pit.readPort(0x40)).toBe(0x80 | 0x34);
    pit.writePort(0x43, 1, 0x76);
    pit.writePort(0x41, 1, 100);
    pit.writePort(0x41, 1, 0);
    expect(pit.output(1)).toBe(true);
    pass(60);
    expect(pit.output(1)).toBe(false);
  });
});

describe("MC146818", () => {
  const read = (rtc: Rtc, register: number) => {
    rtc.writePort(0x70, 1, register);
    return rtc.readPort(0x71);
  };
  const write = (rtc: Rtc, register: number, value: number) => {
    rtc.writePort(0x70, 1, register);
    rtc.writePort(0x71, 1, value);
  };

  it("shows the wall clock in BCD", () => {
    const rtc = new Rtc(() => BigInt(Date.UTC(2026, 10, 21, 23, 59, 8)) * 1_000_000n);
    expect([0, 2, 4, 6, 7, 8, 9, 0x32].map((r) => read(rtc, r))).toEqual([
      ...[0x08, 0x59, 0x23, 7, 0x21, 0x11, 0x26, 0x20],
    ]);
    expect(read(rtc, 10)).toBe(0x26);
    expect(read(rtc, 13)).toBe(0x80);
    write(rtc, 11, 0); // 12 hours
    expect(read(rtc, 4)).toBe(0x91);
    write(rtc, 11, 6); // binary, 24 hours
    expect(read(rtc, 4)).toBe(23);
  });

  it("warns before an update", () => {
    const rtc = new Rtc(() => 999_900_000n);
    expect(read(rtc, 10) & 0x80).toBe(0x80);
  });

  it("takes a new time in any order of fields while stopped", () => {
    let wall = BigInt(Date.UTC(2026, 0, 31, 1, 2, 3)) * 1_000_000n;
    const rtc = new Rtc(() => wall);
    write(rtc, 11, 0x82);
    write(rtc, 8, 0x02);
    write(rtc, 7, 0x28);
    write(rtc, 9, 0x30);
    write(rtc, 11, 0x02);
    wall += 2_000_000_000n;
    expect([9, 8, 7, 4, 2, 0].map((r) => read(rtc, r))).toEqual([0x30, 0x02, 0x28, 1, 2, 5]);
  });

  it("keeps CMOS bytes of both banks", () => {
    const rtc = new Rtc(() => 0n);
    write(rtc, 0x40, 0xaa);
    rtc.writePort(0x72, 1, 0xc0);
    rtc.writePort(0x73, 1, 0xbb);
    expect(read(rtc, 0x40)).toBe(0xaa);
    expect(rtc.readPort(0x73)).toBe(0xbb);
  });
});

describe("PCI configuration", () => {
  const clock = { monotonic: () => 0n, wall: () => 0n };

  it("answers mechanism 1 for the host bridge and ones for the rest", () => {
    const { ports } = createPlatform(clock);
    ports.write(0xcf8, 4, 0x8000_0000);
    expect(ports.read(0xcf8, 4)).toBe(0x8000_0000);
    expect(ports.read(0xcfc, 4)).toBe(0x1237_8086);
    expect(ports.read(0xcfe, 2)).toBe(0x1237);
    ports.write(0xcf8, 4, 0x8000_0008);
    expect(ports.read(0xcfc, 4)).toBe(0x0600_0002);
    ports.write(0xcf8, 4, 0x8000_f800);
    expect(ports.read(0xcfc, 4)).toBe(0xffff_ffff);
    ports.write(0xcf8, 4, 0x8001_0000);
    expect(ports.read(0xcfc, 4)).toBe(0xffff_ffff);
    expect(ports.read(0xcf8, 1)).toBe(0xff);
  });

  it("only writable bits change", () => {
    const fn = new SimplePciFunction({ vendor: 1, device: 2, classCode: 0x06_0000 });
    fn.writeConfig(0, 4, 0xffff_ffff);
    fn.writeConfig(4, 2, 0xffff);
    fn.writeConfig(0x40, 1, 0x5a);
    fn.writeConfig(0x10, 4, 0xffff_ffff);
    expect(fn.readConfig(0, 4)).toBe(0x0002_0001);
    expect(fn.readConfig(4, 2)).toBe(0x147);
    expect(fn.readConfig(0x40, 1)).toBe(0x5a);
    expect(fn.readConfig(0x10, 4)).toBe(0);
  });
});

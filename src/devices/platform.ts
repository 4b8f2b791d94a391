// The board that dom0 finds behind its I/O ports: timer, clock, PCI with an Intel 440FX host bridge and its PIIX3 ISA bridge,
// and the POST port. What isn't here doesn't answer.

import { PciConfig, SimplePciFunction } from "./pci/config.js";
import { Pit } from "./pit.js";
import { PortBus, type PortDevice } from "./port-bus.js";
import { Rtc } from "./rtc.js";

export interface PlatformClock {
  /** Nanoseconds that never go back. */
  monotonic(): bigint;
  /** Nanoseconds since 1970-01-01 UTC. */
  wall(): bigint;
}

export interface Platform {
  readonly ports: PortBus;
  readonly pci: PciConfig;
  readonly pit: Pit;
  readonly rtc: Rtc;
}

/** Port 0x80: the last POST code written. */
class PostPort implements PortDevice {
  #code = 0;

  readPort(): number {
    return this.#code;
  }

  writePort(_port: number, _size: number, value: number): void {
    this.#code = value;
  }
}

export function createPlatform(clock: PlatformClock): Platform {
  const ports = new PortBus();
  const pit = new Pit(() => clock.monotonic());
  const rtc = new Rtc(() => clock.wall());
  const pci = new PciConfig();
  pci.add(0, 0, new SimplePciFunction({ vendor: 0x8086, device: 0x1237, classCode: 0x06_0000, revision: 2 }));
  pci.add(1, 0, new SimplePciFunction({ vendor: 0x8086, device: 0x7000, classCode: 0x06_0100, multifunction: true }));
  ports.claim({ first: 0x40, count: 4, device: pit });
  ports.claim({ first: 0x61, count: 1, device: pit });
  ports.claim({ first: 0x70, count: 4, device: rtc });
  ports.claim({ first: 0x80, count: 1, device: new PostPort() });
  ports.claim({ first: 0xcf8, count: 8, device: pci, wide: true });
  return { ports, pci, pit, rtc };
}

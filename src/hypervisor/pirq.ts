// Physical interrupts as the hardware domain sees them (physdev.h): an interrupt line of the machine (GSI) is mapped to a PIRQ and
// bound to an event channel. Level-triggered lines stay masked from the event until PHYSDEVOP_eoi.

/** The machine's interrupt controllers, seen from the hypervisor. */
export interface InterruptController {
  /** Number of lines: PIRQs are 0 to lines - 1. */
  readonly lines: number;
  /** A domain bound the line: from now on `deliver` is called when it is asserted. */
  bind(line: number, deliver: () => void): void;
  unbind(line: number): void;
  /** The guest has handled the interrupt. */
  endOfInterrupt(line: number): void;
}

/** A machine without interrupt lines; the numbers exist, nothing ever asserts them. */
export class NoInterrupts implements InterruptController {
  readonly lines = 24;
  bind(): void {}
  unbind(): void {}
  endOfInterrupt(): void {}
}

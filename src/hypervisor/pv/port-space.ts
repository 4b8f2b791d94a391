// The I/O port space of the machine, as the hypervisor sees it: somebody else's devices behind two functions.

/** The machine's ports; devices/port-bus.ts is one. Sizes are 1, 2 or 4 bytes; values unsigned. */
export interface IoPorts {
  read(port: number, size: number): number;
  write(port: number, size: number, value: number): void;
}

/** A machine without any device. */
export const noIoPorts: IoPorts = {
  read: (_port, size) => allOnes(size),
  write: () => {},
};

export function allOnes(size: number): number {
  return size === 4 ? 0xffff_ffff : (1 << (size * 8)) - 1;
}

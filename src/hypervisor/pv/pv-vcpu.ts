// What a 64-bit PV vCPU registered with the hypervisor, and the virtual registers it sees (arch-x86/xen.h:
// vcpu_guest_context, trap_info; callback.h). Plain state: nothing here touches a CPU or memory.
// Invariant: while `kernelMode` is true the CPU walks `guestTable` and its GS base is the kernel's; the other GS base waits
// in KERNEL_GS_BASE. While it is false: `guestUserTable` and the user's GS base.

/** trap_info.flags */
export const TRAP_DPL_MASK = 3;
/** Entering through this gate masks event upcalls. */
export const TRAP_INTERRUPT_GATE = 4;

/** Page-table root that isn't set. */
export const NO_TABLE = -1;

export const CR0_TS = 0x8n;

/** CR0 that every PV guest sees, apart from TS: PG AM WP NE ET MP PE. */
export const PV_CR0 = 0x8005_0033n;

/** CR4 bits. */
export const Cr4 = {
  TSD: 0x4n,
  DE: 0x8n,
  PSE: 0x10n,
  PAE: 0x20n,
  MCE: 0x40n,
  PGE: 0x80n,
  OSFXSR: 0x200n,
  OSXMMEXCPT: 0x400n,
  FSGSBASE: 0x1_0000n,
  OSXSAVE: 0x4_0000n,
} as const;

/** CR4 bits that the hypervisor keeps on and shows to guests. */
export const PV_CR4_FIXED = Cr4.PAE | Cr4.MCE | Cr4.PGE | Cr4.OSFXSR | Cr4.OSXMMEXCPT;

/** Reset value of DR6 and DR7: reserved bits that read as one (SDM 3B 18.2). */
export const DR6_DEFAULT = 0xffff_0ff0n;
export const DR7_DEFAULT = 0x400n;

/** A registered entry point of the guest kernel; address 0: not registered. */
export interface Callback {
  address: bigint;
  /** Event upcalls are masked on entry (CALLBACKF_mask_events). */
  masksEvents: boolean;
}

function callback(masksEvents = false): Callback {
  return { address: 0n, masksEvents };
}

export class PvVcpu {
  /** One word: nonzero in guest kernel mode. The CPU's own (PV_KERNEL), once there is one: gate.ts switches modes too. */
  #mode: Uint32Array = Uint32Array.of(1);
  /** One number: the guest kernel's stack pointer. The CPU's own (PV_KERNEL_SP), likewise. */
  #kernelSp: BigUint64Array = BigUint64Array.of(0n);
  /** Machine frames of the L4 tables. */
  guestTable = NO_TABLE;
  guestUserTable = NO_TABLE;

  /** The virtual IDT, by vector: code address (0: none), selector, flags. */
  readonly trapAddress = new BigUint64Array(256);
  readonly trapSelector = new Uint16Array(256);
  readonly trapFlags = new Uint8Array(256);

  kernelSs = 0;

  readonly eventCallback = callback(true);
  readonly failsafeCallback = callback();
  readonly syscallCallback = callback();
  readonly syscall32Callback = callback();
  readonly sysenterCallback = callback();
  readonly nmiCallback = callback(true);
  nmiPending = false;
  nmiMasked = false;

  /** Virtual CR0 beyond PV_CR0: TS or nothing. */
  cr0 = 0n;
  cr2 = 0n;
  cr4 = PV_CR4_FIXED;
  readonly dr = BigUint64Array.of(0n, 0n, 0n, 0n, 0n, 0n, DR6_DEFAULT, DR7_DEFAULT);

  /** Virtual IOPL 0-3: PHYSDEVOP_set_iopl. */
  iopl = 0;
  /** Guest address of the I/O bitmap (PHYSDEVOP_set_iobitmap) and its size in ports; 0: none. */
  ioBitmap = 0n;
  ioBitmapPorts = 0;

  /** Machine frames that hold the guest's part of the GDT (at most 14) and how many 8-byte entries are valid. */
  readonly gdtFrames: number[] = [];
  gdtEntries = 0;
  /** LDT: guest address and number of entries. */
  ldtBase = 0n;
  ldtEntries = 0;
  /** LDT pages that were looked up and hold a segment-descriptor reference: index of page to machine frame. */
  readonly ldtFrames = new Map<number, number>();
  /** The root that they were looked up in. */
  ldtRoot = NO_TABLE;

  /** Called after each switch between guest kernel and guest user mode, in either direction, with the new root in place. */
  onModeSwitch: () => void = () => {};

  get kernelMode(): boolean {
    return this.#mode[0] !== 0;
  }
  set kernelMode(isKernel: boolean) {
    this.#mode[0] = isKernel ? 1 : 0;
  }

  get kernelSp(): bigint {
    return this.#kernelSp[0]!;
  }
  set kernelSp(address: bigint) {
    this.#kernelSp[0] = address;
  }

  /** Keeps the mode and the kernel's stack pointer there from now on. */
  keepIn(mode: Uint32Array, kernelSp: BigUint64Array): void {
    mode[0] = this.#mode[0]!;
    kernelSp[0] = this.#kernelSp[0]!;
    this.#mode = mode;
    this.#kernelSp = kernelSp;
  }

  /** Whether an exception of this vector has a handler. */
  hasTrapHandler(vector: number): boolean {
    return this.trapAddress[vector] !== 0n;
  }
}

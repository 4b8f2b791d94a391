// Offsets, in bytes, of a vCPU's architectural and engine state in linear memory: the only place where they exist.
// Wasm code takes the struct's base as its first parameter, so one piece of code serves every vCPU.

export const GPR = 0; // 16 x u64: RAX RCX RDX RBX RSP RBP RSI RDI R8-R15
export const ZERO_SLOT = 128; // u64, always 0: the absent base, index or segment of an address
export const RIP = 136; // u64; valid whenever `run` is not on the stack
/** Virtual address of the page that the current record belongs to; RIP = PAGE_VA + the record's page offset. */
export const PAGE_VA = 144;

/** Lazy flags: ZF, SF and PF derive from FLAG_RESULT (sign-extended to 64 bits) and FLAG_AUX. */
export const FLAG_RESULT = 152; // i64
/** i32: bit 31 carry-out (CF), bit 30 carry into the top bit (OF = b31^b30), bit 3 AF, bits 8-15 PF delta, bit 0 SF delta. */
export const FLAG_AUX = 160;
/** u32: RFLAGS without CF PF AF ZF SF OF (which are lazy) and with bit 1 set. */
export const EFLAGS = 164;
export const MXCSR = 168;
export const CPL = 172; // u32
/** u32: 0 = 16-bit code, 1 = 32-bit code (legacy or compatibility), 2 = 64-bit code. */
export const CODE_MODE = 176;
/** u32: mask of RSP bits in stack addressing outside 64-bit code: 0xffff or 0xffffffff. */
export const STACK_MASK = 180;

/** Segments in the order ES CS SS DS FS GS. */
export const SEG_BASE = 184; // 6 x u64
export const SEG_SELECTOR = 232; // 6 x u32
export const SEG_LIMIT = 256; // 6 x u32, byte-granular, inclusive
/** 6 x u32: descriptor bits 40-47 in bits 0-7, bits 52-55 in bits 12-15 (VMX access-rights layout); bit 16 = unusable (null). */
export const SEG_ATTR = 280;

export const CR0 = 304; // u64 each from here
export const CR2 = 312;
export const CR3 = 320;
export const CR4 = 328;
export const EFER = 336;
export const DR = 344; // 8 x u64: DR0-DR3, (4, 5 unused), DR6, DR7
export const STAR = 408;
export const LSTAR = 416;
export const CSTAR = 424;
export const FMASK = 432;
export const KERNEL_GS_BASE = 440;
export const SYSENTER_CS = 448;
export const SYSENTER_ESP = 456;
export const SYSENTER_EIP = 464;
export const TSC_AUX = 472;
export const XCR0 = 480;
export const GDTR_BASE = 488;
export const IDTR_BASE = 496;
export const LDTR_BASE = 504;
export const TR_BASE = 512;
export const GDTR_LIMIT = 520; // u32 each
export const IDTR_LIMIT = 524;
export const LDTR_LIMIT = 528;
export const TR_LIMIT = 532;
export const LDTR_SELECTOR = 536;
export const TR_SELECTOR = 540;

/** x87: control, status (TOP kept apart in FTOP), tag word in its abridged form (bit set = physical register not empty). */
export const FCW = 544; // u32 each
export const FSW = 548;
export const FTW = 552;
export const FTOP = 556;
export const FOP = 560;
export const FIP_SEL = 564;
export const FDP_SEL = 568;
export const FIP = 576; // u64
export const FDP = 584; // u64
/** 8 physical registers of 16 bytes: significand u64, sign and exponent u16, zero padding. MMn is the significand of Rn. */
export const FPR = 592;

/** 16 x 16 bytes. The upper halves of YMM, when they come, get an array of their own. */
export const XMM = 720;

/** Exit description, written by Wasm, read by Cpu.run. */
export const EXIT_KIND = 976; // u32
export const EXIT_VECTOR = 980; // u32
export const EXIT_ERROR = 984; // i32
export const EXIT_RECORD = 988; // u32: linear address of the record that caused the exit, or 0
export const EXIT_VALUE = 992; // u64: operation of a complex instruction, or the faulting address

/** Instructions that may still run in this slice; signed 32-bit. */
export const BUDGET = 1000;
/** Linear addresses of the current data and code TLBs. */
export const TLB = 1004;
export const CODE_TLB = 1008;
/** u32: what `translate` found out: 1 when the access took TypeScript's way, so that a write must be committed and code may have changed. */
export const SLOW_ACCESS = 1012;
/** u32: bytes from the address on that an access with ACCESS_SPAN is about to touch, all in one page. */
export const SPAN = 1268;
/** u32: 1 while the instruction after STI / MOV SS / POP SS must not be interrupted. */
export const INTERRUPT_SHADOW = 1028;
/** u32: nonzero when TF, a data breakpoint or an instruction breakpoint makes the CPU step one instruction at a time. */
export const STEP_MODE = 1032;
/** Dispatches of the interpreter until it reports the next sample of where it is. */
export const SAMPLE_TICKS = 1036;
export const SCRATCH = 1040; // 64 bytes, 16-aligned
/** Arguments of a host operation: 4 x u64. */
export const ARGS = 1104;

/** u32: nonzero while x87 instructions raise #NM and MMX ones #NM or #UD (CR0.TS or CR0.EM). */
export const FPU_TRAP = 1136;
/** u32: nonzero while SSE instructions raise #UD or #NM (CR0.TS, CR0.EM or no CR4.OSFXSR). */
export const SSE_TRAP = 1140;
/** u32: a fifth argument of host operations whose four are two vectors. */
export const ARG_IMMEDIATE = 1144;
/** u32: the task priority. */
export const CR8 = 1148;

/** u32: linear address of the current slot of the TLB pool (address-spaces.ts), whatever TLB points to. */
export const SPACE = 1152;
/** u32: TLB misses so far. */
export const TLB_MISSES = 1156;
/** u32: nonzero while generated code may walk page tables itself: 4-level paging in which U/S doesn't decide (Xen PV). */
export const PV_WALK = 1160;

// What Xen PV's entry and exit code in WebAssembly works on (hypervisor/pv/gate.ts), set before the vCPU runs.
/** u32: nonzero while SYSCALL may be carried out without an exit. */
export const PV_GATE = 1164;
/** u32: nonzero in guest kernel mode. */
export const PV_KERNEL = 1168;
/** u32: linear address of the registered vcpu_info. */
export const PV_INFO = 1172;
/** u32: TLB pool slots of the guest kernel's and the guest user's root; 0 = not at hand. */
export const PV_KERNEL_SPACE = 1176;
export const PV_USER_SPACE = 1180;
/** u64: values of CR3 for the two. */
export const PV_KERNEL_ROOT = 1184;
export const PV_USER_ROOT = 1192;
/** u64: guest kernel stack; callback for system calls, 0 = none. */
export const PV_KERNEL_SP = 1200;
export const PV_SYSCALL = 1208;
/** u32: 1 when that callback masks event upcalls. */
export const PV_SYSCALL_MASKS = 1216;
/** u32: RFLAGS.IOPL bits that are the guest's to see, and their value. */
export const PV_IOPL_MASK = 1220;
export const PV_IOPL = 1224;
/** u32: linear address of the guest's first GDT frame, and how many bytes of it are descriptors. */
export const PV_GDT = 1236;
export const PV_GDT_BYTES = 1240;
/** u32 each: system calls and iret hypercalls that needed no exit. */
export const PV_SYSCALL_COUNT = 1228;
export const PV_IRET_COUNT = 1232;
/** u32: linear address of the frame table (hypervisor/frame-table.ts), and the domain's id as an owner. */
export const PV_FRAMES = 1256;
export const PV_DOMAIN = 1260;
/** u32: mmu_update hypercalls that needed no exit. */
export const PV_MMU_UPDATE_COUNT = 1264;
/** u32: selector of the guest kernel's stack. */
export const PV_KERNEL_SS = 1280;
/** u32 each: stack_switch and set_segment_base hypercalls that needed no exit. */
export const PV_STACK_SWITCH_COUNT = 1284;
export const PV_SEGMENT_BASE_COUNT = 1288;

/** u32: nonzero while the dispatch loop notes in records that they ran. */
export const NOTING = 1244;
/** u32: PAUSEs that may still run before one leaves to the host. */
export const PAUSES_LEFT = 1248;
/** u32: number of the compiled region whose edge out, computed jump or call was followed last; u64: address of its first page. */
export const LEFT_REGION = 1252;
export const LEFT_VA = 1272;

/**
 * u32 each, of a write across a page's end that waits in SCRATCH (interpreter/core-crossing.ts): its bytes, 0 = none; how many lie
 * on the first page; linear addresses of both parts.
 */
export const CROSSING = 1296;
export const CROSSING_SPLIT = 1300;
export const CROSSING_FIRST = 1304;
export const CROSSING_SECOND = 1308;

/** u32: RangeModes (jit/float-ranges.ts) in which code met numbers that it is not for, until the slice ends. */
export const FLOAT_CAREFUL = 1312;

/** 16 bytes that stay zero. */
export const ZEROS = 1328;
/** 2 x u64: WIDE_OFFSET of emit/float-range.ts. */
export const WIDE_OFFSET = 1344;

export const STATE_SIZE = 1360;

export const Reg = {
  RAX: 0,
  RCX: 1,
  RDX: 2,
  RBX: 3,
  RSP: 4,
  RBP: 5,
  RSI: 6,
  RDI: 7,
  R8: 8,
  R9: 9,
  R10: 10,
  R11: 11,
  R12: 12,
  R13: 13,
  R14: 14,
  R15: 15,
} as const;
export const Seg = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5 } as const;

/** RFLAGS bits. */
export const CF = 1;
export const PF = 4;
export const AF = 0x10;
export const ZF = 0x40;
export const SF = 0x80;
export const TF = 0x100;
export const IF = 0x200;
export const DF = 0x400;
export const OF = 0x800;
export const IOPL = 0x3000;
export const NT = 0x4000;
export const RF = 0x10000;
export const VM = 0x20000;
export const AC = 0x40000;
export const VIF = 0x80000;
export const VIP = 0x100000;
export const ID = 0x200000;
export const STATUS_FLAGS = CF | PF | AF | ZF | SF | OF;

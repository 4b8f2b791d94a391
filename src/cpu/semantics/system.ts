// Segment, system and I/O instructions, as calls of host operations. SDM volume 2.

import type { Emitter, Operand, SemanticsTable } from "../emit/emitter.js";
import { ExitKind, Vector } from "../exit.js";
import * as S from "../state-layout.js";
import { Reg, Seg } from "../state-layout.js";
import type { Value } from "../wasm/function-builder.js";

/** Writes a system value: the whole register, or 16 bits of memory. */
function writeSystem(e: Emitter, dst: Operand, value: Value): void {
  dst.write(e.resize(value, 64, dst.size));
}

/** The memory form of a far pointer: offset of the operand size, then the selector. */
function farPointer(e: Emitter, from: Operand): { selector: Value; offset: Value } {
  if (from.kind === "far") return { selector: from.number(), offset: e.resize(e.wrap(from.read()), e.size, 64) };
  const offset = e.resize(from.part(0, e.size).read(), e.size, 64);
  return { selector: from.part(e.size / 8, 16).read(), offset };
}

function loadFar(segment: number) {
  return (e: Emitter, dst: Operand, src: Operand) => {
    const offset = src.part(0, e.size).read();
    const selector = src.part(e.size / 8, 16).read();
    e.host("loadSegment", e.i32(segment), selector, e.i32(0));
    dst.write(offset);
  };
}

const MSR_KERNEL_GS_BASE = 0xc000_0102 | 0;
const fsBase = S.SEG_BASE + 8 * Seg.FS;
const gsBase = S.SEG_BASE + 8 * Seg.GS;

/** RDFSBASE family: #UD unless CR4.FSGSBASE. */
function needsFsGsBase(e: Emitter): void {
  e.raiseIf(e.eqz(e.and(e.stateLoad("i32", S.CR4), e.i32(0x10000))), Vector.UD);
}
function readBase(offset: number) {
  return (e: Emitter, dst: Operand) => {
    needsFsGsBase(e);
    const base = e.stateLoad("i64", offset);
    dst.write(e.size === 64 ? base : e.wrap(base));
  };
}
function writeBase(offset: number) {
  return (e: Emitter, src: Operand) => {
    needsFsGsBase(e);
    const value = e.let(e.extendU(src.read()));
    const top = e.let(e.shrS(value, e.i64(47)));
    e.raiseIf(e.xor(e.or(e.eqz(top), e.eq(top, e.i64(-1))), e.i32(1)), Vector.GP, 0);
    e.stateStore("i64", offset, value);
  };
}

const storeTable = (which: number) => (e: Emitter, dst: Operand) => {
  e.host("readTable", e.i32(which));
  const limit = e.hostResult(0, "i32");
  const base = e.hostResult(1);
  const width = e.mode === 64 ? 64 : 32;
  // The base first: it's the part that can reach into a second page.
  dst.part(2, width).write(e.resize(base, 64, width));
  dst.part(0, 16).write(limit);
};

const loadTable = (which: number) => (e: Emitter, src: Operand) => {
  const limit = src.part(0, 16).read();
  const width = e.mode === 64 ? 64 : 32;
  const base = e.resize(src.part(2, width).read(), width, 64);
  e.host("writeTable", e.i32(which), limit, e.size === 16 ? e.and(base, e.i64(0xffffff)) : base);
};

/** #UD in real mode: instructions about descriptors. */
function needsProtectedMode(e: Emitter): void {
  if (e.mode !== 64) e.host("needsProtectedMode");
}

const verify = (name: string) => (e: Emitter, src: Operand) => {
  needsProtectedMode(e);
  e.host(name, src.read());
};

const descriptorQuery = (name: string) => (e: Emitter, dst: Operand, src: Operand) => {
  needsProtectedMode(e);
  e.host(name, src.size === 64 ? e.wrap(src.read()) : src.read());
  const found = e.hostResult(0, "i32");
  const value = e.hostResult(1);
  e.if(found, () => dst.write(e.resize(value, 64, e.size)));
};

/** I/O instructions leave to the host, which knows the ports; there the permission check (IOPL, I/O bitmap) is made too. */
const io = (e: Emitter) => e.exit(ExitKind.Io, { before: true });

export const systemSemantics: SemanticsTable = {
  MOV_FROM_SREG: (e, dst, src) => {
    e.host("readSegment", src.number());
    writeSystem(e, dst, e.hostResult(0));
  },
  MOV_TO_SREG: (e, dst, src) => e.host("loadSegment", dst.number(), e.wrap(src.read()), e.i32(1)),
  LES: loadFar(Seg.ES),
  LDS: loadFar(Seg.DS),
  LSS: loadFar(Seg.SS),
  LFS: loadFar(Seg.FS),
  LGS: loadFar(Seg.GS),
  RDFSBASE: readBase(fsBase),
  RDGSBASE: readBase(gsBase),
  WRFSBASE: writeBase(fsBase),
  WRGSBASE: writeBase(gsBase),
  SWAPGS: (e) => {
    const old = e.let(e.stateLoad("i64", gsBase));
    const other = e.let(e.stateLoad("i64", S.KERNEL_GS_BASE));
    e.stateStore("i64", gsBase, other);
    e.stateStore("i64", S.KERNEL_GS_BASE, old);
  },
  ARPL: (e, dst, src) => {
    needsProtectedMode(e);
    const a = dst.read();
    const rpl = e.let(e.and(src.read(), e.i32(3)));
    const lower = e.let(e.ltU(e.and(a, e.i32(3)), rpl));
    e.if(lower, () => dst.write(e.or(e.and(a, e.i32(~3)), rpl)));
    e.setStatusFlags(e.or(e.and(e.statusFlags(), e.i32(~S.ZF)), e.shl(lower, e.i32(6))));
  },
  LAR: descriptorQuery("lar"),
  LSL: descriptorQuery("lsl"),
  VERR: verify("verr"),
  VERW: verify("verw"),
  JMP_FAR: (e, to) => {
    const { selector, offset } = farPointer(e, to);
    e.host("jumpFar", selector, offset, e.i32(e.size));
  },
  CALL_FAR: (e, to) => {
    const { selector, offset } = farPointer(e, to);
    e.host("callFar", selector, offset, e.i32(e.size));
  },
  RET_FAR: (e, bytes) => e.host("returnFar", e.i32(e.size), bytes ? bytes.read() : e.i32(0)),
  IRET: (e) => e.host("interruptReturn", e.i32(e.size)),
  IN: io,
  OUT: io,
  INS: io,
  OUTS: io,
  MOV_FROM_CR: (e, dst, src) => {
    e.host("readCr", src.number());
    writeSystem(e, dst, e.hostResult(0));
  },
  MOV_TO_CR: (e, dst, src) => e.host("writeCr", dst.number(), src.read()),
  MOV_FROM_DR: (e, dst, src) => {
    e.host("readDr", src.number());
    writeSystem(e, dst, e.hostResult(0));
  },
  MOV_TO_DR: (e, dst, src) => e.host("writeDr", dst.number(), src.read()),
  CLTS: (e) => e.host("clts"),
  LMSW: (e, src) => e.host("lmsw", src.read()),
  SMSW: (e, dst) => {
    e.host("readSystem", e.i32(2));
    writeSystem(e, dst, e.hostResult(0));
  },
  SLDT: (e, dst) => {
    needsProtectedMode(e);
    e.host("readSystem", e.i32(0));
    writeSystem(e, dst, e.hostResult(0));
  },
  STR: (e, dst) => {
    needsProtectedMode(e);
    e.host("readSystem", e.i32(1));
    writeSystem(e, dst, e.hostResult(0));
  },
  LLDT: (e, src) => {
    needsProtectedMode(e);
    e.host("loadSystem", e.i32(0), src.read());
  },
  LTR: (e, src) => {
    needsProtectedMode(e);
    e.host("loadSystem", e.i32(1), src.read());
  },
  SGDT: storeTable(0),
  SIDT: storeTable(1),
  LGDT: loadTable(0),
  LIDT: loadTable(1),
  INVLPG: (e, at) => e.host("invlpg", at.linear()),
  RDMSR: (e) => {
    const inRing0 = () => {
      e.raiseIf(e.stateLoad("i32", S.CPL), Vector.GP, 0);
      e.host("rdmsr");
    };
    if (e.mode !== 64) return inRing0();
    // A Xen PV kernel reads its user's GS base at each switch of tasks; the answer is that of hypervisor/pv/msr.ts.
    const isUserGs = e.eq(e.gpr(Reg.RCX, 32), e.i32(MSR_KERNEL_GS_BASE));
    e.if(
      e.and(e.stateLoad("i32", S.PV_KERNEL), isUserGs),
      () => {
        const base = e.let(e.stateLoad("i64", S.KERNEL_GS_BASE));
        e.setGpr(Reg.RAX, 32, e.wrap(base));
        e.setGpr(Reg.RDX, 32, e.wrap(e.shrU(base, e.i64(32))));
      },
      inRing0,
    );
  },
  WRMSR: (e) => e.host("wrmsr"),
  // There is no performance counter that could be read, whatever CR4.PCE says.
  RDPMC: (e) => e.raise(Vector.GP, 0),
  INVD: () => {},
  WBINVD: () => {},
  MONITOR: (e) => e.raise(Vector.UD),
  MWAIT: (e) => e.raise(Vector.UD),
  RSM: (e) => e.raise(Vector.UD),
  CLAC: (e) => e.host("setAc", e.i32(0)),
  STAC: (e) => e.host("setAc", e.i32(1)),
  SYSRET: (e) => e.host("sysret", e.i32(e.size)),
  SYSEXIT: (e) => e.host("sysexit", e.i32(e.size)),
  CLFLUSH: (_e, at) => {
    at.read();
  },
  CLFLUSHOPT: (_e, at) => {
    at.read();
  },
  XGETBV: (e) => e.host("xgetbv"),
  XSETBV: (e) => e.host("xsetbv"),
};

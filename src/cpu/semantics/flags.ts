// Flag control and the system instructions that are short: everything else goes to host operations. SDM volume 2.

import type { Emitter, SemanticsTable } from "../emit/emitter.js";
import { ExitKind, Vector } from "../exit.js";
import * as S from "../state-layout.js";

const AH = 16;

function setDirection(value: 0 | 1) {
  return (e: Emitter) => {
    const flags = e.stateLoad("i32", S.EFLAGS);
    e.stateStore("i32", S.EFLAGS, value ? e.or(flags, e.i32(S.DF)) : e.and(flags, e.i32(~S.DF)));
  };
}

const CR4_PVI = 2;

/** CLI and STI need CPL <= IOPL; with CR4.PVI they change VIF at CPL 3 instead (SDM volume 2, STI, table 4-19). */
function setInterrupts(value: 0 | 1) {
  return (e: Emitter) => {
    const flags = e.let(e.stateLoad("i32", S.EFLAGS));
    const iopl = e.and(e.shrU(flags, e.i32(12)), e.i32(3));
    const cpl = e.let(e.stateLoad("i32", S.CPL));
    const change = (bit: number) => {
      e.stateStore("i32", S.EFLAGS, value ? e.or(flags, e.i32(bit)) : e.and(flags, e.i32(~bit)));
    };
    e.if(e.gtU(cpl, iopl), () => {
      const virtual = e.and(e.stateLoad("i32", S.CR4), e.i32(CR4_PVI));
      e.raiseIf(e.or(e.ne(cpl, e.i32(3)), e.eqz(virtual)), Vector.GP, 0);
      if (value) e.raiseIf(e.and(flags, e.i32(S.VIP)), Vector.GP, 0);
      change(S.VIF);
      e.next();
    });
    change(S.IF);
    if (value) e.if(e.eqz(e.and(flags, e.i32(S.IF))), () => e.host("stiShadow"));
  };
}

/** SYSCALL wants EFER.SCE and protected mode. As on AMD processors it works in 32-bit code too. */
function checkSyscall(e: Emitter): void {
  e.raiseIf(e.eqz(e.and(e.stateLoad("i32", S.EFER), e.i32(1))), Vector.UD);
  if (e.mode !== 64) e.raiseIf(e.eqz(e.and(e.stateLoad("i32", S.CR0), e.i32(1))), Vector.UD);
}

/** SYSENTER does not exist in long mode on AMD processors (APM volume 3), which CPUID says we are. */
function checkSysenter(e: Emitter): void {
  e.raiseIf(e.and(e.stateLoad("i32", S.EFER), e.i32(0x400)), Vector.UD);
  e.raiseIf(e.eqz(e.and(e.stateLoad("i32", S.CR0), e.i32(1))), Vector.GP, 0);
  e.raiseIf(e.eqz(e.and(e.stateLoad("i32", S.SYSENTER_CS), e.i32(0xfffc))), Vector.GP, 0);
}

export const flagSemantics: SemanticsTable = {
  CLC: (e) => e.setCf(e.i32(0)),
  STC: (e) => e.setCf(e.i32(1)),
  CMC: (e) => e.setCf(e.let(e.xor(e.cf(), e.i32(1)))),
  CLD: setDirection(0),
  STD: setDirection(1),
  CLI: setInterrupts(0),
  STI: setInterrupts(1),
  LAHF: (e) => e.setGpr(AH, 8, e.or(e.and(e.statusFlags(), e.i32(0xff)), e.i32(2))),
  SAHF: (e) => {
    const kept = e.let(e.shl(e.of(), e.i32(11)));
    e.setStatusFlags(e.or(e.and(e.gpr(AH, 8), e.i32(0xd5)), kept));
  },
  SALC: (e) => e.setGpr(S.Reg.RAX, 8, e.neg(e.cf())),
  SYSCALL: (e) => {
    checkSyscall(e);
    e.gate();
  },
  SYSENTER: (e) => {
    checkSysenter(e);
    e.exit(ExitKind.Sysenter);
  },
  HLT: (e) => e.exit(ExitKind.Halt),
  RDTSC: (e) => {
    e.host("rdtsc");
    e.setGpr(S.Reg.RAX, 32, e.wrap(e.hostResult(0)));
    e.setGpr(S.Reg.RDX, 32, e.wrap(e.shrU(e.hostResult(0), e.i64(32))));
  },
  RDTSCP: (e) => {
    e.host("rdtsc");
    e.setGpr(S.Reg.RAX, 32, e.wrap(e.hostResult(0)));
    e.setGpr(S.Reg.RDX, 32, e.wrap(e.shrU(e.hostResult(0), e.i64(32))));
    e.setGpr(S.Reg.RCX, 32, e.stateLoad("i32", S.TSC_AUX));
  },
  CPUID: (e) => e.host("cpuid"),
  RDRAND: (e, dst) => randomInto(e, dst),
  RDSEED: (e, dst) => randomInto(e, dst),
};

function randomInto(e: Emitter, dst: Parameters<SemanticsTable[string]>[1]): void {
  if (!dst) throw new Error("RDRAND without a destination");
  e.host("random");
  const value = e.hostResult(0);
  dst.write(e.size === 64 ? value : e.zeroExtend(e.wrap(value), e.size));
  // CF = 1 (a value was there), the other status flags 0.
  e.setStatusFlags(e.i32(1));
}

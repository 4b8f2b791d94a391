// x87 control instructions and the instructions that save and restore the state of the unit (SDM volume 1, 8.1.2, 8.1.3,
// 8.3.11; chapter 13). FN… forms don't wait for pending exceptions.

import type { Emitter, Operand, SemanticsTable } from "../emit/emitter.js";
import { Vector } from "../exit.js";
import * as S from "../state-layout.js";
import { Reg } from "../state-layout.js";
import { alignedAreaLinear, areaLinear, needsUnit, waits } from "./x87-common.js";

const OSXSAVE = 0x40000;
const MP_TS = 0xa;

/** FXSAVE, FXRSTOR: no wait; CR0.EM raises #NM too. */
const legacyArea = (operation: string, write: boolean) => (e: Emitter, area: Operand) => {
  needsUnit(e);
  e.host(operation, alignedAreaLinear(e, area, 512, write, 16, true), e.i32(e.size));
};

/** XSAVE family: #UD without CR4.OSXSAVE, #NM for CR0.TS alone. */
const extendedArea = (operation: string, write: boolean) => (e: Emitter, area: Operand) => {
  e.raiseIf(e.eqz(e.and(e.stateLoad("i32", S.CR4), e.i32(OSXSAVE))), Vector.UD);
  e.raiseIf(e.and(e.stateLoad("i32", S.CR0), e.i32(8)), Vector.NM);
  const linear = alignedAreaLinear(e, area, 576, write, 64, false);
  e.host(operation, linear, e.i32(e.size), e.gpr(Reg.RAX, 32));
};

/** FNENI, FNDISI, FNSETPM did something on the 8087 and 287 only. */
const nothing = (e: Emitter) => needsUnit(e);

/** FLDENV and FRSTOR wait, FNSTENV and FNSAVE don't. Sizes: of the 16-bit layout. */
const image = (operation: string, bytes: number, write: boolean) => (e: Emitter, area: Operand) => {
  if (write) needsUnit(e);
  else waits(e);
  e.host(operation, areaLinear(e, area, e.size === 16 ? bytes : bytes + 14, write), e.i32(e.size));
};

export const x87ControlSemantics: SemanticsTable = {
  FNINIT: (e) => {
    needsUnit(e);
    e.host("fninit");
  },
  FNCLEX: (e) => {
    needsUnit(e);
    e.stateStore("i32", S.FSW, e.and(e.stateLoad("i32", S.FSW), e.i32(0x7f00)));
  },
  FLDCW: (e, src) => {
    waits(e);
    e.host("fldcw", src.read());
  },
  FNSTCW: (e, dst) => {
    needsUnit(e);
    dst.write(e.stateLoad("i32", S.FCW));
  },
  FNSTSW: (e, dst) => {
    needsUnit(e);
    dst.write(e.or(e.stateLoad("i32", S.FSW), e.shl(e.stateLoad("i32", S.FTOP), e.i32(11))));
  },
  FWAIT: (e) => {
    e.raiseIf(e.eq(e.and(e.stateLoad("i32", S.CR0), e.i32(MP_TS)), e.i32(MP_TS)), Vector.NM);
    e.raiseIf(e.and(e.stateLoad("i32", S.FSW), e.i32(0x80)), Vector.MF);
  },
  FNENI: nothing,
  FNDISI: nothing,
  FNSETPM: nothing,
  FNSTENV: image("fnstenv", 14, true),
  FNSAVE: image("fnsave", 94, true),
  FLDENV: image("fldenv", 14, false),
  FRSTOR: image("frstor", 94, false),
  FXSAVE: legacyArea("fxsave", true),
  FXRSTOR: legacyArea("fxrstor", false),
  XSAVE: extendedArea("xsave", true),
  XSAVEOPT: extendedArea("xsaveopt", true),
  XRSTOR: extendedArea("xrstor", false),
};

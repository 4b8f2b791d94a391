// Stack and near control transfer. SDM volume 1 chapter 6, volume 2.

import type { Emitter, Operand, SemanticsTable } from "../emit/emitter.js";
import { ExitKind, Vector } from "../exit.js";
import { Reg } from "../state-layout.js";
import type { Value } from "../wasm/function-builder.js";
import { forEachCondition } from "./move.js";

/** A branch target: cut to the operand size, as i64. */
function target(e: Emitter, value: Value): Value {
  return e.let(e.resize(value, e.size, 64));
}

function returnAddress(e: Emitter): Value {
  return e.size === 64 ? e.nextRip() : e.zeroExtend(e.wrap(e.nextRip()), e.size);
}

/** LOOP family: counts rCX down within the address size; the branch is taken when it isn't zero and `also` holds. */
function loop(also?: (e: Emitter) => Value) {
  return (e: Emitter, to: Operand) => {
    const size = e.addressSize;
    const left = e.let(e.sub(e.gpr(Reg.RCX, size), e.constant(size, 1)));
    const narrow = size === 16 ? e.and(left, e.i32(0xffff)) : left;
    const nonzero = e.xor(e.eqz(narrow), e.i32(1));
    const taken = e.let(also ? e.and(nonzero, also(e)) : nonzero);
    if (e.mode !== 64) e.if(taken, () => e.checkTarget(e.relativeTarget(to)));
    e.setGpr(Reg.RCX, size, left);
    e.jumpRelativeIf(taken, to);
  };
}

export const stackSemantics: SemanticsTable = {
  PUSH: (e, src) => e.push(e.size, src.read()),
  POP: (e, dst) => {
    const value = e.peek(e.size);
    if (dst.kind !== "memory") {
      e.release(e.size / 8);
      dst.write(value);
      return;
    }
    // The address is computed with rSP already moved, yet a fault must leave it alone.
    const old = e.gpr(Reg.RSP, 64);
    const moved = e.let(e.add(old, e.i64(e.size / 8)));
    e.setGpr(Reg.RSP, 64, moved);
    const offset = e.let(dst.address());
    e.setGpr(Reg.RSP, 64, old);
    const address = e.segmentLinear("operand", offset, e.size, true);
    e.writeLinear(address, e.size, value);
    e.release(e.size / 8);
  },
  PUSH_SREG: (e, segment) => {
    e.host("readSegment", segment.number());
    e.push(e.size, e.resize(e.hostResult(0, "i32"), 32, e.size));
  },
  POP_SREG: (e, segment) => {
    // All of the operand is read, although the selector has 16 bits.
    const selector = e.peek(e.size);
    e.host("loadSegment", segment.number(), e.wrap(selector), e.i32(1));
    e.release(e.size / 8);
  },
  PUSHA: (e) => e.host("pusha", e.i32(e.size)),
  POPA: (e) => e.host("popa", e.i32(e.size)),
  ENTER: (e, bytes, level) => e.host("enter", bytes.read(), level.read(), e.i32(e.size)),
  LEAVE: (e) => {
    const frame = e.stackMasked(e.gpr(Reg.RBP, 64));
    const at = e.let(frame);
    const saved = e.readLinear(e.segmentLinear(2, at, e.size, false), e.size, 2);
    e.setStackPointer(e.let(e.add(at, e.i64(e.size / 8))));
    e.setGpr(Reg.RBP, e.size, saved);
  },
  PUSHF: (e) => {
    // VM and RF are stored as zero.
    const flags = e.and(e.eflags(), e.i32(~0x30000));
    e.push(e.size, e.size === 64 ? e.extendU(flags) : flags);
  },
  POPF: (e) => {
    const value = e.peek(e.size);
    e.host("popFlags", e.size === 64 ? e.wrap(value) : value, e.i32(e.size), e.i32(e.size / 8));
  },
  CALL_NEAR: (e, to) => {
    if (to.kind === "relative") {
      if (e.mode !== 64) e.checkTarget(e.relativeTarget(to));
      e.push(e.size, returnAddress(e));
      e.jumpRelative(to);
      return;
    }
    const address = target(e, to.read());
    e.checkTarget(address);
    e.push(e.size, returnAddress(e));
    e.jump(address);
  },
  JMP_NEAR: (e, to) => {
    if (to.kind === "relative") e.jumpRelative(to);
    else {
      const address = target(e, to.read());
      e.checkTarget(address);
      e.jump(address);
    }
  },
  RET_NEAR: (e, bytes) => {
    const address = target(e, e.peek(e.size));
    e.checkTarget(address);
    const extra = e.i64(e.size / 8);
    e.release(bytes ? e.add(e.extendU(bytes.read()), extra) : extra);
    e.jump(address);
  },
  ...forEachCondition((condition) => (e, to) => e.jumpRelativeIf(e.condition(condition), to), "J"),
  LOOP: loop(),
  LOOPE: loop((e) => e.zf()),
  LOOPNE: loop((e) => e.xor(e.zf(), e.i32(1))),
  JCXZ: (e, to) => e.jumpRelativeIf(e.eqz(e.gpr(Reg.RCX, e.addressSize)), to),
  INT: (e, vector) => e.exit(ExitKind.SoftwareInterrupt, { vector: vector.read(), before: true }),
  INT3: (e) => e.exit(ExitKind.SoftwareInterrupt, { vector: Vector.BP, before: true }),
  INT1: (e) => e.exit(ExitKind.SoftwareInterrupt, { vector: Vector.DB, before: true }),
  INTO: (e) => e.if(e.of(), () => e.exit(ExitKind.SoftwareInterrupt, { vector: Vector.OF, before: true })),
  UD0: (e) => e.raise(Vector.UD),
  UD1: (e) => e.raise(Vector.UD),
  UD2: (e) => e.raise(Vector.UD),
  BOUND: (e, index, bounds) => {
    const lower = bounds.part(0, e.size).read();
    const upper = bounds.part(e.size / 8, e.size).read();
    const i = e.signExtend(index.read(), e.size);
    const outside = e.or(e.ltS(i, e.signExtend(lower, e.size)), e.gtS(i, e.signExtend(upper, e.size)));
    e.raiseIf(outside, Vector.BR);
  },
};

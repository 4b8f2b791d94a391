// String comparison (SSE4.2), AES-NI and carry-less multiplication.

import type { Emitter, Semantics, SemanticsTable } from "../../emit/emitter.js";
import * as S from "../../state-layout.js";
import type { Value } from "../../wasm/function-builder.js";
import { fromHalves, half, I8x16, I16x8 } from "../../wasm/simd.js";
import { callHost } from "./float-check.js";
import { readAligned } from "./registers.js";

/** The second operand needs no alignment. An index goes to ECX, a mask to XMM0. */
const compareStrings =
  (explicit: boolean, result: "index" | "mask"): Semantics =>
  (e, dst, src, imm) => {
    const b = src.read();
    const control = imm!.read();
    if (!explicit && result === "index" && control.isConst && (Number(control.constant) & 0xc) === 8) {
      equalEach(e, dst.read(), b, Number(control.constant));
      return;
    }
    const lengths = explicit ? (e.size === 64 ? "explicit64" : "explicit32") : "implicit";
    callHost(e, `compareStrings.${lengths}.${result}`, dst.read(), b, control);
    if (result === "index") e.setGpr(S.Reg.RCX, 32, e.stateLoad("i32", S.ARGS));
    else e.setXmm(0, e.stateLoad("v128", S.ARGS));
    e.setStatusFlags(e.stateLoad("i32", S.ARG_IMMEDIATE));
  };

/** PCMPISTRI with a known control byte that asks for equal elements in equal places: strcmp. */
function equalEach(e: Emitter, a: Value, b: Value, control: number): void {
  const lanes = control & 1 ? I16x8 : I8x16;
  const count = control & 1 ? 8 : 16;
  const everything = (1 << count) - 1;
  const mask = (x: Value, y: Value) => {
    const equal = e.op("v128", lanes.eq, [x, y]);
    // Words are halved for the mask: pairs of equal bits, of which one is enough.
    const bytes = control & 1 ? e.op("v128", I8x16.narrowS, [equal, e.v128(0n, 0n)]) : equal;
    return e.let(e.op("i32", I8x16.bitmask, [bytes]));
  };
  const zero = e.v128(0n, 0n);
  /** Elements before the first null one. */
  const valid = (v: Value) => {
    const nulls = e.let(e.or(mask(v, zero), e.i32(1 << count)));
    return e.let(e.sub(e.and(nulls, e.neg(nulls)), e.i32(1)));
  };
  const [inA, inB] = [valid(a), valid(b)];
  const both = e.let(e.and(e.and(mask(a, b), inA), inB));
  const either = e.let(e.or(inA, inB));
  const all = e.i32(everything);
  const equal = () => e.or(both, e.xor(either, all));
  // Negated as a whole: what is in one of them, and different.
  const inverse = () => e.and(either, e.not(both));
  const bits = e.let(control & 0x10 ? (control & 0x20 ? e.xor(equal(), inB) : inverse()) : equal());
  const last = () => e.select(bits, e.sub(e.i32(31), e.clz(bits)), e.i32(count));
  e.setGpr(S.Reg.RCX, 32, e.let(control & 0x40 ? last() : e.ctz(e.or(bits, e.i32(1 << count)))));
  // CF, OF: whether there are bits, and the lowest; ZF, SF: whether B and A have a null. The result's low byte, 0 or 1, must be odd.
  const cf = e.let(e.ne(bits, e.i32(0)));
  const whole = e.let(e.eq(inB, all));
  const top = e.or(e.shl(cf, e.i32(31)), e.shl(e.xor(cf, e.and(bits, e.i32(1))), e.i32(30)));
  const parity = e.shl(e.xor(whole, e.i32(1)), e.i32(8));
  e.setFlagResult(e.extendU(whole));
  e.setFlagAux(e.or(top, e.or(parity, e.ne(inA, all))));
}

/** `rounds`: state is dst and src the round key; otherwise src alone is used. */
const aes =
  (host: string, rounds: boolean): Semantics =>
  (e, dst, src, imm) => {
    const b = readAligned(e, src);
    if (rounds) callHost(e, host, dst.read(), b);
    else callHost(e, host, b, undefined, imm?.read());
    dst.write(e.stateLoad("v128", S.ARGS));
  };

/** Product of polynomials over GF(2): halves of dst and src chosen by imm bits 0 and 4. */
const multiplyCarryless: Semantics = (e, dst, src, imm) => {
  const b = readAligned(e, src);
  const a = dst.read();
  const n = imm!.read();
  const pick = (v: Value, bit: number) => e.select(e.and(n, e.i32(bit)), half(e, v, 1), half(e, v, 0));
  const rest = e.mutable(pick(b, 0x10));
  const factorLow = e.mutable(pick(a, 1));
  const factorHigh = e.mutable(e.i64(0));
  const low = e.mutable(e.i64(0));
  const high = e.mutable(e.i64(0));
  e.block((done) => {
    e.loop((again) => {
      e.brIf(done, e.eqz(e.get(rest)));
      const taken = e.let(e.neg(e.and(e.get(rest), e.i64(1))));
      e.set(low, e.xor(e.get(low), e.and(e.get(factorLow), taken)));
      e.set(high, e.xor(e.get(high), e.and(e.get(factorHigh), taken)));
      e.set(factorHigh, e.or(e.shl(e.get(factorHigh), e.i64(1)), e.shrU(e.get(factorLow), e.i64(63))));
      e.set(factorLow, e.shl(e.get(factorLow), e.i64(1)));
      e.set(rest, e.shrU(e.get(rest), e.i64(1)));
      e.br(again);
    });
  });
  dst.write(fromHalves(e, e.get(low), e.get(high)));
};

export const sseSpecialSemantics: SemanticsTable = {
  PCMPESTRI: compareStrings(true, "index"),
  PCMPESTRM: compareStrings(true, "mask"),
  PCMPISTRI: compareStrings(false, "index"),
  PCMPISTRM: compareStrings(false, "mask"),
  AESENC: aes("aesEncrypt", true),
  AESENCLAST: aes("aesEncryptLast", true),
  AESDEC: aes("aesDecrypt", true),
  AESDECLAST: aes("aesDecryptLast", true),
  AESIMC: aes("aesInverseMix", false),
  AESKEYGENASSIST: aes("aesKeyAssist", false),
  PCLMULQDQ: multiplyCarryless,
};

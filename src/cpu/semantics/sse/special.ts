// String comparison (SSE4.2), AES-NI and carry-less multiplication.

import type { Semantics, SemanticsTable } from "../../emit/emitter.js";
import * as S from "../../state-layout.js";
import type { Value } from "../../wasm/function-builder.js";
import { fromHalves, half } from "../../wasm/simd.js";
import { callHost } from "./float-check.js";
import { readAligned } from "./registers.js";

/** The second operand needs no alignment. An index goes to ECX, a mask to XMM0. */
const compareStrings =
  (explicit: boolean, result: "index" | "mask"): Semantics =>
  (e, dst, src, imm) => {
    const b = src.read();
    const lengths = explicit ? (e.size === 64 ? "explicit64" : "explicit32") : "implicit";
    callHost(e, `compareStrings.${lengths}.${result}`, dst.read(), b, imm!.read());
    if (result === "index") e.setGpr(S.Reg.RCX, 32, e.stateLoad("i32", S.ARGS));
    else e.setXmm(0, e.stateLoad("v128", S.ARGS));
    e.setStatusFlags(e.stateLoad("i32", S.ARG_IMMEDIATE));
  };

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

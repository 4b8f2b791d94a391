// AES-NI rounds on ARGS: state in the first vector, round key in the second, result in the first (SDM volume 2, AESENC and
// relatives; FIPS 197). Byte 4 * column + row of a vector is the state's element.

import * as S from "../state-layout.js";
import type { HostOperation, HostOperationTable } from "./host-operation.js";

/** Multiplication by x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. */
function times2(a: number): number {
  return ((a << 1) ^ (a & 0x80 ? 0x11b : 0)) & 0xff;
}

function multiply(a: number, b: number): number {
  let product = 0;
  for (let factor = a, rest = b; rest > 0; rest >>= 1, factor = times2(factor)) if (rest & 1) product ^= factor;
  return product;
}

/** FIPS 197, 5.1.1: the inverse in GF(2^8), then an affine map. */
function substitute(a: number): number {
  let inverse = 1;
  for (let i = 0; i < 254; i++) inverse = multiply(inverse, a);
  let out = 0x63;
  for (let shift = 0; shift < 5; shift++) out ^= ((inverse << shift) | (inverse >> (8 - shift))) & 0xff;
  return out;
}

const SBOX = Uint8Array.from({ length: 256 }, (_, a) => substitute(a));
const INVERSE_SBOX = new Uint8Array(256);
SBOX.forEach((value, a) => {
  INVERSE_SBOX[value] = a;
});

const column = (coefficients: readonly number[]) =>
  coefficients.map((c) => Uint8Array.from({ length: 256 }, (_, a) => multiply(a, c)));
/** Products with the first row of MixColumns and of its inverse. */
const MIX = column([2, 3, 1, 1]);
const INVERSE_MIX = column([14, 11, 13, 9]);

const before = new Uint8Array(16);
const after = new Uint8Array(16);

/** Substitutes, with rows moved `direction` columns (ShiftRows 1, InvShiftRows -1). */
function substituteAndShift(box: Uint8Array, direction: 1 | -1): void {
  for (let i = 0; i < 16; i++) {
    const row = i & 3;
    after[i] = box[before[(i + 4 * direction * row) & 15]!]!;
  }
}

/** Columns of `after` times a circulant matrix. */
function mix(products: readonly Uint8Array[]): void {
  for (let c = 0; c < 16; c += 4) {
    for (let row = 0; row < 4; row++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum ^= products[k]![after[c + ((row + k) & 3)]!]!;
      before[c + row] = sum;
    }
  }
  after.set(before);
}

function round(box: Uint8Array, direction: 1 | -1, products?: readonly Uint8Array[]): HostOperation {
  return (cpu) => {
    const state = cpu.state.bytes(S.ARGS, 16);
    const key = cpu.state.bytes(S.ARGS + 16, 16);
    before.set(state);
    substituteAndShift(box, direction);
    if (products) mix(products);
    for (let i = 0; i < 16; i++) state[i] = after[i]! ^ key[i]!;
  };
}

export const aesOperations: HostOperationTable = {
  aesEncrypt: round(SBOX, 1, MIX),
  aesEncryptLast: round(SBOX, 1),
  aesDecrypt: round(INVERSE_SBOX, -1, INVERSE_MIX),
  aesDecryptLast: round(INVERSE_SBOX, -1),
  aesInverseMix(cpu) {
    const state = cpu.state.bytes(S.ARGS, 16);
    after.set(state);
    mix(INVERSE_MIX);
    state.set(after);
  },
  /** Dwords 1 and 3, substituted, and again rotated down a byte with the round constant added. */
  aesKeyAssist(cpu) {
    const state = cpu.state.bytes(S.ARGS, 16);
    before.set(state);
    for (let i = 0; i < 4; i++) {
      state[i] = SBOX[before[4 + i]!]!;
      state[8 + i] = SBOX[before[12 + i]!]!;
    }
    const constant = cpu.state.u32(S.ARG_IMMEDIATE) & 0xff;
    for (const from of [0, 8]) {
      for (let i = 0; i < 4; i++) state[from + 4 + i] = state[from + ((i + 1) & 3)]! ^ (i === 0 ? constant : 0);
    }
  },
};

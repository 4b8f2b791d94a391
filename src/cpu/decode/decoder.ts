// The instruction decoder: bytes -> Decoded, over the opcode maps. Numbers and tables only; nothing is allocated per call.
// Prefix and length rules: SDM volume 2 chapter 2; volume 3 section 6.15 (#UD, #GP for more than 15 bytes).

import { instructions } from "../isa/instructions.js";
import type { Decoded, Form } from "./decoded.js";
import { CodeMode, DecodeResult } from "./decoded.js";
import type { FormLayout } from "./forms.js";
import { ImmediateKind } from "./forms.js";
import { decodeImmediate } from "./immediate.js";
import { clearAddress, decodeAddress } from "./modrm.js";
import type { OpcodeMaps } from "./opcode-maps.js";
import { buildOpcodeMaps, CELLS, PrefixClass, SizeRule, slotIndex } from "./opcode-maps.js";
import { Field } from "./operand-text.js";
import type { Prefixes } from "./prefixes.js";
import { newPrefixes, scanPrefixes } from "./prefixes.js";

const MAX_LENGTH = 15;
const DS = 3;

export interface DecoderOptions {
  /** CPUID feature names (features.ts); rows of other features are not instructions. */
  readonly features: ReadonlySet<string>;
}

export class Decoder {
  /** All forms, by id. */
  readonly forms: readonly Form[];
  readonly #maps: OpcodeMaps;
  readonly #prefixes: Prefixes = newPrefixes();
  /** VEX.vvvv as encoded register, and whether a VEX prefix was there. */
  #vvvv = 0;
  #vvvvRaw = 0;
  #map = 0;
  #vexPrefix = 0;

  constructor(options: DecoderOptions) {
    this.#maps = opcodeMapsOf(options.features);
    this.forms = this.#maps.forms;
  }

  /** An object for decode() to fill. */
  newDecoded(): Decoded {
    return {
      form: this.forms[0]!,
      length: 0,
      addressSize: 0,
      code: new Int32Array(4),
      base: -1,
      index: -1,
      scale: 0,
      dispLo: 0,
      dispHi: 0,
      ripRelative: false,
      segment: DS,
      segmentOverridden: false,
      immLo: 0,
      immHi: 0,
      imm2: 0,
      lock: false,
      rep: 0,
    };
  }

  /**
   * Decodes the instruction at bytes[offset]; bytes from `end` on are not looked at. `out` is filled only when the result is
   * Ok (otherwise it holds leftovers).
   */
  decode(bytes: Uint8Array, offset: number, end: number, mode: CodeMode, out: Decoded): DecodeResult {
    const limit = end - offset > MAX_LENGTH ? offset + MAX_LENGTH : end;
    const short = end - offset >= MAX_LENGTH ? DecodeResult.TooLong : DecodeResult.NeedMore;
    const is64 = mode === CodeMode.Bits64;
    const prefixes = this.#prefixes;
    const maps = this.#maps;

    let at = scanPrefixes(bytes, offset, limit, is64, prefixes);
    if (at < 0) return short;
    at = this.#scanMap(bytes, at, limit, is64);
    if (at < 0) return at === -1 ? short : DecodeResult.Invalid;
    if (at >= limit) return short;
    const map = this.#map;
    const opcode = bytes[at++]!;
    const rex = prefixes.rex;
    const vex = map >= 4;

    const prefixClass = vex ? this.#vexPrefix : prefixClassOf(prefixes);
    const slot = maps.slots[slotIndex(is64 ? 1 : 0, map, opcode, prefixClass, ((rex >> 2) & 2) | (rex & 1))]!;
    if (slot === 0) return DecodeResult.Invalid;

    // ModRM chooses among the rows of a node.
    let modrm = -1;
    let choice: number;
    if (slot < 0) {
      choice = -slot - 1;
    } else {
      if (at >= limit) return short;
      modrm = bytes[at++]!;
      // MOV to and from control and debug registers ignores ModRM.mod.
      if (map === 1 && (opcode & 0xfc) === 0x20) modrm |= 0xc0;
      choice = maps.cells[(slot - 1) * CELLS + (modrm >= 0xc0 ? 8 + (modrm & 63) : (modrm >> 3) & 7)]!;
      if (choice < 0) return DecodeResult.Invalid;
    }

    const sizeIndex = is64
      ? sizeIndex64(maps.sizeRules[choice]!, rex, prefixes.operandSize)
      : (mode === CodeMode.Bits32) !== prefixes.operandSize
        ? 1
        : 0;
    const formId = maps.choices[choice * 3 + sizeIndex]!;
    if (formId < 0) return DecodeResult.Invalid;
    const layout = maps.layouts[formId]!;
    if (vex && !layout.vvvvUsed && this.#vvvvRaw !== 0) return DecodeResult.Invalid;

    out.addressSize = is64
      ? prefixes.addressSize
        ? 32
        : 64
      : (mode === CodeMode.Bits32) !== prefixes.addressSize
        ? 32
        : 16;
    clearAddress(out);
    out.segment = DS;
    if (modrm >= 0 && modrm < 0xc0) {
      at = decodeAddress(bytes, at, limit, modrm, rex, is64, out);
      if (at < 0) return short;
    }
    if (prefixes.segment >= 0) out.segment = prefixes.segment;
    out.segmentOverridden = prefixes.segment >= 0;

    out.immLo = 0;
    out.immHi = 0;
    out.imm2 = 0;
    if (layout.immediate !== ImmediateKind.None) {
      at = decodeImmediate(bytes, at, limit, layout.immediate, out);
      if (at < 0) return short;
    }

    if (prefixes.lock && !layout.lockable) return DecodeResult.Invalid;
    if (!this.#decodeCodes(layout, opcode, modrm, out)) return DecodeResult.Invalid;
    out.lock = prefixes.lock;
    out.rep = layout.repConsumed ? 0 : prefixes.rep;
    out.form = layout.form;
    out.length = at - offset;
    return DecodeResult.Ok;
  }

  /** Finds the opcode map: 0F, 0F 38, 0F 3A or VEX. Returns the opcode's offset, -1 (bytes end) or -2 (#UD). */
  #scanMap(bytes: Uint8Array, start: number, limit: number, is64: boolean): number {
    const byte = bytes[start]!;
    this.#map = 0;
    if (byte === 0x0f) {
      if (start + 1 >= limit) return -1;
      const second = bytes[start + 1]!;
      this.#map = 1;
      if (second !== 0x38 && second !== 0x3a) return start + 1;
      this.#map = second === 0x38 ? 2 : 3;
      return start + 2;
    }
    if ((byte & 0xfe) !== 0xc4) return start;
    if (start + 1 >= limit) return -1;
    // Outside 64-bit mode C4 and C5 are LES and LDS unless the next byte would be a register ModRM.
    if (!is64 && bytes[start + 1]! < 0xc0) return start;
    return this.#scanVex(bytes, start, limit, is64);
  }

  /** SDM volume 2, section 2.3.5. Leaves REX's W R X B in the prefixes. Only L = 0 forms exist here (BMI). */
  #scanVex(bytes: Uint8Array, start: number, limit: number, is64: boolean): number {
    const prefixes = this.#prefixes;
    if (prefixes.rex !== 0 || prefixes.operandSize || prefixes.lock || prefixes.rep !== 0) return -2;
    const three = bytes[start] === 0xc4;
    const opcodeAt = start + (three ? 3 : 2);
    if (opcodeAt >= limit) return -1;
    const first = bytes[start + 1]!;
    const last = bytes[opcodeAt - 1]!;
    let rex = is64 ? (~first >> 5) & 4 : 0;
    let map = 1;
    if (three) {
      map = first & 31;
      if (is64) rex |= ((~first >> 5) & 3) | ((last >> 4) & 8);
      if (map < 1 || map > 3) return -2;
    }
    if ((last & 4) !== 0) return -2;
    this.#map = map + 4;
    prefixes.rex = rex;
    this.#vexPrefix = last & 3;
    this.#vvvvRaw = (~last >> 3) & 15;
    this.#vvvv = is64 ? this.#vvvvRaw : this.#vvvvRaw & 7;
    return opcodeAt;
  }

  /** Register codes of the operands; false where such a register doesn't exist. */
  #decodeCodes(layout: FormLayout, opcode: number, modrm: number, out: Decoded): boolean {
    const code = out.code;
    const first = this.#code(layout.field0, layout.fixed0, opcode, modrm);
    const second = this.#code(layout.field1, layout.fixed1, opcode, modrm);
    code[0] = first;
    code[1] = second;
    code[2] = this.#code(layout.field2, layout.fixed2, opcode, modrm);
    code[3] = this.#code(layout.field3, layout.fixed3, opcode, modrm);
    return first >= 0 && second >= 0;
  }

  #code(field: Field, fixed: number, opcode: number, modrm: number): number {
    const rex = this.#prefixes.rex;
    switch (field) {
      case Field.None:
        return 0;
      case Field.Fixed:
        return fixed;
      case Field.Reg:
        return ((modrm >> 3) & 7) | ((rex & 4) << 1);
      case Field.Rm:
        return (modrm & 7) | ((rex & 1) << 3);
      case Field.Opcode:
        return (opcode & 7) | ((rex & 1) << 3);
      case Field.Reg8:
        return byteRegister(((modrm >> 3) & 7) | ((rex & 4) << 1), rex);
      case Field.Rm8:
        return byteRegister((modrm & 7) | ((rex & 1) << 3), rex);
      case Field.Opcode8:
        return byteRegister((opcode & 7) | ((rex & 1) << 3), rex);
      case Field.RegLow:
        return (modrm >> 3) & 7;
      case Field.RmLow:
        return modrm & 7;
      case Field.Sreg: {
        const segment = (modrm >> 3) & 7;
        return segment < 6 ? segment : -1;
      }
      case Field.SregLoad: {
        const segment = (modrm >> 3) & 7;
        return segment < 6 && segment !== 1 ? segment : -1;
      }
      case Field.Control: {
        const control = ((modrm >> 3) & 7) | ((rex & 4) << 1);
        return control === 0 || (control >= 2 && control <= 4) || control === 8 ? control : -1;
      }
      case Field.Debug:
        return (rex & 4) === 0 ? (modrm >> 3) & 7 : -1;
      case Field.Vvvv:
        return this.#vvvv;
    }
  }
}

/** Maps never change: decoders of the same features share theirs, which take 40 ms to build. */
const mapsByFeatures = new Map<string, OpcodeMaps>();

function opcodeMapsOf(features: ReadonlySet<string>): OpcodeMaps {
  const key = [...features].sort().join();
  let maps = mapsByFeatures.get(key);
  if (!maps) mapsByFeatures.set(key, (maps = buildOpcodeMaps(instructions, features)));
  return maps;
}

function prefixClassOf(prefixes: Prefixes): number {
  if (prefixes.rep !== 0) return prefixes.rep === 2 ? PrefixClass.F2 : PrefixClass.F3;
  return prefixes.operandSize ? PrefixClass.P66 : PrefixClass.None;
}

function sizeIndex64(rule: number, rex: number, operandSize: boolean): number {
  if ((rex & 8) !== 0 || rule === SizeRule.Force64) return 2;
  if (operandSize) return 0;
  return rule === SizeRule.Default64 ? 2 : 1;
}

/** SPL BPL SIL DIL need a REX prefix; without one the codes are AH CH DH BH. */
function byteRegister(code: number, rex: number): number {
  return rex === 0 && code >= 4 ? code + 12 : code;
}

// Compares our decoder with iced-x86 over random byte strings: validity, length, mnemonic, operands. Differences that have a
// reason stand in EXCEPTIONS; everything else is a mismatch.

import * as iced from "iced-x86";
import type { Decoded } from "../../../src/cpu/decode/decoded.js";
import { CodeMode, DecodeResult, OperandKind } from "../../../src/cpu/decode/decoded.js";
import { Decoder } from "../../../src/cpu/decode/decoder.js";
import { formatDecoded } from "../../../src/cpu/decode/format.js";
import { DEFAULT_FEATURES } from "../../../src/cpu/features.js";
import { MNEMONIC_ALIASES } from "./iced-mnemonics.js";

export type Bits = 16 | 32 | 64;

export interface Comparison {
  readonly count: number;
  /** Strings that both call an instruction. */
  readonly valid: number;
  readonly exceptions: Readonly<Record<string, number>>;
  readonly mismatches: readonly string[];
}

/** iced's features that our processor doesn't have: its instruction must be invalid for us. */
const LACKING = new Set(
  (
    "INTEL8086_ONLY INTEL286_ONLY INTEL386_ONLY INTEL386_A0_ONLY INTEL486_A_ONLY UMOV IA64 AVX AVX2 AVX512F AVX512BW " +
    "AVX512CD AVX512DQ AVX512ER AVX512PF AVX512VL AVX512_4FMAPS AVX512_4VNNIW AVX512_BF16 AVX512_BITALG AVX512_IFMA " +
    "AVX512_VBMI AVX512_VBMI2 AVX512_VNNI AVX512_VP2INTERSECT AVX512_VPOPCNTDQ AVX512_FP16 CET_IBT CET_SS CL1INVMB " +
    "CLDEMOTE CLWB CLZERO D3NOW D3NOWEXT OSS ENQCMD F16C FMA FMA4 FPU287XL_ONLY FPU387SL_ONLY CYRIX_D3NOW GFNI INVEPT " +
    "INVPCID INVVPID LWP MCOMMIT MONITOR MONITORX MOVDIR64B MOVDIRI MPX PADLOCK_ACE PADLOCK_PHE PADLOCK_PMM PADLOCK_RNG " +
    "PCOMMIT PCONFIG PKU PREFETCHWT1 PTWRITE RDPID RDPRU RTM SGX1 SHA SKINIT SKINIT_or_SVM SMX SSE4A SVM SEV_ES TBM VAES " +
    "VMX VPCLMULQDQ WAITPKG WBNOINVD XOP XSAVEC XSAVES SEV_SNP TSXLDTRK INVLPGB AMX_BF16 AMX_TILE AMX_INT8 TDX " +
    "KL AESKLE WIDE_KL UINTR HRESET AVX_VNNI FRED LKGS UDBG RMPQUERY RAO_INT PREFETCHITI AMX_FP16 CMPCCXADD AVX_IFMA " +
    "AVX_NE_CONVERT AVX_VNNI_INT8 MSRLIST WRMSRNS AMX_COMPLEX PADLOCK_UNDOC PADLOCK_GMI HLE HLE_or_RTM SHA512 SM3 SM4 TSE AVX_VNNI_INT16"
  ).split(" "),
);

interface Case {
  readonly bits: Bits;
  readonly code: number;
  readonly icedName: string;
  readonly instruction: iced.Instruction;
  readonly result: DecodeResult;
  readonly decoded: Decoded;
  readonly bytes: Uint8Array;
}

/** Where we differ on purpose. */
const EXCEPTIONS: readonly { readonly reason: string; readonly applies: (one: Case) => boolean }[] = [
  {
    reason: "F3 90 with REX.B is XCHG R8, rAX on real processors (tried on one); iced says PAUSE",
    applies: (one) => one.icedName === "Pause" && one.decoded.form.instruction.mnemonic === "XCHG",
  },
];

/** xorshift32: the strings follow from the seed alone. */
function randomSource(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

const PREFIXES = [0x66, 0x66, 0x67, 0xf2, 0xf2, 0xf3, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65];

/** One string of 16 bytes: some prefixes, perhaps an escape or VEX, then random bytes. */
export function fillString(random: () => number, bits: Bits, bytes: Uint8Array, at: number): void {
  for (let word = 0; word < 16; word += 4) {
    const value = random();
    for (let byte = 0; byte < 4; byte++) bytes[at + word + byte] = value >>> (8 * byte);
  }
  const shape = random();
  let next = at;
  if ((shape & 7) === 0) return;
  let prefixes = (shape >>> 3) & 3;
  if ((shape & 0xf00) === 0) prefixes += (shape >>> 12) & 15;
  for (; prefixes > 1 && next < at + 14; prefixes--) bytes[next++] = PREFIXES[random() % PREFIXES.length]!;
  if (bits === 64 && (shape & 0x60000) === 0) bytes[next++] = 0x40 | (random() & 15);
  const opcodeMap = (shape >>> 20) % 10;
  if (opcodeMap < 3 || next > at + 10) return;
  if (opcodeMap < 7) {
    bytes[next] = 0x0f;
  } else if (opcodeMap < 9) {
    bytes[next] = 0x0f;
    bytes[next + 1] = opcodeMap === 7 ? 0x38 : 0x3a;
  } else {
    // VEX near the BMI opcodes.
    bytes[next] = 0xc4;
    bytes[next + 1] = (bytes[next + 1]! & 0xe0) | (random() % 4);
    bytes[next + 2] = bytes[next + 2]! & (random() & 3 ? 0xfb : 0xff);
    bytes[next + 3] = 0xf0 | (random() & 7);
  }
}

const decoderOptions = iced.DecoderOptions.ForceReservedNop | iced.DecoderOptions.NoWbnoinvd;

export function compareWithIced(bits: Bits, count: number, seed: number): Comparison {
  const random = randomSource(seed);
  const bytes = new Uint8Array(count * 16);
  for (let at = 0; at < bytes.length; at += 16) fillString(random, bits, bytes, at);
  const ours = new Decoder({ features: DEFAULT_FEATURES });
  const decoded = ours.newDecoded();
  const mode = bits === 16 ? CodeMode.Bits16 : bits === 32 ? CodeMode.Bits32 : CodeMode.Bits64;
  const theirs = new iced.Decoder(bits, bytes, decoderOptions);
  const instruction = new iced.Instruction();
  const exceptions: Record<string, number> = {};
  const mismatches: string[] = [];
  let valid = 0;
  for (let at = 0; at < bytes.length; at += 16) {
    theirs.position = at;
    theirs.decodeOut(instruction);
    const result = ours.decode(bytes, at, at + 16, mode, decoded);
    const code = instruction.code;
    const difference = compareOne(instruction, code, result, decoded);
    if (difference === undefined) {
      if (result === DecodeResult.Ok) valid++;
      continue;
    }
    const one = {
      bits,
      code,
      icedName: iced.Code[code]!,
      instruction,
      result,
      decoded,
      bytes: bytes.subarray(at, at + 16),
    };
    const exception = EXCEPTIONS.find((entry) => entry.applies(one));
    if (exception !== undefined) {
      exceptions[exception.reason] = (exceptions[exception.reason] ?? 0) + 1;
    } else {
      const hex = Buffer.from(one.bytes).toString("hex");
      const our = result === DecodeResult.Ok ? `${formatDecoded(decoded)} (${decoded.length})` : `result ${result}`;
      mismatches.push(
        `${bits}-bit ${hex}: iced ${one.icedName} ${instruction.toString()} (${instruction.length}), ours ${our}: ${difference}`,
      );
    }
  }
  instruction.free();
  theirs.free();
  return { count, valid, exceptions, mismatches };
}

const lackingByCode = new Map<number, boolean>();

function isLacking(instruction: iced.Instruction, code: number): boolean {
  let lacking = lackingByCode.get(code);
  if (lacking === undefined) {
    lacking = [...instruction.cpuidFeatures()].some((feature) => LACKING.has(iced.CpuidFeature[feature]!));
    lackingByCode.set(code, lacking);
  }
  return lacking;
}

function compareOne(
  instruction: iced.Instruction,
  code: number,
  result: DecodeResult,
  decoded: Decoded,
): string | undefined {
  const invalid = code === iced.Code.INVALID || isLacking(instruction, code);
  if (invalid) return result === DecodeResult.Ok ? "validity" : undefined;
  if (result !== DecodeResult.Ok) return "validity";
  if (instruction.length !== decoded.length) return "length";
  const theirMnemonic = iced.Mnemonic[instruction.mnemonic]!.toUpperCase();
  const ourMnemonic = decoded.form.instruction.mnemonic;
  if ((MNEMONIC_ALIASES[theirMnemonic] ?? theirMnemonic) !== ourMnemonic)
    return `mnemonic ${theirMnemonic} ${ourMnemonic}`;
  if (instruction.hasLockPrefix !== decoded.lock) return "lock";
  return compareOperands(instruction, decoded);
}

function compareOperands(instruction: iced.Instruction, decoded: Decoded): string | undefined {
  const operands = decoded.form.operands;
  let slot = 0;
  const count = instruction.opCount;
  // NOP's operands are hints, XLAT's memory is implied.
  if (decoded.form.semantics === "NOP" || decoded.form.semantics === "XLAT") return undefined;
  for (let at = 0; at < count; at++) {
    const kind = instruction.opKind(at);
    // Implied memory of string instructions, XLAT, MASKMOVQ.
    if (kind >= iced.OpKind.MemorySegSI && kind <= iced.OpKind.MemoryESRDI) continue;
    const operand = operands[slot];
    if (operand === undefined) {
      if (kind === iced.OpKind.Register) continue;
      return `operand ${at} missing`;
    }
    const difference = compareOperand(instruction, at, kind, decoded, slot, operand.kind, operand.size);
    if (difference === undefined) slot++;
    else if (kind !== iced.OpKind.Register || !impliedRegister(instruction, at)) return `operand ${at}: ${difference}`;
  }
  return slot === operands.length || operands[slot]!.text === "XMM0" ? undefined : "fewer operands in iced";
}

/** iced names the register by operand size although 16 bits of it are read, or 32 written (and the rest cleared). */
const READS_LESS = /r(32|64)m16|r64m8|^Arpl|^P?movmsk.*_r64|^Pextr[bw]_r64|^Extractps_r64/i;

/** Registers that iced writes and Intel's notation implies. */
function impliedRegister(instruction: iced.Instruction, at: number): boolean {
  const name = iced.Register[instruction.opRegister(at)]!;
  return /^(ST0|AL|AX|EAX|RAX|ECX|EDX|CL|DX)$/.test(name);
}

function compareOperand(
  instruction: iced.Instruction,
  at: number,
  kind: iced.OpKind,
  decoded: Decoded,
  slot: number,
  ourKind: number,
  ourSize: number,
): string | undefined {
  switch (kind) {
    case iced.OpKind.Register: {
      const register = REGISTERS.get(instruction.opRegister(at));
      if (register === undefined) return `unknown register ${iced.Register[instruction.opRegister(at)]}`;
      if (register.kind !== ourKind || register.code !== decoded.code[slot]) return "register";
      if (register.size === ourSize || register.size === 0 || ourSize === 0) return undefined;
      return READS_LESS.test(iced.Code[instruction.code]!) ? undefined : "register size";
    }
    case iced.OpKind.Memory:
      return ourKind === OperandKind.Memory ? compareMemory(instruction, decoded) : "memory";
    case iced.OpKind.NearBranch16:
    case iced.OpKind.NearBranch32:
    case iced.OpKind.NearBranch64: {
      if (ourKind !== OperandKind.Relative) return "relative";
      const target = instruction.nearBranchTarget - instruction.nextIP;
      const width = kind === iced.OpKind.NearBranch16 ? 16 : kind === iced.OpKind.NearBranch32 ? 32 : 64;
      return BigInt.asIntN(width, target) === BigInt.asIntN(width, wide(decoded.immLo, decoded.immHi))
        ? undefined
        : "target";
    }
    case iced.OpKind.FarBranch16:
      return ourKind === OperandKind.FarPointer &&
        instruction.farBranch16 === decoded.immLo &&
        instruction.farBranchSelector === decoded.immHi
        ? undefined
        : "far";
    case iced.OpKind.FarBranch32:
      return ourKind === OperandKind.FarPointer &&
        instruction.farBranch32 === decoded.immLo >>> 0 &&
        instruction.farBranchSelector === decoded.immHi
        ? undefined
        : "far";
    default: {
      if (ourKind === OperandKind.Constant) return undefined;
      if (ourKind === OperandKind.Immediate2) return instruction.immediate8_2nd === decoded.imm2 ? undefined : "imm2";
      if (ourKind !== OperandKind.Immediate) return "immediate";
      const ours = BigInt.asUintN(ourSize, wide(decoded.immLo, decoded.immHi));
      return BigInt.asUintN(ourSize, instruction.immediate(at)) === ours ? undefined : "immediate value";
    }
  }
}

function compareMemory(instruction: iced.Instruction, decoded: Decoded): string | undefined {
  const base = registerCode(instruction.memoryBase);
  const rip = instruction.isIpRelMemoryOperand;
  if (rip !== decoded.ripRelative) return "rip";
  if (!rip && base !== decoded.base) return "base";
  if (registerCode(instruction.memoryIndex) !== decoded.index) return "index";
  if (decoded.index >= 0 && instruction.memoryIndexScale !== 1 << decoded.scale) return "scale";
  const width = decoded.addressSize;
  let displacement = wide(decoded.dispLo, decoded.dispHi);
  if (rip) displacement += instruction.nextIP;
  const theirs = instruction.memoryDisplacementU64;
  if (BigInt.asUintN(width, theirs) !== BigInt.asUintN(width, displacement)) return "displacement";
  // In 64-bit mode iced shows ES CS SS DS overrides, which do nothing.
  const segment = REGISTERS.get(instruction.memorySegment)!.code;
  if (instruction.codeSize === iced.CodeSize.Code64 && segment < 4) return decoded.segment < 4 ? undefined : "segment";
  return segment === decoded.segment ? undefined : "segment";
}

function registerCode(register: iced.Register): number {
  return register === iced.Register.None ? -1 : (REGISTERS.get(register)?.code ?? -2);
}

function wide(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

interface RegisterName {
  readonly kind: number;
  readonly code: number;
  readonly size: number;
}

const REGISTERS = buildRegisters();

function buildRegisters(): Map<iced.Register, RegisterName> {
  const registers = new Map<iced.Register, RegisterName>();
  const add = (name: string, kind: number, code: number, size: number): void => {
    const register = (iced.Register as unknown as Record<string, number>)[name];
    if (register === undefined) throw new Error(`iced has no register ${name}`);
    registers.set(register, { kind, code, size });
  };
  const legacy = ["AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI"];
  legacy.forEach((name, code) => {
    add(name, OperandKind.Gpr, code, 16);
    add(`E${name}`, OperandKind.Gpr, code, 32);
    add(`R${name}`, OperandKind.Gpr, code, 64);
  });
  ["AL", "CL", "DL", "BL", "SPL", "BPL", "SIL", "DIL"].forEach((name, code) => {
    add(name, OperandKind.Gpr, code, 8);
  });
  ["AH", "CH", "DH", "BH"].forEach((name, code) => {
    add(name, OperandKind.Gpr, 16 + code, 8);
  });
  for (let code = 8; code < 16; code++) {
    add(`R${code}`, OperandKind.Gpr, code, 64);
    add(`R${code}D`, OperandKind.Gpr, code, 32);
    add(`R${code}W`, OperandKind.Gpr, code, 16);
    add(`R${code}L`, OperandKind.Gpr, code, 8);
  }
  for (let code = 0; code < 16; code++) {
    add(`XMM${code}`, OperandKind.Xmm, code, 128);
    add(`CR${code}`, OperandKind.Control, code, 0);
    add(`DR${code}`, OperandKind.Debug, code, 0);
    if (code < 8) add(`MM${code}`, OperandKind.Mmx, code, 64);
    if (code < 8) add(`ST${code}`, OperandKind.St, code, 80);
  }
  ["ES", "CS", "SS", "DS", "FS", "GS"].forEach((name, code) => {
    add(name, OperandKind.Segment, code, 16);
  });
  return registers;
}

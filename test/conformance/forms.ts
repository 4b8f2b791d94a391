// The instruction forms under test, taken from iced-x86's own table (so that our decoder's tables are not their own
// judge), and random encodings of each. A form is one row of the manual at one operand size in one mode.
import {
  Code,
  CodeExt,
  CpuidFeature,
  Decoder,
  DecoderOptions,
  EncodingKind,
  type Instruction,
  MandatoryPrefix,
  Mnemonic,
  OpCodeOperandKind,
  OpCodeTableKind,
  OpKind,
} from "iced-x86";
import type { Random } from "./random.js";

export interface Form {
  /** Manual notation, mode and opcode: `ADD r/m32, r32 | 64 | 01 /r`. */
  readonly name: string;
  readonly mnemonic: string;
  readonly mode: 32 | 64;
  readonly code: Code;
}

/** What the CPU under test implements, as iced names it. */
const FEATURES = new Set(
  (
    "INTEL8086 INTEL186 INTEL286 INTEL386 INTEL486 X64 ADX AES BMI1 BMI2 CMOV CMPXCHG16B CX8 FPU FPU287 FPU387 " +
    "FSGSBASE FXSR LZCNT MMX MOVBE MSR MULTIBYTENOP PAUSE PCLMULQDQ POPCNT PREFETCHW SSE SSE2 SSE3 SSE4_1 SSE4_2 " +
    "SSSE3 CLFSH SMAP"
  )
    .split(" ")
    .map((name) => CpuidFeature[name as keyof typeof CpuidFeature] as number),
);

/**
 * Left out: the result is not a function of the state (time, random numbers, processor identity), the kernel takes part
 * or a hypervisor under it (INT1)
 * (system calls; UMIP makes Linux emulate the descriptor-table stores), or the image depends on features that the host
 * has and we don't (XSAVE's).
 */
const EXCLUDED = new Set(
  (
    "CPUID RDTSC RDTSCP RDPMC RDRAND RDSEED SYSCALL SYSENTER SYSEXIT SYSEXITQ SYSRET SYSRETQ SGDT SIDT SLDT SMSW STR " +
    "XGETBV XSETBV XSAVE XSAVE64 XSAVEC XSAVEOPT XRSTOR XRSTOR64 RSM LOADALL MONITOR MWAIT INT UD0 UD1 RDPID " +
    "INT1 FNDISI FNENI FNSETPM FRSTPM FNSTDW FNSTSG FSTPNCE FXCH4 MOVTR LMSW FEMMS CLZERO UNDOC"
  ).split(" "),
);

let cached: readonly Form[] | undefined;

/** All forms, in a stable order. */
export function listForms(): readonly Form[] {
  if (cached) return cached;
  const forms: Form[] = [];
  for (const name of Object.keys(Code)) {
    const code = Code[name as keyof typeof Code] as unknown;
    if (typeof code !== "number") continue;
    const op = CodeExt.opCode(code);
    const mnemonic = op.instructionString.split(" ")[0] as string;
    const vex = op.encoding === EncodingKind.VEX;
    const wanted =
      op.isInstruction &&
      (op.encoding === EncodingKind.Legacy || vex) &&
      op.decoderOption === DecoderOptions.None &&
      !op.fwait &&
      !op.isReservedNop &&
      // Far pointers with 64-bit offsets: Intel has them, AMD reads m16:32.
      !op.instructionString.includes("m16:64") &&
      !EXCLUDED.has(mnemonic);
    if (wanted) {
      for (const mode of [64, 32] as const) {
        if (!(mode === 64 ? op.mode64 : op.mode32)) continue;
        // A 16-bit branch in 64-bit mode: processors differ on whether 66 counts.
        if (
          mode === 64 &&
          op.operandSize === 16 &&
          /^(J|CALL|LOOP|RET$)/.test(mnemonic) &&
          !/ m16/.test(op.instructionString)
        )
          continue;
        forms.push({ name: `${op.instructionString} | ${mode} | ${op.opCodeString}`, mnemonic, mode, code });
      }
    }
    op.free();
  }
  cached = forms;
  return forms;
}

export function decode(bytes: Uint8Array, mode: 32 | 64, rip: bigint): { instruction: Instruction; decoder: Decoder } {
  const decoder = new Decoder(mode, bytes, DecoderOptions.None);
  decoder.ip = rip;
  return { instruction: decoder.decode(), decoder };
}

export function featuresWanted(instruction: Instruction): boolean {
  return [...instruction.cpuidFeatures()].every((feature) => FEATURES.has(feature));
}

export function mnemonicOf(instruction: Instruction): string {
  return (Mnemonic[instruction.mnemonic] as unknown as string).toUpperCase();
}

export function hasMemoryOperand(instruction: Instruction): boolean {
  for (let i = 0; i < instruction.opCount; i++) if (instruction.opKind(i) === OpKind.Memory) return true;
  return false;
}

const OPCODE_REGISTER_KINDS: ReadonlySet<number> = new Set([
  OpCodeOperandKind.r8_opcode,
  OpCodeOperandKind.r16_opcode,
  OpCodeOperandKind.r32_opcode,
  OpCodeOperandKind.r64_opcode,
  OpCodeOperandKind.sti_opcode,
]);
const BYTES = [0, 1, 0x7f, 0x80, 0xff, 2, 4, 8, 16, 31, 32, 33, 63, 64];
const SEGMENT_PREFIXES = [0x26, 0x2e, 0x36, 0x3e];

function tableBytes(table: OpCodeTableKind): number[] {
  if (table === OpCodeTableKind.T0F) return [0x0f];
  if (table === OpCodeTableKind.T0F38) return [0x0f, 0x38];
  if (table === OpCodeTableKind.T0F3A) return [0x0f, 0x3a];
  return [];
}

function mandatoryByte(prefix: MandatoryPrefix): number | undefined {
  if (prefix === MandatoryPrefix.P66) return 0x66;
  if (prefix === MandatoryPrefix.PF3) return 0xf3;
  if (prefix === MandatoryPrefix.PF2) return 0xf2;
  return undefined;
}

interface Template {
  readonly prefixes: number[];
  readonly opcode: number[];
  readonly opcodeRegister: boolean;
  readonly rexW: boolean;
  readonly group: number;
  readonly lockable: boolean;
  readonly repeatable: boolean;
  readonly vex: number | undefined;
  readonly l: number;
  readonly table: number;
}

const templates = new Map<string, Template>();

function templateOf(form: Form): Template {
  const known = templates.get(form.name);
  if (known) return known;
  const op = CodeExt.opCode(form.code);
  const prefixes: number[] = [];
  const mandatory = mandatoryByte(op.mandatoryPrefix);
  const vex = op.encoding === EncodingKind.VEX;
  if (!vex) {
    if (op.operandSize === 16 && mandatory !== 0x66) prefixes.push(0x66);
    if (op.addressSize !== 0 && op.addressSize !== form.mode) prefixes.push(0x67);
    if (mandatory !== undefined) prefixes.push(mandatory);
  }
  const opcode = op.opCodeLength === 2 ? [op.opCode >> 8, op.opCode & 0xff] : [op.opCode];
  let opcodeRegister = false;
  for (let i = 0; i < op.opCount; i++) opcodeRegister ||= OPCODE_REGISTER_KINDS.has(op.opKind(i));
  const pp = mandatory === 0x66 ? 1 : mandatory === 0xf3 ? 2 : mandatory === 0xf2 ? 3 : 0;
  const template: Template = {
    prefixes,
    opcode: vex ? opcode : [...tableBytes(op.table), ...opcode],
    opcodeRegister,
    rexW: !vex && (op.operandSize === 64 || op.W === 1) && !op.defaultOpSize64,
    group: op.groupIndex,
    lockable: op.canUseLockPrefix,
    repeatable: op.canUseRepPrefix || op.canUseRepnePrefix,
    vex: vex ? (op.W << 7) | pp : undefined,
    l: op.L,
    table: op.table === OpCodeTableKind.T0F38 ? 2 : op.table === OpCodeTableKind.T0F3A ? 3 : 1,
  };
  templates.set(form.name, template);
  op.free();
  return template;
}

/** One random try; it may turn out to be another form. */
function draw(template: Template, form: Form, random: Random, out: Uint8Array, memory: boolean): void {
  let n = 0;
  const r = random.u32();
  const put = (byte: number): void => {
    if (n < out.length) out[n++] = byte;
  };
  if ((r & 0x1f) === 0) put(SEGMENT_PREFIXES[(r >>> 5) & 3] as number);
  else if ((r & 0x1f) === 1 && form.mode === 64) put((r >>> 5) & 1 ? 0x64 : 0x65);
  if ((r & 0x700) === 0 && (form.mode === 64 || (r & 0x1800) === 0)) put(0x67);
  if (template.lockable && memory && r & 0x2000) put(0xf0);
  if (template.repeatable && r & 0x4000) put(r & 0x8000 ? 0xf3 : 0xf2);
  if (template.vex !== undefined) {
    const high = form.mode === 64 ? random.u32() & 0xe0 : 0xe0;
    put(0xc4);
    put(high | template.table);
    let vvvv = random.below(16);
    if (random.oneIn(3) || form.mode === 32) vvvv |= 8;
    if (r & 0x10000000) vvvv = 15;
    put(template.vex | (vvvv << 3) | (template.l === 1 ? 4 : 0));
  } else {
    for (const prefix of template.prefixes) put(prefix);
    if (form.mode === 64) {
      const bits = (r & 0x30000 ? (r >>> 18) & 7 : 0) | (template.rexW ? 8 : 0);
      if (bits !== 0 || r & 0x200000) put(0x40 | bits);
    }
  }
  for (const byte of template.opcode) put(byte);
  if (template.opcodeRegister) out[n - 1] = ((out[n - 1] as number) & 0xf8) | ((r >>> 22) & 7);
  let modrm = random.u32() & 0xff;
  if (template.group >= 0) modrm = (modrm & 0xc7) | (template.group << 3);
  if (memory) {
    if (modrm >= 0xc0) modrm ^= 0x80;
  } else modrm |= 0xc0;
  put(modrm);
  while (n < out.length) {
    const b = random.u32();
    put(b & 0x300 ? b & 0xff : (BYTES[(b >>> 10) % BYTES.length] as number));
  }
}

/** A random encoding of the form, or undefined when tries run out. `out` is 15 bytes. */
export function encodeForm(
  form: Form,
  random: Random,
  rip: bigint,
): { bytes: Uint8Array; instruction: Instruction; decoder: Decoder } | undefined {
  const template = templateOf(form);
  const memory = random.below(8) < 5;
  for (let attempt = 0; attempt < 60; attempt++) {
    const bytes = new Uint8Array(15);
    draw(template, form, random, bytes, attempt < 20 ? memory : attempt % 2 === 0);
    const { instruction, decoder } = decode(bytes, form.mode, rip);
    if (instruction.code === form.code) {
      if (!featuresWanted(instruction)) return undefined;
      return { bytes: bytes.subarray(0, instruction.length), instruction, decoder };
    }
    instruction.free();
    decoder.free();
  }
  return undefined;
}

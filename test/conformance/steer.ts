// Bends a random state so that an instruction does something: addresses land in the data pages (and sometimes on their
// edges), branches land on INT3, divisions have quotients, repeat counts are small.
import { type Decoder, type Instruction, MemorySizeExt, OpKind, Register, RegisterExt } from "iced-x86";
import { mnemonicOf } from "./forms.js";
import {
  CODE_BASE,
  CODE_OFFSET,
  CODE_SIZE,
  DATA_BASE,
  DATA_SIZE,
  FS_BASE_OFFSET,
  GPR_OFFSET,
  GS_BASE_OFFSET,
  LENGTH_OFFSET,
  PATCH_COUNT_OFFSET,
  PATCH_DATA_SIZE,
  PATCH_SIZE,
  PATCHES_OFFSET,
  READ_ONLY_BASE,
  RFLAGS_OFFSET,
  RIP_OFFSET,
  STACK_BASE,
  STACK_SIZE,
} from "./layout.js";
import type { Random } from "./random.js";
import type { Case } from "./random-state.js";

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSP = 4;
const RBP = 5;
const RSI = 6;
const RDI = 7;
// Null selectors with an RPL are left out: the kernel's own IRET turns them into 0 before we can see them.
const SELECTORS = [0x2b, 0x33, 0x23, 0, 0x10, 0x18, 0x08, 0x2a, 0x28];

export class Steering {
  readonly target: Case;
  readonly random: Random;
  readonly mode: 32 | 64;
  private patches = 0;

  constructor(target: Case, random: Random, mode: 32 | 64) {
    this.target = target;
    this.random = random;
    this.mode = mode;
  }

  gpr(index: number): bigint {
    return this.target.view.getBigUint64(GPR_OFFSET + 8 * index, true);
  }
  setGpr(index: number, value: bigint): void {
    const width = this.mode === 64 ? 64 : 32;
    this.target.view.setBigUint64(GPR_OFFSET + 8 * index, BigInt.asUintN(width, value), true);
  }
  get rip(): bigint {
    return this.target.view.getBigUint64(RIP_OFFSET, true);
  }

  /** Puts the next of the random 64-byte blocks (or as much as `length`) at an address; returns it for changes. */
  patch(address: bigint, length = PATCH_DATA_SIZE): Uint8Array | undefined {
    if (address < BigInt(DATA_BASE) || address >= BigInt(STACK_BASE + STACK_SIZE) || this.patches === 4)
      return undefined;
    const at = PATCHES_OFFSET + this.patches++ * PATCH_SIZE;
    const { view, bytes } = this.target;
    view.setUint32(at, Number(address), true);
    view.setUint32(at + 4, length, true);
    view.setUint32(PATCH_COUNT_OFFSET, this.patches, true);
    return bytes.subarray(at + 8, at + 8 + PATCH_DATA_SIZE);
  }

  /** An address for an operand of `size` bytes. */
  dataAddress(size: number, withinLine = false): bigint {
    const { random } = this;
    const r = random.below(100);
    const room = Math.max(size, 1);
    if (withinLine && r < 97) {
      const line = DATA_BASE + 64 * random.below(DATA_SIZE / 64);
      return BigInt(line + random.below(Math.max(1, 64 - room + 1)));
    }
    if (r < 66) return BigInt(DATA_BASE + 16 * random.below((DATA_SIZE - 0x200) / 16));
    if (r < 80) return BigInt(DATA_BASE + random.below(DATA_SIZE - 0x200));
    if (r < 84) return BigInt(DATA_BASE + 0x1000 - random.below(room + 1));
    if (r < 89) return BigInt(DATA_BASE + DATA_SIZE - random.below(room + 1));
    if (r < 93) return BigInt(READ_ONLY_BASE + 16 * random.below(0xe0));
    if (r < 95) return BigInt(DATA_BASE + DATA_SIZE + 16 * random.below(0x80));
    if (this.mode === 32) return BigInt(DATA_BASE + 4 * random.below(DATA_SIZE / 4));
    if (r < 97) return (BigInt(random.u32()) << 32n) | BigInt(random.u32());
    return (BigInt(random.below(0x7fff)) << 32n) | BigInt(random.u32());
  }

  codeAddress(): bigint {
    const { random } = this;
    const from = Number(this.rip);
    for (;;) {
      const address = CODE_BASE + 0x10 + random.below(CODE_SIZE - 0x20);
      if (address < from || address >= from + 16) return BigInt(address);
    }
  }
}

/** GPR number of a register of any size, or -1. */
function gprNumber(register: Register): number {
  if (!RegisterExt.isGPR(register)) return -1;
  return RegisterExt.number(RegisterExt.fullRegister(register));
}

function addressBits(instruction: Instruction, mode: number): number {
  const { memoryBase, memoryIndex } = instruction;
  if (memoryBase === Register.RIP) return 64;
  if (memoryBase === Register.EIP) return 32;
  for (const register of [memoryBase, memoryIndex]) {
    if (register !== Register.None && register !== Register.AL) return 8 * RegisterExt.size(register);
  }
  const size = instruction.memoryDisplSize;
  return size === 8 ? 64 : size === 2 ? 16 : mode;
}

function segmentBase(s: Steering, instruction: Instruction): bigint {
  if (s.mode === 32) return 0n;
  const { memorySegment } = instruction;
  if (memorySegment === Register.FS) return s.target.view.getBigUint64(FS_BASE_OFFSET, true);
  if (memorySegment === Register.GS) return s.target.view.getBigUint64(GS_BASE_OFFSET, true);
  return 0n;
}

function registerValue(s: Steering, register: Register, bits: number): bigint {
  if (register === Register.None) return 0n;
  if (register === Register.AL) return s.gpr(RAX) & 0xffn;
  const n = gprNumber(register);
  return n < 0 ? 0n : BigInt.asUintN(bits, s.gpr(n));
}

/** The linear address of the instruction's memory operand in the state as it is. */
export function effectiveAddress(s: Steering, instruction: Instruction): bigint {
  const bits = addressBits(instruction, s.mode);
  let offset = instruction.memoryDisplacement;
  const { memoryBase, memoryIndex } = instruction;
  if (memoryBase !== Register.RIP && memoryBase !== Register.EIP) {
    offset += registerValue(s, memoryBase, bits);
    offset += registerValue(s, memoryIndex, bits) * BigInt(instruction.memoryIndexScale);
  }
  return BigInt.asUintN(s.mode === 64 ? 64 : 32, BigInt.asUintN(bits, offset) + segmentBase(s, instruction));
}

function inverse(odd: bigint, bits: number): bigint {
  let x = odd;
  for (let i = 0; i < 6; i++) x = BigInt.asUintN(bits, x * (2n - odd * x));
  return x;
}

/** Chooses registers or displacement so that the memory operand is at `address`; best effort. */
function aim(s: Steering, instruction: Instruction, decoder: Decoder, address: bigint): void {
  const bits = addressBits(instruction, s.mode);
  if (bits === 16) return;
  const { memoryBase, memoryIndex } = instruction;
  const scale = BigInt(instruction.memoryIndexScale);
  const want = BigInt.asUintN(bits, address - segmentBase(s, instruction));
  const base = memoryBase === Register.None ? -1 : gprNumber(memoryBase);
  const index = memoryIndex === Register.None || memoryIndex === Register.AL ? -1 : gprNumber(memoryIndex);
  const set = (n: number, value: bigint): void => {
    const low = BigInt.asUintN(bits, value);
    s.setGpr(n, bits === 64 ? low : (s.gpr(n) & ~0xffffffffn) | low);
  };
  if (base >= 0) {
    const displacement = instruction.memoryDisplacement;
    if (base === index) {
      const rest = BigInt.asUintN(bits, want - displacement);
      if (scale === 1n) set(base, rest >> 1n);
      else set(base, rest * inverse(1n + scale, bits));
      return;
    }
    const indexed = registerValue(s, memoryIndex, bits) * scale;
    set(base, want - displacement - indexed);
    return;
  }
  if (index >= 0) {
    const rest = BigInt.asUintN(bits, want - instruction.memoryDisplacement);
    set(index, rest / scale);
    return;
  }
  const offsets = decoder.getConstantOffsets(instruction);
  if (offsets.displacementSize >= 4) {
    const relative = memoryBase === Register.RIP || memoryBase === Register.EIP;
    const value = relative ? want - s.rip - BigInt(instruction.length) : want;
    const at = CODE_OFFSET + offsets.displacementOffset;
    if (offsets.displacementSize === 8) s.target.view.setBigUint64(at, value & 0xffffffffffffffffn, true);
    else s.target.view.setUint32(at, Number(BigInt.asUintN(32, value)), true);
    instruction.memoryDisplacement = relative ? want : value;
  }
  offsets.free();
}

function small(s: Steering, n: number, limit: number): void {
  s.setGpr(n, BigInt(s.random.below(limit)));
}

function steerMemory(s: Steering, instruction: Instruction, decoder: Decoder, name: string): Uint8Array | undefined {
  const { random } = s;
  const size = name.startsWith("FX") ? 512 : MemorySizeExt.size(instruction.memorySize);
  for (const [segment, offset] of [
    [Register.FS, FS_BASE_OFFSET],
    [Register.GS, GS_BASE_OFFSET],
  ] as const) {
    if (instruction.memorySegment === segment && s.mode === 64 && random.below(8) !== 0)
      s.target.view.setBigUint64(offset, BigInt(16 * random.below(0x1000)), true);
  }
  const locked = instruction.hasLockPrefix || name === "XCHG";
  if (
    !(instruction.isStackInstruction && gprNumber(instruction.memoryBase) === RSP) &&
    name !== "LEA" &&
    random.below(50) !== 0
  )
    aim(s, instruction, decoder, s.dataAddress(size, locked));
  if (/^BT/.test(name) && instruction.opKind(1) === OpKind.Register && random.below(6) !== 0) {
    const register = gprNumber(instruction.opRegister(1));
    const inAddress = register === gprNumber(instruction.memoryBase) || register === gprNumber(instruction.memoryIndex);
    if (!inAddress) s.setGpr(register, BigInt(random.below(0x1000) - 0x400));
  }
  return s.patch(effectiveAddress(s, instruction));
}

function putLittle(bytes: Uint8Array, value: bigint, size: number): void {
  for (let i = 0; i < size; i++) bytes[i] = Number((value >> BigInt(8 * i)) & 0xffn);
}

function steerStrings(s: Steering, instruction: Instruction, name: string): void {
  const { random } = s;
  s.setGpr(RSI, s.dataAddress(8));
  s.setGpr(RDI, random.below(4) === 0 ? s.gpr(RSI) + BigInt(random.below(32) - 16) : s.dataAddress(8));
  if (random.below(16) !== 0) small(s, RCX, random.oneIn(2) ? 5 : 40);
  const from = s.patch(s.gpr(RSI));
  const to = s.patch(s.gpr(RDI));
  if (from && to && /^(CMPS|SCAS)/.test(name)) {
    if (name.startsWith("CMPS")) {
      to.set(from);
      if (random.oneIn(2)) to[random.below(24)] = random.u32();
    } else if (random.oneIn(2)) {
      // A run of equal elements, for REPE.
      const value = s.gpr(RAX);
      for (let i = 0; i < 64; i += 8) putLittle(to.subarray(i), value, 8);
      if (random.oneIn(2)) to[random.below(24)] = random.u32();
    }
  }
  if (random.below(4) === 0) {
    const flags = s.target.view.getUint32(RFLAGS_OFFSET, true);
    s.target.view.setUint32(RFLAGS_OFFSET, flags ^ 0x400, true);
  }
  if (instruction.hasRepPrefix && random.below(12) === 0) small(s, RCX, 1);
}

function steerBranch(s: Steering, instruction: Instruction, decoder: Decoder): void {
  const offsets = decoder.getConstantOffsets(instruction);
  const at = CODE_OFFSET + offsets.immediateOffset;
  const end = s.rip + BigInt(instruction.length);
  if (offsets.immediateSize === 1) {
    // Anywhere but into itself, which would be another instruction.
    let distance = (s.random.u32() << 24) >> 24;
    if (distance < 0 && distance >= -instruction.length - 1) distance = 5;
    s.target.view.setInt8(at, distance);
  } else if (offsets.immediateSize === 4) {
    s.target.view.setUint32(at, Number(BigInt.asUintN(32, s.codeAddress() - end)), true);
  }
  offsets.free();
}

function steerDivision(s: Steering, instruction: Instruction, signed: boolean): void {
  const { random } = s;
  if (random.below(10) < 3) return;
  const kind = instruction.opKind(0);
  const bytes =
    kind === OpKind.Register ? RegisterExt.size(instruction.opRegister(0)) : MemorySizeExt.size(instruction.memorySize);
  const bits = 8 * bytes;
  const low = BigInt.asUintN(bits, s.gpr(RAX));
  const high = signed && low >> BigInt(bits - 1) ? -1n : random.oneIn(2) ? 0n : BigInt(random.below(4));
  if (bytes === 1) s.setGpr(RAX, (s.gpr(RAX) & ~0xff00n) | ((high & 0xffn) << 8n));
  else {
    const mask = (1n << BigInt(bits)) - 1n;
    s.setGpr(RDX, (s.gpr(RDX) & ~mask) | (high & mask));
  }
}

function steerStack(s: Steering, name: string, patch: Uint8Array | undefined): void {
  const { random } = s;
  const place = random.below(60);
  if (place < 2) s.setGpr(RSP, BigInt(STACK_BASE + random.below(24)));
  else if (place < 4) s.setGpr(RSP, BigInt(STACK_BASE + STACK_SIZE - random.below(24)));
  else if (place === 4 && s.mode === 64) s.setGpr(RSP, BigInt(random.u32()) << 24n);
  else if (place < 10) s.setGpr(RSP, s.gpr(RSP) + BigInt(random.below(16)));
  const stack = s.patch(name === "LEAVE" ? s.gpr(RBP) : s.gpr(RSP));
  if (!stack) return;
  const slot = s.mode === 64 ? 8 : 4;
  if (/^RET$/.test(name)) putLittle(stack, branchTarget(s), slot);
  if (/^(RETF|IRET)/.test(name)) steerFarFrame(s, stack, name);
  if (/^POPF/.test(name)) stack[1] = (stack[1] as number) & ~1; // no TF: a trap is not this instruction's result
  if (/^POP$/.test(name) && patch === undefined) putLittle(stack, BigInt(random.pick(SELECTORS)), 2);
}

/** Far return frames: offset, selector (and flags, stack pointer, SS) at each possible operand size. */
function steerFarFrame(s: Steering, stack: Uint8Array, name: string): void {
  const { random, target } = s;
  const code = target.bytes.subarray(CODE_OFFSET, CODE_OFFSET + (target.bytes[LENGTH_OFFSET] as number));
  const opcode = name.startsWith("IRET") ? 0xcf : -1;
  const at = opcode === 0xcf ? code.indexOf(0xcf) : code.findIndex((b) => b === 0xca || b === 0xcb);
  const prefixes = code.subarray(0, at);
  const slot = prefixes.some((b) => b >= 0x48 && b <= 0x4f && s.mode === 64) ? 8 : prefixes.includes(0x66) ? 2 : 4;
  putLittle(stack, s.codeAddress(), slot);
  // With an immediate, AMD looks at the outer stack before it checks the selector: only good selectors there.
  const good = random.below(4) !== 0 || code[at] === 0xca;
  putLittle(stack.subarray(slot), BigInt(good ? random.pick([0x23, 0x33]) : random.pick(SELECTORS)), slot);
  if (opcode !== 0xcf) return;
  putLittle(stack.subarray(2 * slot), BigInt(random.u32() & ~0x100 & ~0x20000), slot);
  putLittle(stack.subarray(3 * slot), s.gpr(RSP), slot);
  putLittle(stack.subarray(4 * slot), BigInt(random.below(6) ? 0x2b : random.pick(SELECTORS)), slot);
}

/** Adjusts the state in `s.target` (which holds the code already) to the instruction. */
export function steer(s: Steering, instruction: Instruction, decoder: Decoder): void {
  const { random } = s;
  const name = mnemonicOf(instruction);
  let patch: Uint8Array | undefined;
  let memory = false;
  for (let i = 0; i < instruction.opCount; i++) {
    const kind = instruction.opKind(i);
    if (kind === OpKind.Memory) memory = true;
    if (kind === OpKind.NearBranch32 || kind === OpKind.NearBranch64) steerBranch(s, instruction, decoder);
  }
  if (/^PCMPESTR/.test(name)) {
    for (const n of [RAX, RDX]) if (random.below(4)) s.setGpr(n, BigInt(random.below(40) - 20));
  }
  if (/^(LEAVE|ENTER)/.test(name)) s.setGpr(RBP, BigInt(STACK_BASE + 0x400 + random.below(0x800)));
  if (/^J[ER]?CXZ|^LOOP/.test(name) && random.oneIn(2)) small(s, RCX, 3);
  if (memory) patch = steerMemory(s, instruction, decoder, name);
  if (instruction.isStringInstruction || /^MASKMOV/.test(name)) steerStrings(s, instruction, name);
  if (name === "DIV" || name === "IDIV") steerDivision(s, instruction, name === "IDIV");
  if (instruction.isStackInstruction) steerStack(s, name, patch);
  if (/^(CMPXCHG)/.test(name)) steerCompareExchange(s, instruction, name, patch);
  if (/^(JMP|CALL)$/.test(name)) steerIndirect(s, instruction, patch);
  if (/^L[DEFGS]S$/.test(name) && patch)
    for (const at of [2, 4, 8]) putLittle(patch.subarray(at), BigInt(random.pick(SELECTORS)), 2);
  const loadsSelector = /^(VERR|VERW|LAR|LSL|LLDT|LTR)$/.test(name);
  if (loadsSelector || (name === "MOV" && RegisterExt.isSegmentRegister(instruction.op0Register))) {
    const selector = BigInt(random.pick(SELECTORS));
    const source = instruction.opCount - 1;
    if (patch) putLittle(patch, selector, 2);
    else if (instruction.opKind(source) === OpKind.Register) {
      const n = gprNumber(instruction.opRegister(source));
      if (n >= 0) s.setGpr(n, (s.gpr(n) & ~0xffffn) | selector);
    }
  }
  if (/^(LDMXCSR|FXRSTOR)/.test(name) && patch) {
    // Bit 17 is AMD's misaligned mode; elsewhere it is reserved.
    const at = name === "LDMXCSR" ? 0 : 24;
    putLittle(patch.subarray(at), BigInt(random.u32() & (random.below(8) ? 0xffff : 0xfffdffff)), 4);
  }
  if (/^(FLDCW|FLDENV|FRSTOR)/.test(name) && patch && random.below(4))
    putLittle(patch, 0x37fn | BigInt(random.below(16) << 8), 2);
  if (random.below(60) === 0) crossCodePage(s, instruction);
}

function steerCompareExchange(
  s: Steering,
  instruction: Instruction,
  name: string,
  patch: Uint8Array | undefined,
): void {
  if (s.random.oneIn(2)) return;
  if (name === "CMPXCHG") {
    const kind = instruction.opKind(0);
    if (kind === OpKind.Register) {
      const n = gprNumber(instruction.opRegister(0));
      if (n >= 0) s.setGpr(RAX, s.gpr(n));
    } else if (patch) putLittle(patch, s.gpr(RAX), 8);
    return;
  }
  if (!patch) return;
  const size = name === "CMPXCHG8B" ? 4 : 8;
  putLittle(patch, s.gpr(RAX), size);
  putLittle(patch.subarray(size), s.gpr(RDX), size);
}

/** Where a near indirect branch goes: now and then to the edges of what is canonical, or anywhere. */
function branchTarget(s: Steering): bigint {
  const { random } = s;
  if (s.mode !== 64 || !random.oneIn(16)) return s.codeAddress();
  if (random.oneIn(2))
    return random.pick([0x7fff_ffff_ffffn, 0x8000_0000_0000n, -0x8000_0000_0001n, -0x8000_0000_0000n]);
  return (BigInt(random.u32()) << 32n) | BigInt(random.u32());
}

function steerIndirect(s: Steering, instruction: Instruction, patch: Uint8Array | undefined): void {
  const { random } = s;
  if (patch && (instruction.isCallFarIndirect || instruction.isJmpFarIndirect)) {
    const size = MemorySizeExt.size(instruction.memorySize) - 2;
    putLittle(patch, s.codeAddress(), size);
    putLittle(patch.subarray(size), BigInt(random.pick(SELECTORS)), 2);
  } else if (patch) putLittle(patch, branchTarget(s), s.mode === 64 ? 8 : 4);
  else if (instruction.opKind(0) === OpKind.Register) {
    const n = gprNumber(instruction.opRegister(0));
    if (n >= 0) s.setGpr(n, branchTarget(s));
  } else if (instruction.isJmpFar || instruction.isCallFar) {
    const { view, bytes } = s.target;
    const end = CODE_OFFSET + (bytes[LENGTH_OFFSET] as number);
    view.setUint16(end - 2, random.below(4) ? random.pick([0x23, 0x33]) : random.pick(SELECTORS), true);
    if (instruction.opKind(0) === OpKind.FarBranch32) view.setUint32(end - 6, Number(s.codeAddress()), true);
  }
}

/** Moves the code so that its last bytes are on a page that is not present, or on the next page. */
function crossCodePage(s: Steering, instruction: Instruction): void {
  if (instruction.isIpRelMemoryOperand || instruction.nearBranchTarget !== 0n) return;
  const edge = s.random.oneIn(2) ? CODE_BASE + CODE_SIZE : CODE_BASE + 0x1000;
  const inside = s.random.below(instruction.length) + 1;
  s.target.view.setBigUint64(RIP_OFFSET, BigInt(edge - Math.min(inside, instruction.length)), true);
}

// Writes of a guest kernel to its own read-only level-1 page tables (Linux does it with mov, xchg, lock and, cmpxchg). They fault,
// and are carried out here: the instruction is decoded, its result becomes the new entry, checked as by mmu_update. Only
// level 1, as in Xen; anything else is the guest's own page fault.

import { type Decoded, DecodeResult, OperandKind } from "../../cpu/decode/decoded.js";
import type { Decoder } from "../../cpu/decode/decoder.js";
import { Reg } from "../../cpu/state-layout.js";
import { FrameType } from "../frame-table.js";
import { copyFromGuest } from "../guest-access.js";
import { findL1Slot } from "../guest-tables.js";
import type { Vcpu } from "../hypervisor.js";
import { PTE_P, PTE_RW, pteFrame } from "../pte.js";
import { retire } from "./emulate-privileged.js";
import { readModifyWrite } from "./read-modify-write.js";

const MAX_INSTRUCTION = 15;
const BITS_64 = 2;

const decodedOf = new WeakMap<Decoder, Decoded>();

/**
 * @param address the faulting address (CR2) of a write to a present page from guest kernel mode.
 * @returns true when it hit a page table and was carried out: RIP is after the instruction. False: the fault is the guest's.
 */
export function emulatePageTableWrite(vcpu: Vcpu, address: bigint): boolean {
  const space = vcpu.domain.memory;
  const { memory, frames, types } = space.host;
  const mapping = findL1Slot(memory, vcpu.pv.guestTable, address);
  if (mapping < 0) return false;
  const low = memory.readU32(mapping);
  if ((low & (PTE_P | PTE_RW)) !== PTE_P) return false;
  const table = pteFrame(low, memory.readU32(mapping + 4));
  if (frames.ownerOf(table) !== space.id || !frames.isValidated(table, FrameType.L1)) return false;

  const offset = Number(address & 0xfffn);
  const decoded = decodeAtRip(vcpu);
  if (decoded === undefined) return false;
  const entry = table * 4096 + (offset & 0xff8);
  const store = carryOut(vcpu, decoded, memory.readU64(entry), (offset & 7) * 8);
  if (store === undefined) return false;
  const { value } = store;
  const error = types.modify(
    table,
    offset >>> 3,
    Number(value & 0xffff_ffffn),
    Number(value >> 32n),
    space,
    space.id,
    false,
  );
  if (error !== 0) return false;
  store.commit();
  retire(vcpu.domain.hypervisor, vcpu, decoded.length);
  return true;
}

function decodeAtRip(vcpu: Vcpu): Decoded | undefined {
  const { decoder } = vcpu.domain.hypervisor;
  const { state } = vcpu.cpu;
  if (state.codeMode !== BITS_64) return undefined;
  const rip = state.rip;
  const bytes =
    copyFromGuest(vcpu, rip, MAX_INSTRUCTION) ??
    copyFromGuest(vcpu, rip, Math.min(MAX_INSTRUCTION, 4096 - Number(rip & 0xfffn)));
  if (bytes === undefined) return undefined;
  let decoded = decodedOf.get(decoder);
  if (decoded === undefined) {
    decoded = decoder.newDecoded();
    decodedOf.set(decoder, decoded);
  }
  return decoder.decode(bytes, 0, bytes.length, BITS_64, decoded) === DecodeResult.Ok ? decoded : undefined;
}

/**
 * The entry that the instruction leaves behind.
 * @param old the whole 8-byte entry. @param shift bit of it at which the operand begins.
 * @returns the new entry, and what to do to registers and flags once it is accepted; undefined: not an instruction known here.
 */
function carryOut(
  vcpu: Vcpu,
  decoded: Decoded,
  old: bigint,
  shift: number,
): { value: bigint; commit: () => void } | undefined {
  const { state } = vcpu.cpu;
  const { form } = decoded;
  if (decoded.rep !== 0) return undefined;
  const destination = form.operands[0];
  if (destination?.kind !== OperandKind.Memory) return undefined;
  if (form.semantics === "CMPXCHG8B") return compareExchange8(vcpu, old, shift);
  const operation = readModifyWrite[form.semantics];
  const bits = destination.size;
  if (operation === undefined || bits < 8 || bits > 64 || shift + bits > 64) return undefined;

  const source = form.operands[1];
  const value = source === undefined ? 0n : sourceValue(vcpu, decoded, source.kind);
  if (value === undefined) return undefined;
  const result = operation({
    memory: BigInt.asUintN(bits, old >> BigInt(shift)),
    source: BigInt.asUintN(bits, value),
    accumulator: BigInt.asUintN(bits, state.gpr(Reg.RAX)),
    bits,
    rflags: state.rflags,
  });
  const mask = ((1n << BigInt(bits)) - 1n) << BigInt(shift);
  return {
    value: (old & ~mask) | (result.memory << BigInt(shift)),
    commit: () => {
      if (result.source !== undefined) writeRegister(vcpu, decoded.code[1]!, bits, result.source);
      if (result.accumulator !== undefined) writeRegister(vcpu, Reg.RAX, bits, result.accumulator);
      state.rflags = result.rflags;
    },
  };
}

function compareExchange8(vcpu: Vcpu, old: bigint, shift: number): { value: bigint; commit: () => void } | undefined {
  if (shift !== 0) return undefined;
  const { state } = vcpu.cpu;
  const pair = (high: number, low: number) => (BigInt(state.gprNumber(high)) << 32n) | BigInt(state.gprNumber(low));
  const ZF = 0x40n;
  const equal = pair(Reg.RDX, Reg.RAX) === old;
  return {
    value: equal ? pair(Reg.RCX, Reg.RBX) : old,
    commit: () => {
      if (!equal) {
        state.setGpr(Reg.RAX, old & 0xffff_ffffn);
        state.setGpr(Reg.RDX, old >> 32n);
      }
      state.rflags = equal ? state.rflags | ZF : state.rflags & ~ZF;
    },
  };
}

/** Codes 16-19 are AH CH DH BH. */
function sourceValue(vcpu: Vcpu, decoded: Decoded, kind: number): bigint | undefined {
  const code = decoded.code[1]!;
  switch (kind) {
    case OperandKind.Gpr:
      return code < 16 ? vcpu.cpu.state.gpr(code) : vcpu.cpu.state.gpr(code - 16) >> 8n;
    case OperandKind.Immediate:
    case OperandKind.Constant:
      return (BigInt(decoded.immHi >>> 0) << 32n) | BigInt(decoded.immLo >>> 0);
    default:
      return undefined;
  }
}

function writeRegister(vcpu: Vcpu, code: number, bits: number, value: bigint): void {
  const { state } = vcpu.cpu;
  if (bits >= 32) {
    state.setGpr(code, value);
    return;
  }
  const [register, shift] = code < 16 ? [code, 0n] : [code - 16, 8n];
  const mask = ((1n << BigInt(bits)) - 1n) << shift;
  state.setGpr(register, (state.gpr(register) & ~mask) | (value << shift));
}

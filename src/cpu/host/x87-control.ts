// x87 control instructions as host operations: FNINIT, FLDCW, and the environment and state images of FNSTENV, FLDENV, FNSAVE
// and FRSTOR in their 16- and 32-bit, protected- and real-mode layouts (SDM volume 1, figures 8-9 to 8-12).

import type { CpuState } from "../cpu-state.js";
import * as S from "../state-layout.js";
import type { HostCpu, HostOperationTable } from "./host-operation.js";
import {
  fullTagWord,
  initialise,
  readSt,
  setControlAndStatus,
  setFullTagWord,
  statusWord,
  storeSt,
  updateSummary,
} from "./x87-state.js";
import { checkAlignment } from "./x87-unit.js";

const ALL_MASKED = 0x3f;

/** Real-mode layouts have linear pointers instead of selectors. */
function realMode(cpu: HostCpu): boolean {
  return (cpu.state.u32(S.CR0) & 1) === 0 && !cpu.hooks.readDescriptor;
}

/** The seven fields of an environment, each in the low part of its word or doubleword. */
function environmentFields(cpu: HostCpu): number[] {
  const { state } = cpu;
  const head = [state.u32(S.FCW), statusWord(state), fullTagWord(state)];
  const fip = state.u32(S.FIP);
  const fdp = state.u32(S.FDP);
  const opcode = state.u32(S.FOP) & 0x7ff;
  if (!realMode(cpu)) return [...head, fip, state.u32(S.FIP_SEL) | (opcode << 16), fdp, state.u32(S.FDP_SEL)];
  const ip = (fip + 16 * state.u32(S.FIP_SEL)) >>> 0;
  const dp = (fdp + 16 * state.u32(S.FDP_SEL)) >>> 0;
  return [...head, ip & 0xffff, ((ip >>> 16) << 12) | opcode, dp & 0xffff, (dp >>> 16) << 12];
}

function environmentImage(cpu: HostCpu, wide: boolean): Uint8Array {
  const fields = environmentFields(cpu);
  const image = new Uint8Array(wide ? 28 : 14);
  const view = new DataView(image.buffer);
  const real = realMode(cpu);
  fields.forEach((field, i) => {
    if (!wide) view.setUint16(2 * i, field & 0xffff, true);
    else {
      // Unused upper halves are ones; pointers (and FCS with the opcode) fill theirs.
      const whole = real ? i === 4 || i === 6 : i >= 3 && i <= 5;
      view.setUint32(4 * i, whole ? field >>> 0 : (field | 0xffff0000) >>> 0, true);
    }
  });
  return image;
}

function loadEnvironment(cpu: HostCpu, image: Uint8Array, wide: boolean): void {
  const { state } = cpu;
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  const field = (i: number) => (wide ? view.getUint32(4 * i, true) : view.getUint16(2 * i, true));
  setControlAndStatus(state, field(0) & 0xffff, field(1) & 0xffff);
  setFullTagWord(state, field(2) & 0xffff);
  if (realMode(cpu)) {
    state.setU64(S.FIP, BigInt(((field(3) & 0xffff) | ((field(4) >>> 12) << 16)) >>> 0));
    state.setU64(S.FDP, BigInt(((field(5) & 0xffff) | ((field(6) >>> 12) << 16)) >>> 0));
    state.setU32(S.FIP_SEL, 0);
    state.setU32(S.FDP_SEL, 0);
    state.setU32(S.FOP, field(4) & 0x7ff);
    return;
  }
  state.setU64(S.FIP, BigInt(field(3)));
  state.setU32(S.FIP_SEL, field(4) & 0xffff);
  state.setU64(S.FDP, BigInt(field(5)));
  state.setU32(S.FDP_SEL, field(6) & 0xffff);
  state.setU32(S.FOP, wide ? (field(4) >>> 16) & 0x7ff : 0);
}

function registerImage(state: CpuState): Uint8Array {
  const image = new Uint8Array(80);
  const view = new DataView(image.buffer);
  for (let i = 0; i < 8; i++) {
    const bits = readSt(state, i);
    view.setBigUint64(10 * i, BigInt.asUintN(64, bits), true);
    view.setUint16(10 * i + 8, Number(bits >> 64n), true);
  }
  return image;
}

function loadRegisters(state: CpuState, image: Uint8Array): void {
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  for (let i = 0; i < 8; i++)
    storeSt(state, i, view.getBigUint64(10 * i, true) | (BigInt(view.getUint16(10 * i + 8, true)) << 64n));
}

function alignedImage(cpu: HostCpu): void {
  checkAlignment(cpu, cpu.arg(0), cpu.argNumber(1) === 16 ? 2 : 4);
}

/** Arguments of the images' operations: linear address, operand size. */
export const x87ControlOperations: HostOperationTable = {
  fninit: (cpu) => initialise(cpu.state),
  /** Argument: the new control word. Unmasking a flag that is set makes it pending. */
  fldcw: (cpu) => setControlAndStatus(cpu.state, cpu.argNumber(0), statusWord(cpu.state)),
  fnstenv: (cpu) => {
    const { state } = cpu;
    alignedImage(cpu);
    cpu.writeBytes(cpu.arg(0), environmentImage(cpu, cpu.argNumber(1) !== 16));
    state.setU32(S.FCW, state.u32(S.FCW) | ALL_MASKED);
    updateSummary(state);
  },
  fldenv: (cpu) => {
    alignedImage(cpu);
    const wide = cpu.argNumber(1) !== 16;
    loadEnvironment(cpu, cpu.readBytes(cpu.arg(0), wide ? 28 : 14), wide);
  },
  fnsave: (cpu) => {
    alignedImage(cpu);
    const environment = environmentImage(cpu, cpu.argNumber(1) !== 16);
    const image = new Uint8Array(environment.length + 80);
    image.set(environment);
    image.set(registerImage(cpu.state), environment.length);
    cpu.writeBytes(cpu.arg(0), image);
    initialise(cpu.state);
  },
  frstor: (cpu) => {
    alignedImage(cpu);
    const wide = cpu.argNumber(1) !== 16;
    const length = wide ? 28 : 14;
    const image = cpu.readBytes(cpu.arg(0), length + 80);
    loadEnvironment(cpu, image.subarray(0, length), wide);
    loadRegisters(cpu.state, image.subarray(length));
  },
};

// The dump that Xen prints when it ends a domain: registers, code around RIP, top of the guest's stack. The layout of the lines is
// Xen 4.17's, so that tools and people that know it find their way.

import { Reg, Seg } from "../../cpu/state-layout.js";
import { readCr0 } from "./control-registers.js";
import { kernelGsBase, userGsBase } from "./guest-mode.js";
import { hex, type PvContext, type PvHost, vcpuName } from "./pv-context.js";
import { translate } from "./translate.js";

const STACK_LINES = 20;
const WORDS_PER_LINE = 4;
const CODE_BEFORE = 20;
const CODE_BYTES = 32;

export interface CrashDumpOptions {
  /** As in the first line: "Xen-4.17.5". */
  readonly version: string;
}

/** Lines without the "(XEN) " prefix. */
export function crashDump(host: PvHost, vcpu: PvContext, options: CrashDumpOptions): string[] {
  return [`Domain ${vcpu.domain.id} (vcpu#${vcpu.id}) crashed on cpu#0:`, ...vcpuDump(host, vcpu, options)];
}

/** The same of a vCPU that goes on. */
export function vcpuDump(host: PvHost, vcpu: PvContext, options: CrashDumpOptions): string[] {
  const name = vcpuName(vcpu);
  return [
    `----[ ${options.version}  x86_64  debug=n  Not tainted ]----`,
    "CPU:    0",
    ...registerLines(vcpu, name),
    ...codeLines(host, vcpu),
    ...stackLines(host, vcpu),
  ];
}

function registerLines(vcpu: PvContext, name: string): string[] {
  const { state } = vcpu.cpu;
  const { pv } = vcpu;
  const r = (index: number) => hex(state.gpr(index));
  const selector = (segment: number) => hex(state.segmentSelector(segment), 4);
  const root = pv.kernelMode ? pv.guestTable : pv.guestUserTable;
  const context = pv.kernelMode ? "pv guest" : "pv guest user";
  // In guest user mode the active GS base is the user's and the shadow one the kernel's.
  const shadow = pv.kernelMode ? userGsBase(vcpu) : kernelGsBase(vcpu);
  return [
    `RIP:    ${selector(Seg.CS)}:[<${hex(state.rip)}>]`,
    `RFLAGS: ${hex(state.rflags)}   EM: ${pv.kernelMode ? 1 : 0}   CONTEXT: ${context} (${name})`,
    `rax: ${r(Reg.RAX)}   rbx: ${r(Reg.RBX)}   rcx: ${r(Reg.RCX)}`,
    `rdx: ${r(Reg.RDX)}   rsi: ${r(Reg.RSI)}   rdi: ${r(Reg.RDI)}`,
    `rbp: ${r(Reg.RBP)}   rsp: ${r(Reg.RSP)}   r8:  ${r(Reg.R8)}`,
    `r9:  ${r(Reg.R9)}   r10: ${r(Reg.R10)}   r11: ${r(Reg.R11)}`,
    `r12: ${r(Reg.R12)}   r13: ${r(Reg.R13)}   r14: ${r(Reg.R14)}`,
    `r15: ${r(Reg.R15)}   cr0: ${hex(readCr0(vcpu))}   cr4: ${hex(pv.cr4)}`,
    `cr3: ${hex(root < 0 ? 0n : BigInt(root) << 12n)}   cr2: ${hex(pv.cr2)}`,
    `fsb: ${hex(state.segmentBase(Seg.FS))}   gsb: ${hex(state.segmentBase(Seg.GS))}   gss: ${hex(shadow)}`,
    `ds: ${selector(Seg.DS)}   es: ${selector(Seg.ES)}   fs: ${selector(Seg.FS)}   gs: ${selector(Seg.GS)}   ` +
      `ss: ${selector(Seg.SS)}   cs: ${selector(Seg.CS)}`,
  ];
}

function byteAt(host: PvHost, vcpu: PvContext, va: bigint): number {
  const maddr = translate(host, vcpu, BigInt.asUintN(64, va), false);
  return maddr < 0 ? -1 : host.memory.readU8(maddr);
}

function codeLines(host: PvHost, vcpu: PvContext): string[] {
  const { rip } = vcpu.cpu.state;
  let text = "";
  for (let i = -CODE_BEFORE; i < CODE_BYTES - CODE_BEFORE; i++) {
    const byte = byteAt(host, vcpu, rip + BigInt(i));
    const digits = byte < 0 ? "--" : hex(byte, 2);
    text += i === 0 ? ` <${digits}>` : ` ${digits}`;
  }
  return [`Code around <${hex(rip)}>:`, text];
}

function stackLines(host: PvHost, vcpu: PvContext): string[] {
  const rsp = vcpu.cpu.state.gpr(Reg.RSP);
  const lines = [`Guest stack trace from rsp=${hex(rsp)}:`];
  if (rsp & 7n) lines.push("Guest stack is misaligned.");
  let text = "";
  const last = STACK_LINES * WORDS_PER_LINE;
  for (let i = 0; i < last; i++) {
    const va = BigInt.asUintN(64, (rsp & ~7n) + BigInt(i * 8));
    const maddr = translate(host, vcpu, va, false);
    if (maddr < 0) {
      text += i === 0 ? "   Guest-inaccessible memory." : "";
      break;
    }
    text += `${i % WORDS_PER_LINE === 0 ? "   " : " "}${hex(host.memory.readU64(maddr))}`;
    if (i % WORDS_PER_LINE === WORDS_PER_LINE - 1) {
      lines.push(text);
      text = "";
    }
  }
  if (text) lines.push(text);
  return lines;
}

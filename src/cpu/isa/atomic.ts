// Exchanges and their locked forms (SDM volume 3, section 8.1.2.2). XCHG with memory locks without the prefix.

import type { Instruction } from "./instruction.js";
import { instruction, row } from "./instruction.js";

const lock = true;

export const atomic: readonly Instruction[] = [
  instruction("XCHG", [
    row("86 /r", "r/m8, r8", { lock }),
    row("87 /r", "r/mV, rV", { lock }),
    row("90+r", "rV, rAX"),
    // 90 alone is NOP; with REX.B it exchanges R8.
    row("REX.B 90+r", "rV, rAX"),
  ]),
  instruction("XADD", [row("0F C0 /r", "r/m8, r8", { lock }), row("0F C1 /r", "r/mV, rV", { lock })]),
  instruction("CMPXCHG", [row("0F B0 /r", "r/m8, r8", { lock }), row("0F B1 /r", "r/mV, rV", { lock })]),
  instruction("CMPXCHG8B", [row("0F C7 /1", "m64", { lock })]),
  instruction("CMPXCHG16B", [row("REX.W 0F C7 /1", "m128", { lock, feature: "CMPXCHG16B" })]),
];

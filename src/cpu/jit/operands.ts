// The operands of a region's instructions: registers in locals, constants of the decoded instruction, memory.

import type { FormOperand } from "../decode/decoded.js";
import { OperandKind as kinds } from "../decode/decoded.js";
import type { Operand } from "../emit/emitter.js";
import { gprOffset } from "../emit/interpreter-emitter.js";
import { bareOperand } from "../emit/operand.js";
import * as S from "../state-layout.js";
import type { FunctionBuilder, Value, Variable } from "../wasm/function-builder.js";
import type { RegionInstruction } from "./flow.js";
import type { RegionMemory } from "./memory.js";
import { mmxOperand, type VectorRegisters } from "./vector-registers.js";

/** What operands need of the emitter that they belong to. */
export interface OperandsHost extends FunctionBuilder {
  readonly memory: RegionMemory;
  readonly vectors: VectorRegisters;
  /** Address of the region's first page. */
  readonly pageVa: Variable;
  gpr(code: number, size: number): Value;
  setGpr(code: number, size: number, value: Value): void;
}

export function operandOf(e: OperandsHost, instruction: RegionInstruction, form: FormOperand, slot: number): Operand {
  const { size } = form;
  const { decoded, target } = instruction;
  const code = decoded.code[slot]!;
  switch (form.kind) {
    case kinds.Gpr: {
      const read = () => e.gpr(code, size);
      return {
        ...bareOperand("register", size),
        read,
        readForWrite: read,
        write: (value) => e.setGpr(code, size, value),
        number: () => e.i32(gprOffset(code)),
      };
    }
    case kinds.Xmm:
      return e.vectors.operand(code, size);
    case kinds.Mmx:
      return mmxOperand(e, size, S.FPR + 16 * code);
    case kinds.Memory:
      return e.memory.operand(instruction, size);
    case kinds.Constant:
      return { ...bareOperand("immediate", 8), read: () => e.i32(decoded.immLo) };
    case kinds.Immediate: {
      const wide = (BigInt(decoded.immHi | 0) << 32n) | BigInt(decoded.immLo >>> 0);
      const read = () => (size === 64 ? e.i64(wide) : e.zeroExtend(e.i32(decoded.immLo), size));
      return { ...bareOperand("immediate", size), read };
    }
    case kinds.Immediate2:
      return { ...bareOperand("immediate", size), read: () => e.i32(decoded.imm2) };
    case kinds.Relative: {
      return {
        ...bareOperand("relative", size),
        read: () => e.let(e.add(e.get(e.pageVa), e.i64(target!.at))),
      };
    }
    case kinds.FarPointer:
      return {
        ...bareOperand("far", size),
        read: () => e.i64(decoded.immLo >>> 0),
        number: () => e.i32(decoded.immHi),
      };
    case kinds.Segment:
      return { ...bareOperand("segment", size), number: () => e.i32(code) };
    case kinds.Control:
      return { ...bareOperand("control", size), number: () => e.i32(code) };
    case kinds.Debug:
      return { ...bareOperand("debug", size), number: () => e.i32(code) };
    default:
      return { ...bareOperand("st", size), number: () => e.i32(code) };
  }
}

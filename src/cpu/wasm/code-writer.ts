// The code of a function while it is written, with what is known of its branches: section "metadata.code.branch_hint" of the
// branch hinting proposal. Engines that don't know the section skip it.

import { ByteWriter } from "./byte-writer.js";

/** An `if` or `br_if`: where its opcode stands, and whether it is taken as a rule. */
export interface BranchHint {
  readonly at: number;
  readonly likely: boolean;
}

/** Locals and expression of a function, without the size prefix; hints by ascending place from the body's start. */
export interface FunctionBody {
  readonly bytes: Uint8Array;
  readonly hints: readonly BranchHint[];
}

export class CodeWriter extends ByteWriter {
  readonly hints: BranchHint[] = [];

  /** Concerns the branch whose opcode comes next. */
  hint(likely: boolean): void {
    this.hints.push({ at: this.length, likely });
  }

  append(other: CodeWriter): void {
    for (const { at, likely } of other.hints) this.hints.push({ at: this.length + at, likely });
    this.raw(other.bytes, other.length);
  }

  body(): FunctionBody {
    return { bytes: this.view(), hints: this.hints };
  }
}

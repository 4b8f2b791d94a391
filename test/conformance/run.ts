// Executes vectors on a machine, compares, and reports disagreements by form.
import { applyMask, changedBytes, differences } from "./compare.js";
import type { VectorMachine } from "./cpu-machine.js";
import { decode } from "./forms.js";
import type { Vector } from "./generate.js";
import {
  CODE_OFFSET,
  GPR_OFFSET,
  LENGTH_OFFSET,
  MODE_OFFSET,
  RESULT_SIZE,
  RFLAGS_OFFSET,
  RIP_OFFSET,
} from "./layout.js";

interface FormReport {
  total: number;
  failed: number;
  examples: string[];
}

export class Report {
  forms = 0;
  vectors = 0;
  failedVectors = 0;
  readonly byForm = new Map<string, FormReport>();
  readonly examplesPerForm: number;
  private readonly result = new Uint8Array(RESULT_SIZE);

  constructor(examplesPerForm = 3) {
    this.examplesPerForm = examplesPerForm;
  }

  /** Runs all vectors of one form. */
  run(machine: VectorMachine, name: string, vectors: Iterable<Vector>): void {
    const entry: FormReport = { total: 0, failed: 0, examples: [] };
    for (const vector of vectors) {
      entry.total++;
      let list: string[];
      try {
        machine.execute(vector.input, this.result);
        const memory = changedBytes(this.result, vector.mask);
        applyMask(this.result, vector.mask);
        list = differences(vector.expected, vector.memory, this.result, memory, vector.mask.kind);
      } catch (error) {
        list = [`threw ${error instanceof Error ? error.message : String(error)}`];
      }
      if (list.length === 0) continue;
      entry.failed++;
      if (entry.examples.length < this.examplesPerForm) entry.examples.push(describe(vector, list));
    }
    if (entry.total === 0) return;
    this.forms++;
    this.vectors += entry.total;
    this.failedVectors += entry.failed;
    this.byForm.set(name, entry);
  }

  get failedForms(): string[] {
    return [...this.byForm].filter(([, entry]) => entry.failed > 0).map(([name]) => name);
  }

  summary(): string {
    return `${this.forms} instruction forms, ${this.vectors} vectors; ${this.failedForms.length} forms disagree in ${this.failedVectors} vectors`;
  }

  /** Summary, forms that threw, then for each form that disagrees its count and some examples. */
  text(): string {
    const lines = [this.summary()];
    const missing = (entry: FormReport): boolean => entry.examples[0]?.includes("| threw ") ?? false;
    const failed = [...this.byForm].filter(([, entry]) => entry.failed > 0);
    for (const [name, entry] of failed.filter(([, entry]) => missing(entry)))
      lines.push(`${name}: ${entry.failed} of ${entry.total}: ${entry.examples[0]?.split(" | ")[1] ?? ""}`);
    for (const [name, entry] of failed.filter(([, entry]) => !missing(entry))) {
      lines.push(`${name}: ${entry.failed} of ${entry.total}`);
      for (const example of entry.examples) lines.push(`    ${example}`);
    }
    return lines.join("\n");
  }
}

const NAMES = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"];

/** One line: code, disassembly, seed, the inputs that differ from the state's flags and first registers, and the disagreement. */
export function describe(vector: Vector, list: readonly string[]): string {
  const { input } = vector;
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const code = input.subarray(CODE_OFFSET, CODE_OFFSET + (input[LENGTH_OFFSET] as number));
  const { instruction, decoder } = decode(
    code,
    input[MODE_OFFSET] === 64 ? 64 : 32,
    view.getBigUint64(RIP_OFFSET, true),
  );
  const assembly = instruction.toString();
  instruction.free();
  decoder.free();
  const registers = NAMES.map((name, i) => `${name}=${view.getBigUint64(GPR_OFFSET + 8 * i, true).toString(16)}`);
  const flags = view.getUint32(RFLAGS_OFFSET, true).toString(16);
  const hex = Buffer.from(code).toString("hex");
  return `${hex} ${assembly} | ${list.join("; ")} | seed ${vector.seed} flags=${flags} ${registers.join(" ")}`;
}

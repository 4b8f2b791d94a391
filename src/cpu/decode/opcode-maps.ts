// The opcode maps (SDM volume 2 appendix A) built from the rows of isa/: dense tables that the decoder indexes, never searches.
// Slot = mode class (64-bit or not), map, opcode, mandatory prefix, REX.W, REX.B -> node; node + ModRM -> choice; choice +
// operand size -> form. The tables check themselves: two rows that claim one cell with equal right are an error naming both.

import type { Instruction } from "../isa/instruction.js";
import type { Form } from "./decoded.js";
import type { FormLayout, ParsedRow } from "./forms.js";
import { createForms, parseRow, rowName } from "./forms.js";
import type { PrefixRule } from "./opcode-text.js";

/** Mandatory-prefix classes as the decoder finds them. */
export const PrefixClass = { None: 0, P66: 1, F3: 2, F2: 3 } as const;

/** How the operand size is found in 64-bit mode. */
export const SizeRule = { Normal: 0, Default64: 1, Force64: 2 } as const;

/** Choices of a node with ModRM: 8 by ModRM.reg for memory, then 64 by ModRM.reg and rm for registers. */
export const CELLS = 72;

export interface OpcodeMaps {
  /** By slot: 0 = no instruction, else node + 1; negative: the node has no ModRM, -(choice + 1). */
  readonly slots: Int16Array;
  /** By node * CELLS + cell: choice, or -1. */
  readonly cells: Int16Array;
  /** By choice * 3 + size (16, 32, 64): form id, or -1. */
  readonly choices: Int16Array;
  readonly sizeRules: Uint8Array;
  readonly layouts: readonly FormLayout[];
  readonly forms: readonly Form[];
}

export function slotIndex(mode64: number, map: number, opcode: number, prefix: number, rexWB: number): number {
  return (((mode64 * 8 + map) * 256 + opcode) * 4 + prefix) * 4 + rexWB;
}

const PREFIXES: Readonly<Record<PrefixRule, readonly number[]>> = {
  any: [0, 1, 2, 3],
  NFx: [PrefixClass.None, PrefixClass.P66],
  NP: [PrefixClass.None],
  "66": [PrefixClass.P66],
  F3: [PrefixClass.F3],
  F2: [PrefixClass.F2],
};

export function buildOpcodeMaps(instructions: readonly Instruction[], features: ReadonlySet<string>): OpcodeMaps {
  const builder = new MapBuilder();
  for (const instruction of instructions) {
    for (const row of instruction.rows) {
      if (row.options.feature !== undefined && !features.has(row.options.feature)) continue;
      builder.add(parseRow(instruction, row));
    }
  }
  return builder.build();
}

class MapBuilder {
  readonly #layouts: FormLayout[] = [];
  /** Rows by map * 256 + opcode. */
  readonly #byOpcode = new Map<number, ParsedRow[]>();
  readonly #slots = new Int16Array(slotIndex(2, 0, 0, 0, 0));
  #cells = new Int16Array(1024 * CELLS);
  #nodes = 0;
  readonly #choices: number[] = [];
  readonly #sizeRules: number[] = [];
  readonly #choiceByKey = new Map<string, number>();

  add(parsed: ParsedRow): void {
    createForms(
      parsed,
      (layout) => this.#layouts.push(layout),
      () => this.#layouts.length,
    );
    const { map, opcode, plusRegister } = parsed.opcode;
    for (let low = 0; low < (plusRegister ? 8 : 1); low++) {
      const key = map * 256 + opcode + low;
      const rows = this.#byOpcode.get(key);
      if (rows === undefined) this.#byOpcode.set(key, [parsed]);
      else rows.push(parsed);
    }
  }

  build(): OpcodeMaps {
    for (const [key, rows] of this.#byOpcode) this.#fillOpcode(key >> 8, key & 255, rows);
    return {
      slots: this.#slots,
      cells: this.#cells.slice(0, this.#nodes * CELLS),
      choices: Int16Array.from(this.#choices),
      sizeRules: Uint8Array.from(this.#sizeRules),
      layouts: this.#layouts,
      forms: this.#layouts.map((layout) => layout.form),
    };
  }

  #fillOpcode(map: number, opcode: number, rows: readonly ParsedRow[]): void {
    const fitting = rows.map(contextsOf);
    const seen: { context: number; node: number }[] = [];
    for (let context = 0; context < CONTEXTS; context++) {
      const isLike = (other: number) => fitting.every((mask) => (((mask >>> other) ^ (mask >>> context)) & 1) === 0);
      let node = seen.find((other) => isLike(other.context))?.node;
      if (node === undefined) {
        const here = rows.filter((_, at) => ((fitting[at]! >>> context) & 1) !== 0);
        node = here.length === 0 ? 0 : this.#buildNode(here);
        seen.push({ context, node });
      }
      this.#slots[slotIndex(context >> 4, map, opcode, (context >> 2) & 3, context & 3)] = node;
    }
  }

  #buildNode(rows: readonly ParsedRow[]): number {
    const first = rows[0]!;
    const { hasModrm } = first.opcode;
    for (const row of rows) {
      if (row.opcode.hasModrm !== hasModrm) {
        throw new Error(`${rowName(first)} and ${rowName(row)}: one has ModRM, the other not`);
      }
    }
    if (!hasModrm) return -(this.#choice(rows, first.takesMemory ? 1 : 0) + 1);
    const node = this.#nodes++;
    if (this.#cells.length === node * CELLS) {
      const larger = new Int16Array(2 * this.#cells.length);
      larger.set(this.#cells);
      this.#cells = larger;
    }
    // Cells between which no row makes a difference have one choice.
    const byDigit = rows.some((row) => row.opcode.digit >= 0);
    const byCell = rows.some((row) => row.opcode.fixedModrm >= 0);
    let choice = -1;
    for (let cell = 0; cell < CELLS; cell++) {
      const isNew = cell < 8 ? cell === 0 || byDigit : cell === 8 || byCell || (byDigit && (cell & 7) === 0);
      if (isNew) {
        const fitting = rows.filter((row) => coversCell(row, cell));
        choice = fitting.length === 0 ? -1 : this.#choice(fitting, cell < 8 ? 1 : 0);
      }
      this.#cells[node * CELLS + cell] = choice;
    }
    return node + 1;
  }

  /** The winning row for each operand size; equal claims are an error. */
  #choice(rows: readonly ParsedRow[], memory: 0 | 1): number {
    const ids: number[] = [];
    let rule: number | undefined;
    for (let sizeIndex = 0; sizeIndex < 3; sizeIndex++) {
      let best: ParsedRow | undefined;
      for (const row of rows) {
        if (row.layouts[sizeIndex * 2 + memory] === undefined) continue;
        if (best === undefined || rank(row) > rank(best)) best = row;
        else if (rank(row) === rank(best)) throw new Error(`${rowName(best)} and ${rowName(row)} overlap`);
      }
      ids.push(best?.layouts[sizeIndex * 2 + memory]?.form.id ?? -1);
      if (best === undefined) continue;
      if (rule !== undefined && rule !== sizeRule(best)) {
        throw new Error(`${rowName(best)}: the other rows of this opcode have another 64-bit operand size rule`);
      }
      rule = sizeRule(best);
    }
    const key = `${ids.join()}:${rule}`;
    let choice = this.#choiceByKey.get(key);
    if (choice === undefined) {
      choice = this.#sizeRules.length;
      this.#choiceByKey.set(key, choice);
      this.#choices.push(...ids);
      this.#sizeRules.push(rule ?? SizeRule.Normal);
    }
    return choice;
  }
}

function sizeRule(parsed: ParsedRow): number {
  const size64 = parsed.row.options.size64;
  return size64 === "force" ? SizeRule.Force64 : size64 === "default" ? SizeRule.Default64 : SizeRule.Normal;
}

/** In which of these a row is there, a bit each: mode * 16 + prefix * 4 + REX.W * 2 + REX.B. */
const CONTEXTS = 32;

function contextsOf({ opcode, row }: ParsedRow): number {
  const prefixes = PREFIXES[opcode.prefix];
  let mask = 0;
  for (let context = 0; context < CONTEXTS; context++) {
    if (row.options.mode === (context >> 4 === 1 ? "no64" : "only64")) continue;
    if (!prefixes.includes((context >> 2) & 3)) continue;
    if (opcode.rexW && (context & 2) === 0) continue;
    if (opcode.rexB && (context & 1) === 0) continue;
    mask |= 1 << context;
  }
  return mask;
}

/** A row that asks for more (REX bits, then a mandatory prefix, then a fixed ModRM byte) wins over a general one. */
function rank(parsed: ParsedRow): number {
  const { prefix, rexW, rexB, fixedModrm } = parsed.opcode;
  return (rexW ? 8 : 0) + (rexB ? 8 : 0) + (prefix === "any" || prefix === "NFx" ? 0 : 4) + (fixedModrm >= 0 ? 2 : 0);
}

function coversCell(parsed: ParsedRow, cell: number): boolean {
  const { digit, fixedModrm, plusIndex } = parsed.opcode;
  if (cell < 8) return parsed.takesMemory && (digit < 0 || digit === cell);
  if (!parsed.takesRegister) return false;
  const modrm = cell - 8;
  if (fixedModrm >= 0) return plusIndex ? modrm >> 3 === fixedModrm >> 3 : modrm === fixedModrm;
  return digit < 0 || digit === modrm >> 3;
}

// Sizes of memory as xl's mem-set and mem-max take them: MiB unless a letter says b, k, m, g or t.

import { CliError } from "./cli-error.js";
import { ExitCode } from "./exit-codes.js";

export const memoryOperand = {
  name: "Mem",
  description: "MiB, or with a letter: b, k, m, g, t",
  required: true,
} as const;

const UNITS: Readonly<Record<string, number>> = { b: 1, k: 2 ** 10, "": 2 ** 20, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };
const MAX = 2 ** 44;

/** Bytes. @throws CliError */
export function parseMemory(text: string): number {
  const [, digits, unit] = /^(\d{1,15})([bkmgt]?)$/i.exec(text) ?? [];
  const bytes = digits === undefined ? Number.NaN : Number(digits) * UNITS[unit!.toLowerCase()]!;
  if (bytes > 0 && bytes <= MAX) return bytes;
  throw new CliError(ExitCode.Failed, `invalid memory size: ${text}`, { isPlain: true });
}

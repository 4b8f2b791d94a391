// Reads the values of keys as the types that they should have. Every complaint names file, line and key.

import { ConfigError } from "./config-error.js";
import { shorten } from "./xl-lexer.js";
import type { XlAssignment, XlAtom, XlValue } from "./xl-syntax.js";

/** An atom of a list with its place. */
export interface PlacedText {
  readonly text: string;
  readonly line: number;
}

export class XlValues {
  readonly #assignments: ReadonlyMap<string, XlAssignment>;
  readonly #file: string;

  constructor(assignments: ReadonlyMap<string, XlAssignment>, file: string) {
    this.#assignments = assignments;
    this.#file = file;
  }

  has(key: string): boolean {
    return this.#assignments.has(key);
  }

  /** @throws ConfigError that names the key, and the line where it is set */
  fail(key: string, message: string, line?: number): never {
    const assignment = this.#assignments.get(key);
    const place = { file: assignment?.file ?? this.#file, line: line ?? assignment?.line ?? 0, key };
    throw new ConfigError(place, message);
  }

  #atom(key: string): XlAtom | undefined {
    const value = this.#assignments.get(key)?.value;
    if (value?.kind === "list") return this.fail(key, "must be a single value, not a list");
    return value;
  }

  /** An empty string counts as one that isn't there. */
  string(key: string): string | undefined {
    const text = this.#atom(key)?.text;
    if (text?.includes("\0")) return this.fail(key, "holds a NUL character");
    return text === "" ? undefined : text;
  }

  choice<T extends string>(key: string, choices: readonly T[]): T | undefined {
    const text = this.string(key);
    if (text === undefined) return undefined;
    return (
      choices.find((choice) => choice === text) ?? this.fail(key, `${shorten(text)} is none of ${choices.join(", ")}`)
    );
  }

  /** A whole number, decimal, 0x… or 0…. */
  number(key: string, min: number, max: number): number | undefined {
    const text = this.#atom(key)?.text;
    if (text === undefined) return undefined;
    const value = parseNumber(text);
    if (value === undefined) return this.fail(key, `${shorten(text)} isn't a number`);
    if (value < min || value > max) return this.fail(key, `${text} isn't between ${min} and ${max}`);
    return value;
  }

  /** A list of atoms; a single atom counts as a list of one, an empty one of none. */
  list(key: string): PlacedText[] {
    const value: XlValue | undefined = this.#assignments.get(key)?.value;
    if (!value) return [];
    if (value.kind === "atom") return value.text === "" ? [] : [{ text: value.text, line: value.line }];
    return value.items.map((item) =>
      item.kind === "atom"
        ? { text: item.text, line: item.line }
        : this.fail(key, "must be a list of strings, not of lists", item.line),
    );
  }

  isList(key: string): boolean {
    return this.#assignments.get(key)?.value.kind === "list";
  }

  /** Set to something that means "on": not to 0, an empty string or an empty list. */
  isOn(key: string): boolean {
    const value = this.#assignments.get(key)?.value;
    if (!value) return false;
    if (value.kind === "list") return value.items.length > 0;
    return value.text !== "" && parseNumber(value.text) !== 0 && !/^(none|false|no|off|disabled)$/i.test(value.text);
  }
}

/** As strtoul with base 0 reads it; undefined: it isn't a number, or too large to be exact. */
export function parseNumber(text: string): number | undefined {
  const trimmed = text.trim();
  const value = /^0[xX][0-9a-fA-F]+$/.test(trimmed)
    ? Number.parseInt(trimmed.slice(2), 16)
    : /^0[0-7]*$/.test(trimmed)
      ? Number.parseInt(trimmed, 8)
      : /^[1-9]\d*$/.test(trimmed)
        ? Number(trimmed)
        : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}

// Assignments as text that parses to the same again.

import type { XlAssignment, XlValue } from "./xl-syntax.js";

const NAMED: Readonly<Record<string, string>> = {
  ...{ "\x07": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v" },
  ...{ "\\": "\\\\", '"': '\\"' },
};

/** A string in the quotes that xl.cfg wants. */
export function quote(text: string): string {
  return `"${Array.from(text, (character) => NAMED[character] ?? character).join("")}"`;
}

export function printValue(value: XlValue): string {
  if (value.kind === "list") return `[${value.items.map(printValue).join(", ")}]`;
  return value.isQuoted ? quote(value.text) : value.text;
}

export function printXlSyntax(assignments: readonly XlAssignment[]): string {
  return assignments.map(({ key, operator, value }) => `${key} ${operator} ${printValue(value)}\n`).join("");
}

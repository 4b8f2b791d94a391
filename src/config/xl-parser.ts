// The grammar of xl.cfg(5): assignments ended by newlines or semicolons; a value is an atom or a list, and lists may hold newlines,
// further lists and a last comma. It accepts what libxlutil 4.17 accepts.

import { ConfigError } from "./config-error.js";
import { shorten, type Token, type TokenKind, tokenize } from "./xl-lexer.js";
import type { XlAssignment, XlValue } from "./xl-syntax.js";

/** Lists in lists in lists: deeper ones are a mistake, or an attack. */
const MAX_DEPTH = 32;

/** @param file its name, for messages. @throws ConfigError */
export function parseXlSyntax(text: string, file: string): XlAssignment[] {
  const tokens = tokenize(text, file);
  let at = 0;
  const peek = (): Token => tokens[at]!;
  const next = (): Token => tokens[at++]!;
  const skipNewlines = () => {
    while (peek().kind === "newline") at++;
  };
  const fail = (expected: string, key?: string): never => {
    const { kind, text: word, line } = peek();
    const found = kind === "end" ? "the end of the file" : kind === "newline" ? "the end of the line" : shorten(word);
    throw new ConfigError(
      { file, line, ...(key === undefined ? {} : { key }) },
      `expected ${expected}, found ${found}`,
    );
  };

  const list = (key: string, depth: number, line: number): XlValue => {
    if (depth > MAX_DEPTH) throw new ConfigError({ file, line, key }, `lists are nested more than ${MAX_DEPTH} deep`);
    const items: XlValue[] = [];
    skipNewlines();
    while (peek().kind !== "]") {
      items.push(value(key, depth));
      skipNewlines();
      if (peek().kind === ",") next();
      else if (peek().kind !== "]") fail("`,' or `]'", key);
      skipNewlines();
    }
    next();
    return { kind: "list", items, line };
  };

  const value = (key: string, depth: number): XlValue => {
    const { kind, text: word, line } = peek();
    if (kind === "[") {
      next();
      return list(key, depth + 1, line);
    }
    if (kind !== "string" && kind !== "number") return fail("a string in quotes, a number or a list", key);
    next();
    return { kind: "atom", text: word, isQuoted: kind === "string", line };
  };

  const assignments: XlAssignment[] = [];
  const isEnd = (kind: TokenKind) => kind === "newline" || kind === ";" || kind === "end";
  while (peek().kind !== "end") {
    if (isEnd(peek().kind)) {
      next();
      continue;
    }
    if (peek().kind !== "identifier") fail("a key");
    const { text: key, line } = next();
    const operator = peek().kind;
    if (operator !== "=" && operator !== "+=") return fail("`=' or `+='", key);
    next();
    assignments.push({ key, operator, value: value(key, 0), file, line });
    if (!isEnd(peek().kind)) fail("the end of the line or `;'", key);
  }
  return assignments;
}

/** What each key stands for in the end: later assignments replace earlier ones, `+=` joins them. @throws ConfigError */
export function mergeAssignments(assignments: readonly XlAssignment[]): Map<string, XlAssignment> {
  const merged = new Map<string, XlAssignment>();
  for (const assignment of assignments) {
    const { key, operator, value, file, line } = assignment;
    const old = operator === "+=" ? merged.get(key) : undefined;
    merged.delete(key);
    if (!old) merged.set(key, assignment);
    else if (old.value.kind === "list" && value.kind === "list")
      merged.set(key, { ...assignment, value: { ...value, items: [...old.value.items, ...value.items] } });
    else if (old.value.kind === "atom" && value.kind === "atom")
      merged.set(key, { ...assignment, value: { ...value, text: old.value.text + value.text, isQuoted: true } });
    else throw new ConfigError({ file, line, key }, "a list and a single value can't be added");
  }
  return merged;
}

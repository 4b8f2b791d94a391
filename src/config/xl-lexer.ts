// Words of xl.cfg(5), as libxlutil 4.17 cuts them: identifiers of small letters, digits and _; numbers; strings in either quotes
// on one line; newlines count. A carriage return before a newline is taken as white space.

import { ConfigError } from "./config-error.js";

export type TokenKind = "identifier" | "number" | "string" | "newline" | "end" | "=" | "+=" | "[" | "]" | "," | ";";

export interface Token {
  readonly kind: TokenKind;
  /** The word as written; of a string, what it stands for. */
  readonly text: string;
  readonly line: number;
}

const WORD =
  /([ \t\r\f]+|#[^\n]*)|(\n)|([a-z][_0-9a-z]*)|([0-9][0-9a-fx]*)|("(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')|(\+=|[=[\],;])/y;
const ESCAPE = /\\(x[0-9A-Fa-f]{2}|[0-7]{3}|[\s\S])/g;
const SIMPLE: Readonly<Record<string, string>> = {
  ...{ a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" },
  ...{ "\\": "\\", '"': '"', "'": "'" },
};
/** What only a Python program would hold: the first xm evaluated its files. */
const PYTHON = /^(?:(?:def|import|if|for|from|else|return|raise|print)\b|[({]|-\d)/;

/** @throws ConfigError */
export function tokenize(text: string, file: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  let at = 0;
  while (at < text.length) {
    WORD.lastIndex = at;
    const match = WORD.exec(text);
    if (!match) throw new ConfigError({ file, line }, unreadable(text.slice(at).split("\n", 1)[0]!));
    const [word, space, newline, identifier, number, quoted] = match;
    at += word.length;
    if (space !== undefined) continue;
    if (newline !== undefined) tokens.push({ kind: "newline", text: "\n", line: line++ });
    else if (identifier !== undefined) tokens.push({ kind: "identifier", text: identifier, line });
    else if (number !== undefined) tokens.push({ kind: "number", text: number, line });
    else if (quoted !== undefined) tokens.push({ kind: "string", text: stringOf(quoted, file, line), line });
    else tokens.push({ kind: word as TokenKind, text: word, line });
  }
  tokens.push({ kind: "end", text: "", line });
  return tokens;
}

function unreadable(rest: string): string {
  const start = shorten(rest);
  if (/^["']/.test(rest)) return `the string ${start} doesn't end on its line`;
  if (PYTHON.test(rest)) return `${start} looks like Python, which isn't run; write plain values`;
  if (/^[A-Z_]/.test(rest)) return `${start}: keys are written in small letters`;
  return `unexpected ${start}`;
}

/** A piece of the file in a message. */
export function shorten(text: string): string {
  const visible = JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
  return `\`${visible.slice(1, -1).replaceAll('\\"', '"')}'`;
}

function stringOf(quoted: string, file: string, line: number): string {
  return quoted.slice(1, -1).replace(ESCAPE, (whole, code: string) => {
    if (code.length === 3) {
      const value = code.startsWith("x") ? Number.parseInt(code.slice(1), 16) : Number.parseInt(code, 8);
      if (value > 0 && value < 256) return String.fromCharCode(value);
    }
    const simple = code.length === 1 && Object.hasOwn(SIMPLE, code) ? SIMPLE[code] : undefined;
    if (simple === undefined) throw new ConfigError({ file, line }, `unknown escape ${shorten(whole)} in a string`);
    return simple;
  });
}

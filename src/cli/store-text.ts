// How values of the XenStore are shown and typed, as Debian's xenstore-* tools do it: what isn't printable is escaped.

const ESCAPES: Readonly<Record<number, string>> = { 9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\" };

export function escapeValue(bytes: Uint8Array): string {
  const character = (byte: number) => {
    const named = ESCAPES[byte];
    if (named !== undefined) return named;
    if (byte < 8) return `\\${byte.toString(8).padStart(3, "0")}`;
    if (byte < 32 || byte > 126) return `\\x${byte.toString(16).padStart(2, "0")}`;
    return String.fromCharCode(byte);
  };
  return Array.from(bytes, character).join("");
}

/** The bytes that a typed value stands for: UTF-8, with \t \n \r \\ \xHH and \OOO. */
export function unescapeValue(text: string): Uint8Array {
  const named: Readonly<Record<string, number>> = { t: 9, n: 10, r: 13, "\\": 92 };
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const match of text.matchAll(/\\(?:([tnr\\])|x([0-9a-fA-F]{1,2})|([0-3]?[0-7]{1,2}))/g)) {
    parts.push(Buffer.from(text.slice(at, match.index)));
    const [whole, name, hex, octal] = match;
    parts.push(Uint8Array.of(name ? named[name]! : hex ? Number.parseInt(hex, 16) : Number.parseInt(octal!, 8)));
    at = match.index + whole.length;
  }
  parts.push(Buffer.from(text.slice(at)));
  return Buffer.concat(parts);
}

export interface StoreLine {
  readonly path: string;
  readonly depth: number;
  readonly value: Uint8Array;
  readonly permissions: readonly string[] | undefined;
}

/** Column up to which dots lead to the permissions. */
const DOTS_END = 60;

/** A line of `xenstore ls`. @param width columns, when longer values are to be cut */
export function formatLine(line: StoreLine, isFull: boolean, width: number | undefined): string {
  const name = isFull ? line.path : " ".repeat(line.depth) + line.path.slice(line.path.lastIndexOf("/") + 1);
  const value = escapeValue(line.value);
  let text = `${name} = "${value}"`;
  if (width !== undefined && !isFull && text.length > width) text = `${text.slice(0, Math.max(width - 5, 8))}\\..."`;
  if (!line.permissions) return text;
  text += " ";
  while (!isFull && text.length < DOTS_END) text += text.length % 2 === 1 ? "." : " ";
  return `${text}  (${line.permissions.join(",")})`;
}

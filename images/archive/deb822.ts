// The stanza format of Debian's control files (deb822(5)): "Field: value" lines, continued by lines that begin with a space;
// stanzas are parted by blank lines. Field names are compared without regard to case.
import { ImageError } from "../image-error.js";

/** One stanza: field names in lower case. Values keep their inner line ends; each continuation line loses its first space. */
export type Stanza = ReadonlyMap<string, string>;

/** All stanzas of `text`. Throws ImageError "bad-index" on a line that is neither a field nor a continuation. */
export function parseStanzas(text: string): Stanza[] {
  return text
    .split(/\n(?:[ \t]*\n)+/)
    .filter((part) => part.trim() !== "")
    .map(parseStanza);
}

/** Parses one stanza. */
export function parseStanza(text: string): Stanza {
  const fields = new Map<string, string>();
  let name: string | undefined;
  for (const line of text.split("\n")) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    if (line.startsWith(" ") || line.startsWith("\t")) {
      if (name === undefined) throw new ImageError("bad-index", "A control file begins with a continuation line.");
      fields.set(name, `${fields.get(name)}\n${line.slice(1)}`);
      continue;
    }
    const colon = line.indexOf(":");
    if (colon <= 0)
      throw new ImageError("bad-index", `A control file has a line that is not a field: ${line.slice(0, 60)}`);
    name = line.slice(0, colon).toLowerCase();
    if (fields.has(name)) throw new ImageError("bad-index", `A control file gives the field ${name} twice.`);
    fields.set(name, line.slice(colon + 1).trim());
  }
  return fields;
}

/** The value of a field that must be there. */
export function requireField(stanza: Stanza, name: string, where: string): string {
  const value = stanza.get(name.toLowerCase());
  if (value === undefined || value === "") throw new ImageError("bad-index", `${where} has no field ${name}.`);
  return value;
}

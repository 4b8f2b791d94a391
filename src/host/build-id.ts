// A name for the code that is running: what it compiled is of use to the very same code only.

import { createHash } from "node:crypto";
import { readdirSync, statSync } from "node:fs";

/** Of the files of a folder, and those below it, by name, size and time. */
function filesBelow(directory: URL): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.[jt]s$/.test(name))
    .sort()
    .map((name) => {
      const { size, mtimeMs } = statSync(new URL(name, directory));
      return `${name} ${size} ${mtimeMs}`;
    });
}

/** @throws errors of the file system. */
export function buildId(): string {
  // A bundle has everything in one folder; else this file's folder is one of several.
  const here = new URL(".", import.meta.url);
  const isBundle = !import.meta.url.includes("/host/build-id.");
  const files = filesBelow(isBundle ? here : new URL("../cpu/", here));
  return createHash("sha256").update(files.join("\n")).digest("hex").slice(0, 16);
}

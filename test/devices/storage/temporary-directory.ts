// A directory that is removed after the tests of a file.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** Gives fresh path names below a new directory. */
export function temporaryPaths(): (suffix: string) => string {
  const directory = mkdtempSync(join(tmpdir(), "xen-ts-storage-"));
  let count = 0;
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  return (suffix) => join(directory, `${count++}${suffix}`);
}

// Files of the cache, written so that no reader ever sees half of one: into a temporary file beside the target, then renamed. Two
// processes may do the same work at the same time; the last one wins, with the same content.
import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ImageError } from "../image-error.js";

const TEMPORARY = ".tmp-";
const STALE_MS = 24 * 3600 * 1000;

/** A new name for a temporary file or directory in `directory`. */
export function temporaryName(directory: string): string {
  return join(directory, `${TEMPORARY}${process.pid}-${randomBytes(6).toString("hex")}`);
}

/** Writes `path` in one step, making its directory. Throws ImageError "disk-full" or "cache"; leaves nothing behind then. */
export async function writeAtomically(path: string, data: Uint8Array | string): Promise<void> {
  const temporary = temporaryName(dirname(path));
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(temporary, "wx");
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw cacheError(error, path);
  }
}

/** The file's bytes, or undefined when it does not exist. Throws ImageError "cache" when it can't be read. */
export async function readIfPresent(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw cacheError(error, path);
  }
}

/** Names in a directory, temporary ones left out; none when it does not exist. */
export async function listDirectory(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).filter((name) => !name.startsWith(TEMPORARY)).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw cacheError(error, directory);
  }
}

/** Removes what builds that died have left in `directory`. Never throws: it is housekeeping. */
export async function removeStaleTemporaries(directory: string, now: number): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names.filter((name) => name.startsWith(TEMPORARY))) {
    const path = join(directory, name);
    const age = await stat(path).then(
      (info) => now - info.mtimeMs,
      () => 0,
    );
    if (age > STALE_MS) await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** node's file system error as an ImageError; an ImageError passes through. */
export function cacheError(error: unknown, path: string): ImageError {
  if (error instanceof ImageError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new ImageError("disk-full", `There is no space left on the disk to write ${path}.`, { cause: error });
  }
  return new ImageError("cache", `The cache file ${path} can't be used: ${code ?? message}.`, { cause: error });
}

function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "ENOENT" || code === "ENOTDIR";
}

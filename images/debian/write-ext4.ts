// An ext4 file system with a tree in it, by mke2fs -d and debugfs of e2fsprogs: neither needs root. The tree is laid out in a directory
// first; owners that its files can't have there are set in the image.
import { spawn } from "node:child_process";
import { chmod, mkdir, open, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { cacheError } from "../cache/files.js";
import { ImageError } from "../image-error.js";
import type { TreeEntry } from "../package/deb-tree.js";

export interface Ext4Options {
  /** Of the image, bytes; its file is sparse. */
  readonly size: number;
  /** Seconds since 1970, for the file system's own times. */
  readonly time: number;
  readonly signal: AbortSignal | undefined;
}

/** @param path the image's file, made anew. Throws ImageError: "tool-missing", "disk-full", "cache", "aborted" */
export async function writeExt4(path: string, entries: readonly TreeEntry[], options: Ext4Options): Promise<void> {
  const directory = `${path}.tree`;
  try {
    await mkdir(directory, { mode: 0o755 });
    await layOut(directory, entries);
    const file = await open(path, "w");
    await file.truncate(options.size).finally(() => file.close());
    const words = ["-q", "-F", "-t", "ext4", "-L", "xen-ts", "-m", "1", "-E", "root_owner=0:0", "-d", directory, path];
    await run("mke2fs", words, "", options);
    const owners = entries.filter(({ uid, gid }) => uid !== process.getuid?.() || gid !== process.getgid?.());
    if (owners.length > 0) await run("debugfs", ["-w", "-f", "-", path], owners.map(setOwner).join(""), options);
  } catch (error) {
    await rm(path, { force: true });
    throw error instanceof ImageError ? error : cacheError(error, path);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function setOwner({ path, uid, gid }: TreeEntry): string {
  const quoted = `"/${path.replaceAll('"', '""')}"`;
  return `set_inode_field ${quoted} uid ${uid}\nset_inode_field ${quoted} gid ${gid}\n`;
}

/** Files first get their contents, directories their modes last: some of them are not for writing. */
async function layOut(root: string, entries: readonly TreeEntry[]): Promise<void> {
  for (const { path, kind, mode, data, target } of entries) {
    const place = join(root, path);
    if (kind === "directory") await mkdir(place, { recursive: true });
    else if (kind === "symlink") await symlink(target, place);
    else {
      await mkdir(dirname(place), { recursive: true });
      await writeFile(place, data, { flag: "wx" });
      await chmod(place, mode);
    }
  }
  for (const { path, kind, mode } of [...entries].reverse())
    if (kind === "directory") await chmod(join(root, path), mode);
}

function run(tool: string, words: readonly string[], input: string, { time, signal }: Ext4Options): Promise<void> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, E2FSPROGS_FAKE_TIME: String(time) };
    const child = spawn(tool, words, { env, stdio: ["pipe", "ignore", "pipe"], ...(signal ? { signal } : {}) });
    let errors = "";
    child.stderr.on("data", (text) => {
      errors += text;
    });
    child.on("error", (error: NodeJS.ErrnoException) => {
      const isMissing = error.code === "ENOENT";
      const missing = `${tool} is not there: a disk image needs e2fsprogs (apt-get install e2fsprogs).`;
      if (signal?.aborted) reject(new ImageError("aborted", "The build of the image was stopped."));
      else
        reject(
          new ImageError(isMissing ? "tool-missing" : "cache", isMissing ? missing : `${tool}: ${error.message}.`),
        );
    });
    child.on("close", (code) => {
      if (code === 0) resolve();
      else reject(new ImageError("cache", `${tool} failed: ${errors.trim().split("\n").slice(-1)[0] ?? code}.`));
    });
    child.stdin.on("error", () => undefined).end(input);
  });
}

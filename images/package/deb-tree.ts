// A whole binary package (deb(5)): every object of its file tree, with modes and owners, and its control files.
import { extract } from "tar-stream";
import { ImageError } from "../image-error.js";
import { type UnpackOptions, unpackMember } from "./deb.js";

/** Paths have no leading slash. `mode` holds permission bits, set-id bits too. */
export interface TreeEntry {
  readonly path: string;
  readonly kind: "file" | "directory" | "symlink";
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of files; a hard link's is that of the file it links to. */
  readonly data: Uint8Array;
  /** Of symbolic links. */
  readonly target: string;
}

export interface DebTree {
  readonly entries: readonly TreeEntry[];
  /** control, conffiles, md5sums, postinst, … */
  readonly control: ReadonlyMap<string, TreeEntry>;
}

/** Throws ImageError "bad-package" or "aborted"; `where` names the package in errors. */
export async function readDebTree(deb: Uint8Array, where: string, options: UnpackOptions = {}): Promise<DebTree> {
  const entries = await readTree(await unpackMember(deb, "data.tar", where, options), where);
  const control = await readTree(await unpackMember(deb, "control.tar", where, {}), where);
  return { entries, control: new Map(control.map((entry) => [entry.path, entry])) };
}

async function readTree(tar: Uint8Array, where: string): Promise<TreeEntry[]> {
  const entries: TreeEntry[] = [];
  const byPath = new Map<string, TreeEntry>();
  const reader = extract();
  const finished = (async () => {
    for await (const entry of reader) {
      const { name, type, mode = 0o644, uid = 0, gid = 0, linkname } = entry.header;
      const chunks: Buffer[] = [];
      for await (const chunk of entry as AsyncIterable<Buffer>) chunks.push(chunk);
      const path = cleanPath(name, where);
      if (path === "") continue;
      const common = { path, mode: mode & 0o7777, uid, gid, target: "", data: new Uint8Array(0) };
      let made: TreeEntry;
      if (type === "file" || type === "contiguous-file")
        made = { ...common, kind: "file", data: Buffer.concat(chunks) };
      else if (type === "directory") made = { ...common, kind: "directory" };
      else if (type === "symlink") made = { ...common, kind: "symlink", target: linkname ?? "" };
      else if (type === "link") {
        const target = byPath.get(cleanPath(linkname ?? "", where));
        if (!target) throw new ImageError("bad-package", `${where} links ${path} to what it doesn't hold.`);
        made = { ...target, path };
      } else throw new ImageError("bad-package", `${where} holds ${path}, a ${type}.`);
      entries.push(made);
      byPath.set(path, made);
    }
  })();
  reader.end(Buffer.from(tar.buffer, tar.byteOffset, tar.byteLength));
  try {
    await finished;
  } catch (error) {
    if (error instanceof ImageError) throw error;
    throw new ImageError("bad-package", `A tar archive in ${where} is damaged.`, { cause: error });
  }
  return entries;
}

function cleanPath(name: string, where: string): string {
  const path = name.replace(/^(\.?\/)+/, "").replace(/\/+$/, "");
  if (path === "." || path === "") return "";
  if (path.split("/").some((part) => part === "" || part === "." || part === "..") || path.includes("\0"))
    throw new ImageError("bad-package", `${where} holds the path ${JSON.stringify(name)}.`);
  return path;
}

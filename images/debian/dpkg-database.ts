// dpkg's database (/var/lib/dpkg) for packages that were unpacked here and count as installed: the status file, and for each package
// its list of files and its control files. apt and dpkg in the guest go on from there.
import { createHash } from "node:crypto";
import { ImageError } from "../image-error.js";
import type { DebTree, TreeEntry } from "../package/deb-tree.js";

/** The files of /var/lib/dpkg, by path from the root. */
export function dpkgDatabase(packages: ReadonlyMap<string, DebTree>): Map<string, { text: string; mode: number }> {
  const files = new Map<string, { text: string; mode: number }>();
  const add = (path: string, text: string, mode = 0o644) => files.set(`var/lib/dpkg/${path}`, { text, mode });
  const status: string[] = [];
  for (const [name, tree] of packages) {
    const control = textOf(tree.control.get("control"));
    if (control === undefined) throw new ImageError("bad-package", `The package ${name} has no control file.`);
    const isMultiArch = /^Multi-Arch: same$/im.test(control);
    const architecture = /^Architecture: (\S+)$/m.exec(control)?.[1] ?? "amd64";
    const stem = `info/${isMultiArch ? `${name}:${architecture}` : name}`;
    status.push(stanza(control, conffiles(tree)));
    add(`${stem}.list`, `/.\n${tree.entries.map(({ path }) => `/${path}\n`).join("")}`);
    for (const [file, entry] of tree.control)
      if (file !== "control") add(`${stem}.${file}`, textOf(entry) ?? "", entry.mode);
  }
  add("status", status.join("\n"));
  add("available", "");
  add("arch", "amd64\n");
  add("info/format", "1\n");
  return files;
}

function textOf(entry: TreeEntry | undefined): string | undefined {
  return entry && Buffer.from(entry.data).toString("utf8");
}

/** The package's own fields, with its state after the first. */
function stanza(control: string, conffileLines: readonly string[]): string {
  const lines = control.trimEnd().split("\n");
  lines.splice(1, 0, "Status: install ok installed");
  if (conffileLines.length > 0) lines.push("Conffiles:", ...conffileLines);
  return `${lines.join("\n")}\n`;
}

function conffiles(tree: DebTree): string[] {
  const names = (textOf(tree.control.get("conffiles")) ?? "").split("\n").filter((name) => name.startsWith("/"));
  return names.flatMap((name) => {
    const file = tree.entries.find(({ path }) => `/${path}` === name);
    return file ? [` ${name} ${createHash("md5").update(file.data).digest("hex")}`] : [];
  });
}

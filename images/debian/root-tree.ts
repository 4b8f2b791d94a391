// The file tree of the Debian image: the packages' files in the merged-/usr layout, what their maintainer scripts would have made of
// them, dpkg's database, and our own files. Pure: nothing of a package is run.
import { ImageError } from "../image-error.js";
import type { DebTree, TreeEntry } from "../package/deb-tree.js";
import type { SuiteName } from "../suites.js";
import { dpkgDatabase } from "./dpkg-database.js";
import { rootFiles } from "./root-files.js";

const MERGED = /^(bin|sbin|lib|lib64)(\/|$)/;
/** As dpkg is told in the image, so that a package that is installed again is no larger. */
const LEFT_OUT = /^usr\/share\/(man|locale|info|lintian)\/.|^usr\/share\/doc\/[^/]+\/(?!copyright$)./;
const EMPTY = new Uint8Array(0);

/** By path; parents come before what they hold. */
export function rootTree(
  packages: ReadonlyMap<string, DebTree>,
  suite: SuiteName,
  boot: readonly TreeEntry[],
): TreeEntry[] {
  const tree = new Map<string, TreeEntry>();
  const put = (entry: TreeEntry) => tree.set(entry.path, entry);
  const file = (path: string, data: string | Uint8Array, mode = 0o644, gid = 0) =>
    put({ path, kind: "file", mode, uid: 0, gid, target: "", data: Buffer.from(data) });
  const link = (path: string, target: string) =>
    put({ path, kind: "symlink", mode: 0o777, uid: 0, gid: 0, target, data: EMPTY });
  const textOf = (path: string) => {
    const entry = tree.get(path);
    if (entry?.kind !== "file") throw new ImageError("bad-package", `No package holds ${path}.`);
    return Buffer.from(entry.data).toString("utf8");
  };

  for (const { entries } of packages.values())
    for (const entry of entries) {
      const path = entry.path.replace(MERGED, "usr/$1$2");
      const old = tree.get(path);
      if (
        LEFT_OUT.test(path) ||
        (old && entry.kind === "directory") ||
        (MERGED.test(entry.path) && !entry.path.includes("/"))
      )
        continue;
      put({ ...entry, path });
    }
  for (const name of ["bin", "sbin", "lib", "lib64"]) link(name, `usr/${name}`);

  // base-passwd, base-files, libc-bin, dash, mawk, apt, login: what their postinst does.
  const users = `${textOf("usr/share/base-passwd/passwd.master").replaceAll(/^([^:]+):\*:/gm, "$1:x:")}_apt:x:42:65534::/nonexistent:/usr/sbin/nologin\n`;
  file("etc/passwd", users);
  file("etc/group", textOf("usr/share/base-passwd/group.master"));
  const days = 19_700;
  file("etc/shadow", users.replaceAll(/^([^:]+):.*$/gm, `$1:*:${days}:0:99999:7:::`), 0o640, 42);
  file("etc/gshadow", textOf("etc/group").replaceAll(/^([^:]+):.*$/gm, "$1:*::"), 0o640, 42);
  for (const [target, source] of [
    ["etc/profile", "usr/share/base-files/profile"],
    ["root/.profile", "usr/share/base-files/dot.profile"],
    ["root/.bashrc", "usr/share/base-files/dot.bashrc"],
    ["etc/nsswitch.conf", "usr/share/libc-bin/nsswitch.conf"],
  ] as const)
    if (tree.has(source)) file(target, textOf(source));
  link("usr/bin/sh", "dash");
  link("etc/alternatives/awk", "/usr/bin/mawk");
  link("usr/bin/awk", "/etc/alternatives/awk");
  for (const name of ["init", "poweroff", "reboot", "halt"]) link(`usr/sbin/${name}`, "../bin/busybox");
  link("var/run", "/run");
  link("var/lock", "/run/lock");
  link("etc/mtab", "../proc/self/mounts");

  for (const { path, text, mode } of rootFiles(suite)) file(path, text, mode);
  for (const [path, { text, mode }] of dpkgDatabase(packages)) file(path, text, mode);
  for (const entry of boot) put(entry);
  for (const path of [
    "dev",
    "mnt",
    "proc",
    "run",
    "sys",
    "tmp",
    "var/tmp",
    "var/lib/dpkg/updates",
    "var/lib/dpkg/triggers",
  ])
    if (!tree.has(path)) put(directory(path));
  return withParents(tree);
}

function directory(path: string): TreeEntry {
  const mode = path.endsWith("tmp") ? 0o1777 : path === "root" ? 0o700 : 0o755;
  return { path, kind: "directory", mode, uid: 0, gid: 0, target: "", data: EMPTY };
}

function withParents(tree: ReadonlyMap<string, TreeEntry>): TreeEntry[] {
  const all = new Map(tree);
  for (const path of tree.keys())
    for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1))
      if (!all.has(path.slice(0, at))) all.set(path.slice(0, at), directory(path.slice(0, at)));
  return [...all.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

// The parts of the Debian disk image: which packages, their whole file trees, dpkg's database, and the ext4 file system.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, test } from "vitest";
import type { FoundPackage } from "../../images/archive/debian-archive.js";
import { PackageIndex } from "../../images/archive/package-index.js";
import { dpkgDatabase } from "../../images/debian/dpkg-database.js";
import { packageClosure } from "../../images/debian/package-closure.js";
import { rootTree } from "../../images/debian/root-tree.js";
import { writeExt4 } from "../../images/debian/write-ext4.js";
import { type DebTree, readDebTree, type TreeEntry } from "../../images/package/deb-tree.js";
import { temporaryPaths } from "../devices/storage/temporary-directory.js";
import { makeWholeDeb, type TarHeader } from "./support/deb-maker.js";

const fresh = temporaryPaths();

function entry(path: string, text: string, more: Partial<TreeEntry> = {}): TreeEntry {
  return { path, kind: "file", mode: 0o644, uid: 0, gid: 0, target: "", data: Buffer.from(text), ...more };
}

function tree(control: string, ...entries: TreeEntry[]): DebTree {
  return { entries, control: new Map([["control", entry("control", control)]]) };
}

describe("choosing packages", () => {
  const stanza = (name: string, depends = "", more = "") =>
    `Package: ${name}\nVersion: 1\n${more}Architecture: amd64\n${depends ? `Depends: ${depends}\n` : ""}Filename: p/${name}.deb\nSize: 1\nSHA256: ${"0".repeat(64)}\n`;
  const essential = "Essential: yes\n";
  const names = [
    "apt",
    "debian-archive-keyring",
    "iproute2",
    "netbase",
    "e2fsprogs",
    "mount",
    "kmod",
    "passwd",
    "login",
  ];

  function archive(...stanzas: string[]) {
    const text = [...stanzas, ...[...names, "busybox-static"].map((name) => stanza(name))].join("\n");
    const index = new PackageIndex(Buffer.from(text), "test");
    return {
      essential: () => index.essential(),
      has: (name: string) => index.find(name).length > 0,
      find: (name: string): FoundPackage => {
        const [record] = index.find(name);
        if (!record) throw new Error(`no ${name}`);
        return { ...record, base: "" };
      },
    };
  }

  test("the essential ones and all that they need, first alternatives, less for much", () => {
    const chosen = packageClosure(
      archive(
        stanza("bash", "libc6 (>= 2.36), awk, usrmerge | usr-is-merged", essential),
        stanza("libc6", "libgcc-s1 | libgcc"),
        ...[stanza("libgcc-s1", "libc6"), stanza("mawk"), stanza("usr-is-merged"), stanza("usrmerge", "perl")],
        stanza("emacs", "bash"),
      ),
    );
    expect(chosen.map(({ name }) => name)).toEqual(
      [...names, "bash", "busybox-static", "libc6", "libgcc-s1", "mawk", "usr-is-merged"].sort(),
    );
  });

  test("one that isn't there is named", () => {
    expect(() => packageClosure(archive(stanza("bash", "gone", essential)))).toThrow("no gone");
  });
});

describe("a package's whole tree", () => {
  test("files, modes, owners, links, control files", async () => {
    const made = await makeWholeDeb(
      [
        [{ name: "./", type: "directory", mode: 0o755 }],
        [{ name: "./usr/bin/", type: "directory", mode: 0o755 }],
        [{ name: "./usr/bin/su", mode: 0o4755, uid: 0, gid: 42 }, "su"],
        [{ name: "./usr/bin/sg", type: "link", linkname: "./usr/bin/su" }],
        [{ name: "./bin", type: "symlink", linkname: "usr/bin" }],
      ],
      { control: "Package: p\n", postinst: "exit 0" },
    );
    const { entries, control } = await readDebTree(made, "p");
    expect(
      entries.map(({ path, kind, mode, gid, target, data }) => [path, kind, mode, gid, target, String(data)]),
    ).toEqual([
      ["usr/bin", "directory", 0o755, 0, "", ""],
      ["usr/bin/su", "file", 0o4755, 42, "", "su"],
      ["usr/bin/sg", "file", 0o4755, 42, "", "su"],
      ["bin", "symlink", expect.any(Number), 0, "usr/bin", ""],
    ]);
    expect([...control.keys()]).toEqual(["control", "postinst"]);
  });

  test.each<[string, TarHeader]>([
    ["../etc/passwd", { name: "../etc/passwd" }],
    ["a/../../b", { name: "./a/../../b" }],
    ["a device", { name: "./dev/sda", type: "block-device" }],
    ["a link to nothing", { name: "./a", type: "link", linkname: "./b" }],
  ])("%s is refused", async (_, header) => {
    await expect(readDebTree(await makeWholeDeb([[header]], {}), "p")).rejects.toMatchObject({ code: "bad-package" });
  });
});

const base = tree(
  "Package: base-passwd\nVersion: 3\nArchitecture: amd64\n",
  entry("usr/share/base-passwd/passwd.master", "root:*:0:0:root:/root:/bin/bash\n"),
  entry("usr/share/base-passwd/group.master", "root:*:0:\nshadow:*:42:\n"),
);

test("dpkg's database says that all is installed", () => {
  const libc: DebTree = {
    entries: [entry("etc/ld.so.conf", "include\n")],
    control: new Map([
      ["control", entry("control", "Package: libc6\nVersion: 2\nArchitecture: amd64\nMulti-Arch: same\n")],
      ["conffiles", entry("conffiles", "/etc/ld.so.conf\n")],
      ["postinst", entry("postinst", "exit 0\n", { mode: 0o755 })],
    ]),
  };
  const files = dpkgDatabase(
    new Map([
      ["libc6", libc],
      ["base-passwd", base],
    ]),
  );
  const { text } = files.get("var/lib/dpkg/status")!;
  const hash = createHash("md5").update("include\n").digest("hex");
  expect(text).toBe(
    `Package: libc6\nStatus: install ok installed\nVersion: 2\nArchitecture: amd64\nMulti-Arch: same\nConffiles:\n /etc/ld.so.conf ${hash}\n\n` +
      "Package: base-passwd\nStatus: install ok installed\nVersion: 3\nArchitecture: amd64\n",
  );
  expect(files.get("var/lib/dpkg/info/libc6:amd64.list")!.text).toBe("/.\n/etc/ld.so.conf\n");
  expect(files.get("var/lib/dpkg/info/libc6:amd64.postinst")!.mode).toBe(0o755);
  expect(files.has("var/lib/dpkg/info/base-passwd.list")).toBe(true);
});

describe("the root file system's tree", () => {
  const packages = new Map([
    ["base-passwd", base],
    [
      "dash",
      tree(
        "Package: dash\nVersion: 1\nArchitecture: amd64\n",
        entry("bin", "", { kind: "directory" }),
        entry("bin/dash", "dash", { mode: 0o755 }),
        entry("usr/share/man/man1/dash.1.gz", "long"),
        entry("usr/share/doc/dash/changelog", "long"),
        entry("usr/share/doc/dash/copyright", "short"),
      ),
    ],
  ]);
  const entries = rootTree(packages, "bookworm", [entry("boot/vmlinuz", "kernel")]);
  const at = (path: string) => entries.find((each) => each.path === path);

  test("is merged, slim, and in order", () => {
    expect(at("usr/bin/dash")).toMatchObject({ kind: "file", mode: 0o755 });
    expect(at("bin")).toMatchObject({ kind: "symlink", target: "usr/bin" });
    expect(at("usr/bin/sh")).toMatchObject({ target: "dash" });
    expect(at("usr/share/man/man1/dash.1.gz")).toBeUndefined();
    expect(at("usr/share/doc/dash/changelog")).toBeUndefined();
    expect(at("usr/share/doc/dash/copyright")).toBeDefined();
    const seen = new Set([""]);
    for (const { path } of entries) {
      expect(seen, path).toContain(path.includes("/") ? dirname(path) : "");
      seen.add(path);
    }
  });

  test("has users, of whom none has a password", () => {
    expect(String(at("etc/passwd")!.data)).toMatch(/^root:x:0:0:[\s\S]*^_apt:x:42:65534:/m);
    expect(String(at("etc/shadow")!.data)).toMatch(/^root:\*:\d+:/);
    expect(at("etc/shadow")).toMatchObject({ mode: 0o640, gid: 42 });
    expect(at("tmp")).toMatchObject({ kind: "directory", mode: 0o1777 });
  });
});

const hasTools = spawnSync("mke2fs", ["-V"]).error === undefined && spawnSync("debugfs", ["-V"]).error === undefined;
describe.skipIf(!hasTools)("ext4 (needs e2fsprogs)", () => {
  const options = { size: 8 << 20, time: 1_700_000_000, signal: undefined };
  const entries = [
    entry("d", "", { kind: "directory", mode: 0o500 }),
    entry('d/a "name"', "content", { mode: 0o4711, uid: 1234, gid: 42 }),
    entry("l", "", { kind: "symlink", target: "d" }),
  ];

  test("holds contents, modes, owners, and nothing is left beside it", async () => {
    const path = fresh(".ext4");
    await writeExt4(path, entries, options);
    const stat = execFileSync("debugfs", ["-R", 'stat "/d/a ""name"""', path], { stdio: ["ignore", "pipe", "ignore"] });
    expect(String(stat)).toMatch(/Mode: {2}04711[\s\S]*User: +1234 +Group: +42/);
    expect(spawnSync("e2fsck", ["-fn", path]).status).toBe(0);
    expect(statSync(path).blocks * 512).toBeLessThan(4 << 20);
    expect(readdirSync(dirname(path)).filter((name) => name.includes(".tree"))).toEqual([]);
  });

  test("one that is too small fails with a sentence, and leaves nothing", async () => {
    const path = fresh(".ext4");
    const big = [...entries, entry("big", "x".repeat(9 << 20))];
    await expect(writeExt4(path, big, options)).rejects.toMatchObject({ name: "ImageError", message: /mke2fs failed/ });
    expect(existsSync(path)).toBe(false);
  });
});

// The readers of Debian's formats: control stanzas, versions, Release, Packages, ar, tar, .deb, kernel packages, modules, applets.
import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseStanza, parseStanzas } from "../../images/archive/deb822.js";
import type { FoundPackage } from "../../images/archive/debian-archive.js";
import { findKernelPackages } from "../../images/archive/kernel-packages.js";
import { PackageIndex } from "../../images/archive/package-index.js";
import { parseRelease } from "../../images/archive/release.js";
import { compareVersions } from "../../images/archive/version.js";
import { findApplets } from "../../images/initramfs/busybox-applets.js";
import { collectKernel, isKernelFile } from "../../images/initramfs/kernel-files.js";
import { readModuleInfo } from "../../images/initramfs/module-info.js";
import { readAr } from "../../images/package/ar.js";
import { readDeb } from "../../images/package/deb.js";
import { makeAr, makeDeb, makeModule } from "./support/archive-maker.js";

const H = "0123456789abcdef".repeat(4);

describe("control stanzas", () => {
  it("joins continuation lines, ignores case and comments", () => {
    const stanza = parseStanza("# note\nPackage: a\nDESCRIPTION: one\n two\n  three\n");
    expect([...stanza]).toEqual([
      ["package", "a"],
      ["description", "one\ntwo\n three"],
    ]);
  });
  it("parts stanzas at blank lines", () => {
    expect(parseStanzas("A: 1\n\n \nA: 2\n").map((stanza) => stanza.get("a"))).toEqual(["1", "2"]);
  });
  it.each([" x\n", "novalue\n", "A: 1\nA: 2\n", ": x\n"])("refuses %j", (text) => {
    expect(() => parseStanza(text)).toThrow(expect.objectContaining({ code: "bad-index" }));
  });
});

describe("compareVersions", () => {
  const ORDERED = [
    "1.0~~",
    "1.0~~a",
    "1.0~",
    "1.0",
    "1.0-0+b1",
    "1.0-1",
    "1.0-1+b1",
    "1.0a",
    "1.0+x",
    "1.2",
    "1.10",
    "1:0.1",
  ];
  it("sorts as deb-version(7) says", () => {
    expect([...ORDERED].reverse().sort(compareVersions)).toEqual(ORDERED);
    expect(compareVersions("6.1.192-2", "6.1.176-1")).toBeGreaterThan(0);
    expect(compareVersions("1.0", "1.00")).toBe(0);
  });
  it.skipIf(spawnSync("dpkg", ["--version"]).status !== 0)("agrees with dpkg", () => {
    const part = fc.string({ unit: fc.constantFrom(..."0159.+~ab"), minLength: 0, maxLength: 5 });
    const version = fc.tuple(fc.nat(2), part, part).map(([epoch, a, b]) => `${epoch}:1${a}-${b}0`);
    const property = fc.property(version, version, (a, b) => {
      const relation = compareVersions(a, b);
      const operator = relation < 0 ? "lt" : relation > 0 ? "gt" : "eq";
      return spawnSync("dpkg", ["--compare-versions", a, operator, b]).status === 0;
    });
    fc.assert(property, { numRuns: 100 });
  });
});

describe("Release and Packages", () => {
  const release = (lines: string) => parseRelease(`Codename: x\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n${lines}`, "it");
  it("reads checksums and dates", () => {
    const { files, date, byHash } = release(`SHA256:\n ${H}  12 main/P.xz\n`);
    expect(files.get("main/P.xz")).toEqual({ sha256: H, size: 12 });
    expect(date.toISOString()).toBe("2026-07-11T10:16:37.000Z");
    expect(byHash).toBe(false);
  });
  it.each(["", "SHA256:\n zz 1 x\n", `SHA256:\n ${H} 1 x\nValid-Until: soon\n`])("refuses %j", (lines) => {
    expect(() => release(lines)).toThrow(expect.objectContaining({ code: "bad-index" }));
  });

  const stanza = (name: string, version: string, rest = "") =>
    `Package: ${name}\nVersion: ${version}\nArchitecture: amd64\nFilename: pool/x.deb\nSize: 1\nSHA256: ${H}\n${rest}`;
  const index = (...stanzas: string[]) => new PackageIndex(Buffer.from(stanzas.join("\n")), "the index");
  it("finds all versions of a package, first and last in the text too, and only by its whole name", () => {
    const packages = index(stanza("a", "1"), stanza("ab", "2", "Description: x\n Package: a\n"), stanza("a", "3"));
    expect(packages.find("a").map(({ version }) => version)).toEqual(["1", "3"]);
    expect(packages.find("b")).toEqual([]);
  });
  it("reads the first alternative of dependencies", () => {
    const [record] = index(stanza("a", "1", "Depends: b (= 2) | c, d:any (>= 1), e\n")).find("a");
    expect(record?.depends).toEqual([
      { name: "b", exactVersion: "2" },
      { name: "d", exactVersion: undefined },
      { name: "e", exactVersion: undefined },
    ]);
  });
  it.each(["../../etc/passwd", "/etc/passwd"])("refuses the path %s", (path) => {
    const packages = index(stanza("a", "1").replace("pool/x.deb", path));
    expect(() => packages.find("a")).toThrow(expect.objectContaining({ code: "bad-index" }));
  });

  it("follows a kernel's metapackage to all parts of the kernel, as sid has them", () => {
    const parts: Record<string, string[]> = {
      "linux-image-amd64": ["linux-base-amd64", "linux-image-7.2-amd64"],
      "linux-image-7.2-amd64": ["linux-base-7.2-amd64", "linux-binary-7.2-amd64", "linux-modules-7.2-amd64"],
      "linux-binary-7.2-amd64": ["linux-base-7.2-amd64"],
      "linux-modules-7.2-amd64": ["kmod"],
      "linux-base-7.2-amd64": [],
    };
    const find = (name: string) =>
      ({
        name,
        depends: (parts[name] ?? []).map((part) => ({ name: part, exactVersion: undefined })),
      }) as unknown as FoundPackage;
    expect(findKernelPackages("linux-image-amd64", find).map(({ name }) => name)).toEqual([
      "linux-image-7.2-amd64",
      "linux-base-7.2-amd64",
      "linux-binary-7.2-amd64",
      "linux-modules-7.2-amd64",
    ]);
  });
});

describe("packages", () => {
  it("reads ar members of odd and even length", () => {
    const members = readAr(makeAr({ one: "1", two: "22", "three/": "333" }), "it");
    expect(members.map(({ name, data }) => [name, Buffer.from(data).toString()])).toEqual([
      ["one", "1"],
      ["two", "22"],
      ["three", "333"],
    ]);
  });
  it("takes only the wanted files out of a .deb, long names too", async () => {
    const long = `usr/${"long/".repeat(40)}file`;
    const deb = await makeDeb({ "bin/busybox": "x", "etc/other": "y", [long]: "z" });
    const files = await readDeb(deb, (path) => path !== "etc/other", "it");
    expect([...files.keys()].sort()).toEqual(["bin/busybox", long].sort());
    expect(Buffer.from(files.get(long)!).toString()).toBe("z");
  });
  it("refuses every truncation with one kind of error", async () => {
    const deb = await makeDeb({ "bin/busybox": "some content" });
    for (let length = 0; length < deb.length - 1; length += 3) {
      await expect(readDeb(deb.subarray(0, length), () => true, "it")).rejects.toMatchObject({ code: "bad-package" });
    }
  });
  it("refuses damaged content and unknown compression", async () => {
    const damaged = makeAr({ "debian-binary": "2.0\n", "data.tar.gz": "not gzip" });
    const unknown = makeAr({ "debian-binary": "2.0\n", "data.tar.rar": "" });
    const future = makeAr({ "debian-binary": "3.0\n", "data.tar.gz": "" });
    for (const deb of [damaged, unknown, future]) {
      await expect(readDeb(deb, () => true, "it")).rejects.toMatchObject({ code: "bad-package" });
    }
  });
});

describe("kernels, modules, busybox", () => {
  it("knows the files of a kernel before and after 7.x", () => {
    const wanted = [
      "boot/vmlinuz-6.1",
      "usr/lib/modules/7.2/vmlinuz",
      "lib/modules/6.1/modules.builtin",
      "lib/modules/6.1/kernel/a.ko.xz",
    ];
    expect(wanted.filter(isKernelFile)).toEqual(wanted);
    expect(["boot/config-6.1", "lib/modules/6.1/modules.order", "boot/System.map-6.1"].filter(isKernelFile)).toEqual(
      [],
    );
    const files = new Map([
      ["usr/lib/modules/7.2/vmlinuz", Buffer.from("K")],
      ["usr/lib/modules/7.2/modules.builtin", Buffer.from("kernel/x.ko\n")],
    ]);
    expect(collectKernel([files]).modules).toMatchObject({ release: "7.2", builtin: "kernel/x.ko\n", paths: [] });
    expect(() => collectKernel([])).toThrow(/hold 0 kernels/);
  });
  it("reads a module's tags, and refuses what is no module", () => {
    const module = makeModule(["depends=a,b", "softdep=pre: c d post: e", "alias=fs-x", "license=GPL"]);
    expect(readModuleInfo("m", module)).toEqual({ depends: ["a", "b"], softPre: ["c", "d"], aliases: ["fs-x"] });
    for (let length = 0; length < module.length; length += 5) {
      expect(() => readModuleInfo("m", module.subarray(0, length))).toThrow(/no readable .modinfo/);
    }
  });
  it("finds the applet table, and stops at its end", () => {
    const binary = Buffer.from("\u0001[\0other\0..\u0001[\0[[\0ash\0init\0sh\0zcat\0abc\0");
    expect(findApplets(binary)).toEqual(["[", "[[", "ash", "init", "sh", "zcat"]);
    expect(() => findApplets(Buffer.from("no table"))).toThrow(/no table of applets/);
  });
});

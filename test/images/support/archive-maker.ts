// Makes a tiny Debian archive for tests: packages with ar, tar and gzip, the indexes over them, and a clear-signed InRelease.
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { pack } from "tar-stream";
import { clearSign, type TestKey } from "./openpgp-maker.js";

export const KERNEL_RELEASE = "6.1.0-99-amd64";

export interface TestPackage {
  readonly name: string;
  readonly version: string;
  readonly depends?: string;
  readonly files: Readonly<Record<string, Uint8Array | string>>;
}

/** What a server serves, by path below the archive's base URL. */
export type ArchiveFiles = Map<string, Uint8Array>;

export async function makeDeb(files: TestPackage["files"]): Promise<Buffer> {
  const tar = pack();
  for (const [path, data] of Object.entries(files)) tar.entry({ name: `./${path}`, mode: 0o644 }, Buffer.from(data));
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar as AsyncIterable<Buffer>) chunks.push(chunk);
  return makeAr({
    "debian-binary": "2.0\n",
    "control.tar.gz": gzipSync(""),
    "data.tar.gz": gzipSync(Buffer.concat(chunks)),
  });
}

export function makeAr(members: Readonly<Record<string, Uint8Array | string>>): Buffer {
  const parts: Buffer[] = [Buffer.from("!<arch>\n")];
  for (const [name, content] of Object.entries(members)) {
    const data = Buffer.from(content);
    const header = `${name.padEnd(16)}${"0".padEnd(12)}0     0     100644  ${String(data.length).padEnd(10)}\`\n`;
    parts.push(Buffer.from(header), data, Buffer.alloc(data.length & 1, "\n"));
  }
  return Buffer.concat(parts);
}

/** All files of an archive of one suite. `date` goes into the Release file. */
export async function makeArchive(
  suite: string,
  packages: readonly TestPackage[],
  keys: readonly TestKey[],
  signed: number,
  extraRelease = "",
): Promise<ArchiveFiles> {
  const files: ArchiveFiles = new Map();
  const stanzas: string[] = [];
  for (const { name, version, depends, files: contents } of packages) {
    const deb = await makeDeb(contents);
    const filename = `pool/${name}_${version.replace(/^\d+:/, "")}_amd64.deb`;
    files.set(filename, deb);
    const dependsLine = depends === undefined ? "" : `Depends: ${depends}\n`;
    stanzas.push(
      `Package: ${name}\nVersion: ${version}\nArchitecture: amd64\n${dependsLine}Filename: ${filename}\nSize: ${deb.length}\nSHA256: ${sha256(deb)}\n`,
    );
  }
  const index = gzipSync(stanzas.join("\n"));
  const path = "main/binary-amd64/Packages.gz";
  files.set(`dists/${suite}/main/binary-amd64/by-hash/SHA256/${sha256(index)}`, index);
  const date = new Date(signed * 1000).toUTCString();
  const release = `Origin: Test\nSuite: test\nCodename: ${suite}\nDate: ${date}\n${extraRelease}Acquire-By-Hash: yes\nSHA256:\n ${sha256(index)} ${index.length} ${path}\n`;
  files.set(`dists/${suite}/InRelease`, Buffer.from(clearSign(release, keys, { created: signed })));
  return files;
}

/** The packages that the busybox recipe needs, with small stand-ins for kernel, modules and busybox. */
export function busyboxPackages(): TestPackage[] {
  const modules = `lib/modules/${KERNEL_RELEASE}`;
  const module = (directory: string, name: string, ...tags: string[]) => ({
    [`${modules}/kernel/${directory}/${name}.ko`]: makeModule(tags),
  });
  return [
    {
      name: "linux-image-amd64",
      version: "6.1.99-1",
      depends: `linux-image-${KERNEL_RELEASE} (= 6.1.99-1)`,
      files: {},
    },
    {
      name: `linux-image-${KERNEL_RELEASE}`,
      version: "6.1.99-1",
      depends: "kmod, linux-base (>= 4.3~), initramfs-tools | linux-initramfs-tool",
      files: {
        [`boot/vmlinuz-${KERNEL_RELEASE}`]: "the kernel",
        [`boot/config-${KERNEL_RELEASE}`]: "CONFIG_XEN_PV=y",
        [`${modules}/modules.builtin`]: "kernel/drivers/xen/xen-gntalloc.ko\nkernel/lib/crc16.ko\n",
        ...module("drivers/block", "xen-blkfront", "alias=xen:vbd"),
        ...module("drivers/net", "xen-netfront", "alias=xen:vif"),
        ...module("drivers/xen", "xen-evtchn"),
        ...module("drivers/xen", "xen-gntdev", "depends="),
        ...module("drivers/xen", "xen-privcmd"),
        ...module("drivers/xen/xenfs", "xenfs", "depends=xen-privcmd"),
        ...module("fs/ext4", "ext4", "depends=jbd2,crc16", "softdep=pre: crypto-crc32c"),
        ...module("fs/jbd2", "jbd2"),
        ...module("crypto", "crc32c_generic", "alias=crypto-crc32c"),
        ...module("fs/xfs", "xfs", "depends=libcrc32c"),
      },
    },
    {
      name: "busybox-static",
      version: "1:1.35.0-4",
      files: {
        "bin/busybox": "ELF…\u0001[\0[[\0ash\0cttyhack\0init\0poweroff\0sh\0zcat\0\0more",
        "usr/share/doc/x": "y",
      },
    },
  ];
}

/** The smallest ELF64 file with a .modinfo section: header, strings, tags, three section headers. */
export function makeModule(tags: readonly string[]): Buffer {
  const names = Buffer.from("\0.modinfo\0.shstrtab\0");
  const modinfo = Buffer.from(tags.map((tag) => `${tag}\0`).join(""));
  const header = Buffer.alloc(64);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  const sections = Buffer.alloc(3 * 64);
  const describe = (index: number, name: number, offset: number, size: number) => {
    sections.writeUInt32LE(name, index * 64);
    sections.writeBigUInt64LE(BigInt(offset), index * 64 + 24);
    sections.writeBigUInt64LE(BigInt(size), index * 64 + 32);
  };
  describe(1, 1, 64 + names.length, modinfo.length);
  describe(2, 10, 64, names.length);
  header.writeBigUInt64LE(BigInt(64 + names.length + modinfo.length), 40);
  header.writeUInt16LE(64, 58);
  header.writeUInt16LE(3, 60);
  header.writeUInt16LE(2, 62);
  return Buffer.concat([header, names, modinfo, sections]);
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

// The image `debian`: its own kernel and initramfs find the root file system, root is logged in, apt and dpkg find their database in
// order. And PvGrub, Debian's grub-x86_64-xen.bin, reads the same disk as a guest and boots the kernel that is on it.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BuiltImage } from "../../images/index.js";
import { createXenHost, type DomainConfig, type GuestDomain, MemoryStore, type XenHost } from "../../src/index.js";
import { makeWholeDeb } from "../images/support/deb-maker.js";
import { xenTs } from "../support/command.js";
import { debianFile } from "../support/debian-file.js";
import { GuestConsole } from "../support/guest-console.js";
import { testImage } from "../support/image.js";

const hasTools = spawnSync("mke2fs", ["-V"]).error === undefined && spawnSync("debugfs", ["-V"]).error === undefined;
const BOOT_MS = 280_000;

/** A flat archive: greeter, which needs greeting. */
async function serveArchive(): Promise<{ port: number; close(): void }> {
  const files = new Map<string, Buffer>();
  const add = async (name: string, depends: string, path: string, text: string) => {
    const control = `Package: ${name}\nVersion: 1.0\nArchitecture: all\nMaintainer: T <t@archive.test>\n${depends}Description: ${name}\n`;
    const directories = ["./usr/", "./usr/bin/"].map(
      (each) => [{ name: each, type: "directory" as const, mode: 0o755 }] as const,
    );
    const deb = await makeWholeDeb([...directories, [{ name: path, mode: 0o755 }, text]], { control });
    files.set(`/${name}.deb`, deb);
    const hash = createHash("sha256").update(deb).digest("hex");
    return `${control}Filename: ./${name}.deb\nSize: ${deb.length}\nSHA256: ${hash}\n`;
  };
  const stanzas = [
    await add("greeting", "", "./usr/bin/greeting", "#!/bin/sh\necho hello from a package\n"),
    await add("greeter", "Depends: greeting\n", "./usr/bin/greet", "#!/bin/sh\nexec greeting\n"),
  ];
  files.set("/Packages", Buffer.from(stanzas.join("\n")));
  const server = createServer(({ url = "" }, response) => {
    const file = files.get(url.replace(/^\/\.\//, "/"));
    response.writeHead(file ? 200 : 404, { "content-length": file?.length ?? 0 }).end(file);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() };
}

describe.skipIf(!hasTools)("debian (building it needs e2fsprogs)", () => {
  let image: BuiltImage;
  let host: XenHost;
  let guest: GuestDomain;

  async function boot(config: Pick<DomainConfig, "kernel" | "ramdisk" | "cmdline">): Promise<void> {
    host = await createXenHost({ memory: "320M", jit: true });
    // A network of this test alone: its gateway is our loopback.
    host.network("xenbr0", { nat: { hostLoopback: true, hosts: { "archive.test": "10.0.2.2" } } });
    guest = await host.createDomain({
      ...config,
      memory: "256M",
      disks: [
        { vdev: "xvda", target: image.disk!, snapshot: true },
        { vdev: "xvdb", store: new MemoryStore(32 << 20) },
      ],
      vifs: [{}],
    });
    await guest.waitForShell({ timeout: BOOT_MS });
  }

  async function run(command: string, timeout = 120_000): Promise<string> {
    const { stdout, exitCode } = await guest.exec(command, { timeout });
    expect(exitCode, `${command}: ${stdout}`).toBe(0);
    return stdout;
  }

  beforeAll(async () => {
    image = await testImage("bookworm", "debian");
  });
  afterAll(() => host?.close());

  describe("with its kernel and initramfs", () => {
    beforeAll(() => boot({ kernel: image.kernel, ramdisk: image.initrd, cmdline: "console=hvc0 root=/dev/xvda" }));
    afterAll(() => host.close());

    test("root is logged in, on the disk", async () => {
      expect(await run("id -un; readlink /proc/self/fd/1; stat -c '%U %G %a' /etc/shadow /usr/bin/su")).toBe(
        "root\n/dev/hvc0\nroot shadow 640\nroot root 4755\n",
      );
      expect(await run("findmnt -no SOURCE,FSTYPE /")).toMatch(/^\/dev\/xvda +ext4\n$/);
      expect(await run(". /etc/os-release; echo $ID $VERSION_CODENAME")).toBe("debian bookworm\n");
    });

    test("dpkg and apt find all installed and whole", async () => {
      expect(await run("dpkg --audit; apt-get check > /dev/null && dpkg -l apt | tail -n 1")).toMatch(/^ii {2}apt /);
      expect(
        await run("dpkg --verify --verify-format=rpm base-files bash dpkg libc6 | grep -v /usr/share/ || true"),
      ).toBe("");
    });

    test("a package is built and installed with dpkg", async () => {
      await run("mkdir -p /tmp/p/DEBIAN /tmp/p/usr/bin; printf '#!/bin/sh\\necho installed\\n' > /tmp/p/usr/bin/hi");
      await run("chmod 755 /tmp/p/usr/bin/hi");
      const control =
        "Package: hi\\nVersion: 1\\nArchitecture: all\\nMaintainer: me <m@e>\\nDepends: bash\\nDescription: hi\\n";
      await run(`printf '${control}' > /tmp/p/DEBIAN/control; dpkg-deb -b /tmp/p /tmp/hi.deb && dpkg -i /tmp/hi.deb`);
      expect(await run("hi; dpkg-query -W -f '$" + "{Status}' hi")).toBe("installed\ninstall ok installed");
    });

    test("apt installs a package and what it needs from an archive on our loopback, through the NAT", async () => {
      const archive = await serveArchive();
      try {
        const source = `deb [trusted=yes] http://archive.test:${archive.port}/ ./`;
        await run(`echo '${source}' > /etc/apt/sources.list && apt-get update`);
        const output = await run("DEBIAN_FRONTEND=noninteractive apt-get install -y greeter", 500_000);
        expect(output).toContain("Setting up greeter (1.0)");
        expect(await run("greet")).toBe("hello from a package\n");
      } finally {
        archive.close();
      }
    }, 700_000);

    test("mkfs.ext4 and fsck", async () => {
      await run(
        "mkfs.ext4 -q /dev/xvdb; mount /dev/xvdb /mnt; head -c 5000000 /dev/urandom > /mnt/f; sha256sum /mnt/f > /tmp/s",
      );
      await run(
        "umount /mnt; echo 3 > /proc/sys/vm/drop_caches; mount /dev/xvdb /mnt; sha256sum -c /tmp/s; umount /mnt",
      );
      await run("fsck.ext4 -fn /dev/xvdb");
    });

    test("powers off", async () => {
      expect(await guest.shutdown()).toBe("poweroff");
    });
  });

  test("xen-ts run debian --exec: the command's output alone, and its status", async () => {
    const command = "id -un; dpkg-query -W -f '$" + "{Package}\\n' bash; findmnt -no SOURCE /; exit 7";
    const result = await xenTs(["run", "debian", "--timeout", "240", "--exec", command]);
    expect(result).toEqual({ code: 7, stdout: "root\nbash\n/dev/xvda\n", stderr: "" });
  });

  test("PvGrub boots it", async () => {
    const grub = await debianFile("grub-xen-host", "usr/lib/grub-xen/grub-x86_64-xen.bin");
    await boot({ kernel: grub });
    expect(await run("cat /proc/cmdline")).toMatch(/root=\/dev\/xvda/);
    expect(await run("uname -r")).toBe(`${image.manifest.kernelRelease}\n`);
    expect(await guest.shutdown()).toBe("poweroff");
  });

  test("so it does as firmware= of an xl.cfg file, by create and console", { timeout: 2 * BOOT_MS }, async () => {
    const directory = mkdtempSync(join(tmpdir(), "xen-ts-firmware-"));
    const env = { XDG_RUNTIME_DIR: directory, XENFIRMWAREDIR: directory };
    const grub = (name: string) => debianFile("grub-xen-host", `usr/lib/grub-xen/${name}`);
    writeFileSync(join(directory, "pvgrub64"), await grub("grub-x86_64-xen.bin"));
    writeFileSync(join(directory, "grub-i386-xen.bin"), await grub("grub-i386-xen.bin"));
    const file = join(directory, "pv.cfg");
    writeFileSync(file, `name = "pv"\nfirmware = "pvgrub64"\nmemory = 256\ndisk = ["file:${image.disk},xvda,w"]\n`);
    let console: GuestConsole | undefined;
    try {
      expect((await xenTs(["up", "--detach", "--memory", "320M"], { env })).code).toBe(0);
      const refused = async (override: string) => (await xenTs(["create", "-q", file, override], { env })).stderr;
      expect(await refused('firmware="pvgrub32"')).toBe(
        "xen-ts: firmware pvgrub32 needs 32-bit PV, which isn't supported; pvgrub64 is\n",
      );
      expect(await refused(`kernel="${directory}/grub-i386-xen.bin"`)).toMatch(
        /^xen-ts: .*grub-i386-xen\.bin: not supported: 32-bit PV kernel; only 64-bit PV kernels can be booted\n$/,
      );
      expect(await xenTs(["create", "-q", "-p", "--snapshot", file], { env })).toMatchObject({ code: 0, stderr: "" });
      console = new GuestConsole("pv", env);
      expect((await xenTs(["unpause", "pv"], { env })).code).toBe(0);
      await console.shows(/GRUB/, BOOT_MS);
      await console.shows(/Linux version \d/, BOOT_MS);
      await console.shows(/XENTS-SHELL-READY/, BOOT_MS);
      expect(await console.run("findmnt -no SOURCE /; uname -r")).toBe(`/dev/xvda\n${image.manifest.kernelRelease}\n`);
      expect((await xenTs(["shutdown", "-w", "pv"], { env })).code).toBe(0);
    } finally {
      console?.close();
      await xenTs(["down", "-f"], { env });
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

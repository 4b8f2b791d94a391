// Real Debian kernels as dom0 through the library: prompt, commands, poweroff; one boot a suite.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createXenHost, type GuestDomain, type XenHost } from "../../src/index.js";
import { testImage } from "../support/image.js";

const BOOT_MS = 240_000;

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not in time: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe.each([
  ["bookworm", "6.1.0"],
  ["bullseye", "5.10.0"],
])("%s", (suite, release) => {
  let host: XenHost;
  let dom0: GuestDomain;
  const xen: string[] = [];
  let boot = "";

  beforeAll(async () => {
    const image = await testImage(suite);
    host = await createXenHost({ memory: "512M", log: (line) => xen.push(line) });
    dom0 = await host.createDomain({
      kernel: image.kernel,
      ramdisk: image.initrd,
      memory: "512M",
      privileged: true,
      vcpus: 2,
      cmdline: "console=hvc0 earlyprintk=xen",
    });
    dom0.console.onData((bytes) => {
      boot += Buffer.from(bytes).toString();
    });
    await dom0.waitForShell({ timeout: BOOT_MS });
  });
  afterAll(() => host?.close());

  test("the kernel knows where it is, and complains of nothing", () => {
    expect(boot).toMatch(/Booting (paravirtualized )?kernel on Xen/);
    expect(boot).toMatch(/Xen version: 4\.17.*\(preserve-AD\)/);
    expect(boot).not.toMatch(/WARNING:|BUG:|Call Trace|invalid opcode|general protection/);
  });

  test("uname, ls, /proc/cpuinfo", async () => {
    expect((await dom0.exec("uname -sm")).stdout).toBe("Linux x86_64\n");
    expect((await dom0.exec("uname -r")).stdout).toMatch(
      new RegExp(`^${release.replaceAll(".", "\\.")}-\\d+-amd64\n$`),
    );
    expect((await dom0.exec("ls -1 /")).stdout.split("\n")).toEqual(
      expect.arrayContaining(["bin", "dev", "proc", "sys"]),
    );
    const { stdout } = await dom0.exec("cat /proc/cpuinfo");
    expect(stdout).toMatch(/^processor\t: 0$/m);
    expect(stdout).toMatch(/^flags\t\t: .*\bsse4_2\b.*\bhypervisor\b/m);
    expect(stdout).not.toMatch(/\bavx\b/);
  });

  test("it is the control domain", async () => {
    expect((await dom0.exec("cat /proc/xen/capabilities")).stdout.trim()).toBe("control_d");
    expect((await dom0.exec("cat /sys/hypervisor/type")).stdout).toBe("xen\n");
  });

  test("its memory and its vCPUs follow what the toolstack writes into the XenStore", async () => {
    const sh = async (command: string) => (await dom0.exec(command)).stdout.trim();
    const total = async () => Number(await sh("sed -n 's/MemTotal: *\\([0-9]*\\).*/\\1/p' /proc/meminfo"));
    const [before, free] = [await total(), host.info.freeMemory];
    dom0.setMemoryTarget(448 * 2 ** 20);
    await until(() => dom0.info.memoryKib === 448 * 1024);
    expect(before - (await total())).toBe(64 * 1024);
    expect(host.info.freeMemory - free).toBe(64 * 2 ** 20);
    dom0.setMemoryTarget(512 * 2 ** 20);
    await until(() => dom0.info.memoryKib === 512 * 1024);
    expect(await total()).toBe(before);
    expect(() => dom0.setMemoryTarget(513 * 2 ** 20)).toThrow(/above its maximum of 524288 KiB/);

    expect(await sh("nproc")).toBe("2");
    const online = () => dom0.info.vcpus.filter(({ isOnline }) => isOnline).length;
    dom0.setVcpus(1);
    await until(() => online() === 1);
    expect(await sh("nproc")).toBe("1");
    dom0.setVcpus(2);
    await until(() => online() === 2);
    expect(await sh("nproc")).toBe("2");
  });

  test("a SysRq key reaches it through the XenStore", async () => {
    dom0.sendSysrq("h");
    await dom0.console.waitFor(/sysrq: HELP : /);
    expect((await dom0.exec("echo alive")).stdout).toBe("alive\n");
  });

  test("status and output of commands, binary and long ones included", async () => {
    expect(await dom0.exec("echo out; echo err >&2; exit 42")).toEqual({ stdout: "out\nerr\n", exitCode: 42 });
    const bytes: Uint8Array[] = [];
    await dom0.exec("printf '\\001\\r\\n\\033[0m\\377'", { onOutput: (piece) => bytes.push(Uint8Array.from(piece)) });
    expect(Buffer.concat(bytes).toString("hex")).toBe("010d0a1b5b306dff");
    const text = "0123456789".repeat(400);
    expect((await dom0.exec(`printf %s ${text} | wc -c`)).stdout.trim()).toBe("4000");
    expect((await dom0.exec("seq 1 5000 | md5sum")).stdout).toBe("a5a208cd26b07cadade3450fe14d1d93  -\n");
  });

  test("Ctrl-C ends a program on the console", async () => {
    await dom0.console.write("cat; echo status $((100 + $?))\n");
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await dom0.console.write("\x03");
    await dom0.console.waitFor(/\^C\r\n.*# /);
    expect((await dom0.exec("echo alive")).stdout).toBe("alive\n");
  });

  test("time passes as outside", async () => {
    const seconds = async () => Number((await dom0.exec("cut -d' ' -f1 /proc/uptime")).stdout);
    const [before, start] = [await seconds(), performance.now()];
    await dom0.exec("sleep 2");
    const [after, end] = [await seconds(), performance.now()];
    expect(Math.abs(after - before - (end - start) / 1000)).toBeLessThan(0.7);
    const wall = Number((await dom0.exec("date +%s")).stdout);
    expect(Math.abs(wall - Date.now() / 1000)).toBeLessThan(5);
  });

  test("a paused domain does nothing until it is unpaused", async () => {
    dom0.pause();
    const waiting = dom0.exec("echo late");
    const first = await Promise.race([waiting, new Promise((resolve) => setTimeout(() => resolve("nothing"), 1500))]);
    expect(first).toBe("nothing");
    dom0.unpause();
    expect((await waiting).stdout).toBe("late\n");
  });

  test("poweroff", async () => {
    expect(await dom0.shutdown()).toBe("poweroff");
    expect(dom0.shutdownReason).toBe("poweroff");
    await expect(dom0.exec("true")).rejects.toMatchObject({ code: "domain-gone" });
  });
});

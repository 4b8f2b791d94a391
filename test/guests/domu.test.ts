// Real Debian kernels as unprivileged domains, without a dom0: alone, two on one host, and two hosts in one process.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createXenHost, type GuestDomain, type XenHost } from "../../src/index.js";
import { testImage } from "../support/image.js";

const BOOT_MS = 240_000;

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 50));
}

describe.each([
  ["bookworm", "6.1.0"],
  ["bullseye", "5.10.0"],
])("%s", (suite, release) => {
  let host: XenHost;
  let domU: GuestDomain;
  let boot = "";

  beforeAll(async () => {
    const image = await testImage(suite);
    host = await createXenHost({ memory: "256M" });
    domU = await host.createDomain({ kernel: image.kernel, ramdisk: image.initrd, memory: "256M", name: "web" });
    domU.console.onData((bytes) => {
      boot += Buffer.from(bytes).toString();
    });
    await domU.waitForShell({ timeout: BOOT_MS });
  });
  afterAll(() => host?.close());

  test("the kernel knows where it is, and complains of nothing", () => {
    expect(boot).toMatch(/Booting (paravirtualized )?kernel on Xen/);
    expect(boot).not.toMatch(/WARNING:|BUG:|Call Trace|invalid opcode|general protection/);
  });

  test("commands, and that it is no dom0", async () => {
    expect((await domU.exec("uname -r")).stdout).toMatch(
      new RegExp(`^${release.replaceAll(".", "\\.")}-\\d+-amd64\n$`),
    );
    expect((await domU.exec("cat /sys/hypervisor/type")).stdout).toBe("xen\n");
    expect((await domU.exec("cat /proc/xen/capabilities")).stdout).not.toContain("control_d");
    expect(await domU.exec("false")).toEqual({ stdout: "", exitCode: 1 });
  });

  test("its memory is what was asked for", async () => {
    const total = Number(/^MemTotal: +(\d+) kB/.exec((await domU.exec("cat /proc/meminfo")).stdout)?.[1]);
    expect(total).toBeGreaterThan(200 * 1024);
    expect(total).toBeLessThan(256 * 1024);
  });

  test("SysRq keys reach it through the XenStore, one after another", async () => {
    domU.sendSysrq("h");
    await domU.console.waitFor(/sysrq: HELP : /);
    domU.sendSysrq("s");
    await domU.console.waitFor(/sysrq: Emergency Sync/);
    // The guest has taken it, and the next one is a change again.
    await until(() => host.xenstore.read(`/local/domain/${domU.id}/control/sysrq`) === "");
  });

  test("poweroff", async () => {
    expect(await domU.shutdown()).toBe("poweroff");
  });
});

describe("several at once", () => {
  test("two domains on one host, another host beside it, and none disturbs the others", {
    timeout: 900_000,
  }, async () => {
    const image = await testImage("bookworm");
    const config = { kernel: image.kernel, ramdisk: image.initrd, memory: "160M" };
    await using first = await createXenHost({ memory: "320M" });
    await using second = await createXenHost({ memory: "160M" });
    const guests = [
      await first.createDomain({ ...config, name: "a" }),
      await first.createDomain({ ...config, name: "b" }),
      await second.createDomain({ ...config, name: "c" }),
    ];
    expect(guests.map(({ id }) => id)).toEqual([1, 2, 1]);
    await Promise.all(guests.map((guest) => guest.waitForShell({ timeout: 3 * BOOT_MS })));
    const names = guests.map(async (guest) => {
      await guest.exec(`echo ${guest.name} > /tmp/name`);
      return (await guest.exec("cat /tmp/name")).stdout.trim();
    });
    expect(await Promise.all(names)).toEqual(["a", "b", "c"]);

    const [a, b, c] = guests as [GuestDomain, GuestDomain, GuestDomain];
    const gone = a.exec("sleep 1000");
    gone.catch(() => {});
    a.destroy();
    await expect(gone).rejects.toMatchObject({ code: "domain-gone" });
    expect(first.domains.has(1)).toBe(false);
    expect((await b.exec("cat /tmp/name")).stdout).toBe("b\n");
    await second.close();
    await expect(c.exec("true")).rejects.toMatchObject({ code: "domain-gone" });
    expect((await b.exec("cat /tmp/name")).stdout).toBe("b\n");
    // The memory of a destroyed domain can be used again.
    const again = await first.createDomain({ ...config, name: "again", paused: true });
    expect(again.id).toBe(3);
  });
});

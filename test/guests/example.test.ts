// The example of the README: a test that boots a guest and asks it something.
import { expect, test } from "vitest";
import { buildImage, createXenHost } from "../../src/index.js";

test("a Debian guest runs on Xen", async () => {
  const image = await buildImage({ suite: "bookworm" });
  await using host = await createXenHost({ memory: "512M" });
  await using guest = await host.createDomain({ kernel: image.kernel, ramdisk: image.initrd, memory: "512M" });
  await guest.waitForShell();
  const { stdout, exitCode } = await guest.exec("cat /sys/hypervisor/type");
  expect(stdout).toBe("xen\n");
  expect(exitCode).toBe(0);
  expect(await guest.shutdown()).toBe("poweroff");
});

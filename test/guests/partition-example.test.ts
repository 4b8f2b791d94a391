// The second example of the README: two guests on a network of their own, one serves a page, the other fetches it; under a partition
// that fails, after it heals it works again.
import { expect, test } from "vitest";
import { buildImage, createXenHost } from "../../src/index.js";

test("a client finds its server again after a partition", async () => {
  const image = await buildImage({ suite: "bookworm" });
  await using host = await createXenHost({ memory: "384M", jit: true });
  const create = (name: string, address: string) =>
    host.createDomain({
      ...{ name, kernel: image.kernel, ramdisk: image.initrd, memory: "128M" },
      cmdline: `console=hvc0 xents.ip=${address}/24`,
      vifs: ["bridge=lan"],
    });
  await using server = await create("server", "192.168.1.1");
  await using client = await create("client", "192.168.1.2");
  await Promise.all([server, client].map((guest) => guest.waitForShell({ timeout: 240_000 })));
  await server.exec("mkdir /www; echo hello > /www/index.html; httpd -h /www");
  const fetchPage = () => client.exec("timeout 5 wget -q -O - http://192.168.1.1/");
  expect(await fetchPage()).toMatchObject({ stdout: "hello\n", exitCode: 0 });

  server.interface().partition();
  expect((await fetchPage()).exitCode).toBe(143); // SIGTERM, by timeout.

  server.interface().heal();
  expect(await fetchPage()).toMatchObject({ stdout: "hello\n", exitCode: 0 });
});

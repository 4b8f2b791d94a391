// `rate=` of a guest's interface, in the time of a deterministic host: what passes in the guest's seconds doesn't depend on the machine.
import { expect, test } from "vitest";
import { createXenHost } from "../../src/index.js";
import { testImage } from "../support/image.js";

const RATE = 250_000;
const SIZE = 1_000_000;

test("a guest sends no more than its rate, and nearly all of it; what it receives isn't limited", async () => {
  const image = await testImage("bookworm");
  await using host = await createXenHost({ memory: "320M", deterministic: true });
  const create = (n: number, vif: string) =>
    host.createDomain({
      ...{ name: `guest${n}`, kernel: image.kernel, ramdisk: image.initrd, memory: "128M", vifs: [vif] },
      cmdline: `console=hvc0 xents.ip=192.168.9.${n}/24`,
    });
  const limited = await create(1, "bridge=lan,rate=250KB/s");
  const free = await create(2, "bridge=lan");
  await Promise.all([limited, free].map((guest) => guest.waitForShell({ timeout: 280_000 })));
  for (const guest of [limited, free])
    await guest.exec(`mkdir -p /tmp/www; head -c ${SIZE} /dev/zero > /tmp/www/data; httpd -h /tmp/www`);

  /** Hundredths of a second of the guest's time. */
  async function fetchFrom(guest: typeof free, n: number): Promise<number> {
    const now = "$(cut -d' ' -f1 /proc/uptime | tr -d .)";
    const command = `a=${now}; wget -q -O - http://192.168.9.${n}/data | wc -c; echo $((${now} - a))`;
    const { stdout } = await guest.exec(command, { timeout: 240_000 });
    const [bytes, time] = stdout.trim().split("\n").map(Number);
    expect(bytes).toBe(SIZE);
    return time! / 100;
  }

  const before = limited.interface().statistics.sentBytes;
  const slow = await fetchFrom(free, 1);
  const sent = limited.interface().statistics.sentBytes - before;
  expect(sent).toBeGreaterThan(SIZE);
  // A credit's interval, or a packet, may have been left over before.
  expect(slow).toBeGreaterThan((sent - 70_000) / RATE);
  expect(slow).toBeLessThan((1.5 * sent) / RATE);
  expect(await fetchFrom(limited, 2)).toBeLessThan(slow / 2);
});

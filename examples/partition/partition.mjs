// Two guests on a network of their own, in virtual time: one serves a page, the other fetches it; then the network is cut between
// them, and heals. The host's time is its guests' instructions, and jumps when they sleep: a wait of seconds takes none, and each
// run of the same seed prints the same, to the last instruction. Argument: the seed, default 1.

import { buildImage, createXenHost } from "xen-ts";

const seed = Number(process.argv[2] ?? 1);
const { kernel, initrd } = await buildImage({ suite: "bookworm" });
const host = await createXenHost({ memory: "320M", deterministic: { seed } });

const create = (name, address) =>
  host.createDomain({
    ...{ name, kernel, ramdisk: initrd, memory: "128M", vifs: ["bridge=lan"] },
    cmdline: `console=hvc0 quiet xents.ip=${address}/24`,
    // Both begin at the same moment, however long files take to read.
    paused: true,
  });
const server = await create("server", "192.168.1.1");
const client = await create("client", "192.168.1.2");
for (const guest of [server, client]) guest.unpause();
await Promise.all([server, client].map((guest) => guest.waitForShell({ timeout: 600_000 })));

/** Seconds of the guests' time. */
const uptime = async () => Number((await client.exec("cut -d' ' -f1 /proc/uptime")).stdout);
async function fetchPage(what, seconds) {
  const start = await uptime();
  const { stdout, exitCode } = await client.exec(`timeout ${seconds} wget -q -O - http://192.168.1.1/`);
  const took = Math.round((await uptime()) - start);
  console.log(`${what}: ${exitCode === 0 ? `"${stdout.trim()}"` : `nothing, status ${exitCode}`} in ${took} s`);
}

await server.exec("mkdir /www; echo hello > /www/index.html; httpd -h /www");
await fetchPage("connected", 5);

server.interface().partition();
await fetchPage("cut", 5);

// One that is begun under the partition ends after it.
const fetched = fetchPage("cut, then healed", 60);
await server.exec("sleep 4");
server.interface().heal();
await fetched;
await fetchPage("healed", 5);

console.log(`${host.statistics.instructions} instructions, ${await uptime()} s of the guests' time`);
await host.close();

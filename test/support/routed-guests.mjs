// Runs in a network namespace of its own (test/guests/tap-guests.test.ts): two guests behind TAP devices, routed by the kernel as
// with Xen's script vif-route, then joined by a bridge of the kernel. Prints one JSON object. Arguments: kernel, ramdisk.
import { execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createXenHost } from "../../dist/src/index.js";

const [kernel, ramdisk] = process.argv.slice(2);
const ip = (words) => execFileSync("ip", words.split(" "), { encoding: "utf8" });
const result = {};
ip("link set lo up");
// A station on the far side, in a namespace of its own.
const station = spawn("unshare", ["-n", "sh", "-c", "echo; exec cat"], { stdio: ["pipe", "pipe", "inherit"] });
await new Promise((resolve) => station.stdout.once("data", resolve));
const far = (words) => execFileSync("nsenter", ["-t", `${station.pid}`, "-n", "ip", ...words.split(" ")]);
ip("link add outer type veth peer name far");
ip(`link set far netns ${station.pid}`);
for (const words of ["addr add 10.9.0.1/24 dev outer", "addr add fd00:9::1/64 dev outer nodad", "link set outer up"])
  ip(words);
for (const words of ["addr add 10.9.0.2/24 dev far", "addr add fd00:9::2/64 dev far nodad", "link set far up"])
  far(words);
for (const path of ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]) writeFileSync(`/proc/sys/net/${path}`, "1");

const host = await createXenHost({ memory: "320M", jit: true });
const routed = (n) => `script=vif-route,ip=10.9.0.${n} fd00:9::${n},gatewaydev=outer,vifname=routed${n}`;
const create = (n) =>
  host.createDomain({
    ...{ name: `guest${n}`, kernel, ramdisk, memory: "128M", vifs: [routed(n)] },
    cmdline: `console=hvc0 xents.ip=10.9.0.${n}/24 xents.gateway=10.9.0.1`,
  });
const guests = [await create(77), await create(78)];
await Promise.all(guests.map((guest) => guest.waitForShell({ timeout: 240_000 })));
const run = async (guest, command) => (await guest.exec(command, { timeout: 60_000 })).stdout;
const received = async (guest, to, six = "") =>
  /(\d) packets received/.exec(await run(guest, `ping ${six} -c 2 ${to}`))?.[1];

result.places = guests.map((guest) => guest.interface().place);
result.routes = ip("route show dev routed77").trim();
// The machine itself; the other guest, for whom the machine answers ARP and whose packets it routes; an address on the far side.
result.machine = await received(guests[0], "10.9.0.1");
result.other = await received(guests[0], "10.9.0.78");
const neighbours = await run(guests[0], "arp -n");
const hardware = (address) => new RegExp(`\\(${address.replaceAll(".", "\\.")}\\) at (\\S+)`).exec(neighbours)?.[1];
result.isProxied = hardware("10.9.0.78") !== undefined && hardware("10.9.0.78") === hardware("10.9.0.1");

// The same with IPv6, where it answers for each address by name; and the far side finds the guest, whose neighbour it is.
for (const [i, guest] of guests.entries()) await run(guest, `ip -6 addr add fd00:9::${77 + i}/64 dev eth0; sleep 2`);
await run(guests[0], "ip -6 route add fd00:9::2 via fd00:9::1 dev eth0");
result.six = [];
for (const to of ["fd00:9::1", "fd00:9::78", "fd00:9::2"]) result.six.push(await received(guests[0], to, "-6"));
const proxies = () => ip("-6 neigh show proxy").trim().split(/ +\n/).sort();
result.proxies = proxies();

// Two more interfaces, attached while the guests run, on a bridge of the kernel.
ip("link add br0 type bridge");
ip("link set br0 up");
for (const [i, guest] of guests.entries()) {
  await guest.attachNetwork(`type=tap,ifname=bridged${i}`);
  ip(`link set bridged${i} master br0`);
  ip(`link set bridged${i} up`);
  const wait = "i=0; until [ -e /sys/class/net/eth1 ] || [ $i -ge 100 ]; do sleep 0.1; i=$((i+1)); done";
  await run(guest, `${wait}; ip addr add 10.8.0.${i + 1}/24 dev eth1; ip link set eth1 up`);
}
result.bridged = await received(guests[0], "10.8.0.2");
result.learned = execFileSync("bridge", ["fdb", "show", "br", "br0"], { encoding: "utf8" }).includes(
  `${guests[1].interfaces()[1].mac} dev bridged1`,
);

try {
  await guests[0].attachNetwork("script=vif-route,ip=10.9.0.79,gatewaydev=nowhere");
} catch (error) {
  result.refused = error.message;
}
await host.close();
// The devices went with the host, and their routes.
await new Promise((resolve) => setTimeout(resolve, 600));
result.left = /routed|bridged/.test(ip("-o link show") + ip("route show")) || proxies().join() !== "";
station.stdin.end();
console.log(JSON.stringify(result));

// Runs in a network namespace of its own (test/cli/tap.spawn.test.ts): TAP devices on networks of a host, with the kernel's stack, its
// bridge and its routing on the other side. Prints one JSON object.
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { readFileSync, writeFileSync } from "node:fs";
import { createXenHost } from "../../dist/src/index.js";

const ip = (...words) => execFileSync("ip", words.join(" ").split(" "), { encoding: "utf8" });
const host = await createXenHost({ memory: "16M" });
const result = {};

// The kernel's stack behind a TAP device is a station on the bridge: it asks the NAT's name server.
const nat = host.network("nat0", { nat: { hosts: { "files.test": "192.0.2.7" } } });
result.names = [await nat.connect({ type: "tap", device: "xents0" })];
ip("addr add 10.0.2.50/24 dev xents0");
ip("link set xents0 up");
const resolver = new Resolver({ timeout: 3000, tries: 2 });
resolver.setServers(["10.0.2.3"]);
result.resolved = await resolver.resolve4("files.test");

/** Sends a frame until one comes back that `matches`. */
async function exchange(port, frame, matches) {
  return new Promise((resolve) => {
    let tries = 0;
    const timer = setInterval(() => (tries++ < 50 ? port.send(frame) : finish(false)), 100);
    const finish = (outcome) => {
      clearInterval(timer);
      resolve(outcome);
    };
    port.onFrame = (got) => matches(Buffer.from(got)) && finish(true);
  });
}
const MAC = [2, 0, 0, 0, 0, 9];
const arp = (from, to) =>
  Uint8Array.from([
    255,
    255,
    255,
    255,
    255,
    255,
    ...MAC,
    8,
    6,
    0,
    1,
    8,
    0,
    6,
    4,
    0,
    1,
    ...MAC,
    ...from,
    0,
    0,
    0,
    0,
    0,
    0,
    ...to,
  ]);

// Two networks of the host, joined by a bridge of the kernel: the NAT of one answers in the other.
ip("addr flush dev xents0");
const far = host.network("far");
result.names.push(await far.connect({ type: "tap", device: "xents1" }));
ip("link add br0 type bridge");
for (const name of ["xents0", "xents1"]) {
  ip(`link set ${name} master br0`);
  ip(`link set ${name} up`);
}
ip("link set br0 up");
const bridged = far.addPort("test");
result.bridged = await exchange(
  bridged,
  arp([10, 0, 2, 60], [10, 0, 2, 2]),
  (got) => got.readUInt32BE(28) === 0x0a000202,
);

// Two networks, routed by the kernel: what goes to the other one's address makes the kernel ask for it there.
const [left, right] = [host.network("left"), host.network("right")];
result.names.push(
  await left.connect({ type: "tap", device: "xents2" }),
  await right.connect({ type: "tap", device: "xents3" }),
);
ip("addr add 10.7.0.1/24 dev xents2");
ip("addr add 10.8.0.1/24 dev xents3");
for (const name of ["xents2", "xents3"]) ip(`link set ${name} up`);
writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
const sender = left.addPort("test");
let router;
await exchange(sender, arp([10, 7, 0, 9], [10, 7, 0, 1]), (got) => {
  if (got.readUInt16BE(12) !== 0x0806 || got.readUInt16BE(20) !== 2) return false;
  router = [...got.subarray(6, 12)];
  return true;
});
const packet = Buffer.from([
  ...router,
  ...MAC,
  8,
  0,
  0x45,
  0,
  0,
  28,
  0,
  1,
  0,
  0,
  64,
  17,
  0,
  0,
  10,
  7,
  0,
  9,
  10,
  8,
  0,
  9,
  0,
  7,
  0,
  7,
  0,
  8,
  0,
  0,
]);
let sum = 0;
for (let at = 14; at < 34; at += 2) sum += packet.readUInt16BE(at);
packet.writeUInt16BE(~((sum & 0xffff) + (sum >> 16)) & 0xffff, 24);
const receiver = right.addPort("test");
const asked = new Promise((resolve) => {
  receiver.onFrame = (got) => {
    const frame = Buffer.from(got);
    if (frame.readUInt16BE(12) === 0x0806 && frame.readUInt32BE(38) === 0x0a080009) resolve(true);
  };
});
sender.send(packet);
result.routed = await Promise.race([asked, new Promise((resolve) => setTimeout(resolve, 5000, false))]);

// A device that is set up as by Xen's script vif-route: a station behind it, asked for by ARP, answers the machine's echo request.
const routedNetwork = host.network("routed");
const route = { addresses: ["10.7.0.77", "fd00:7::77"], gatewayDevice: "xents2" };
result.names.push(await routedNetwork.connect({ type: "tap", device: "xents4", route }));
result.routes = [
  ip("route show dev xents4").trim(),
  ip("-6 route show fd00:7::77").trim().split(" ").slice(0, 3).join(" "),
];
result.proxies = readFileSync("/proc/sys/net/ipv4/conf/xents4/proxy_arp", "latin1").trim();

// Its neighbours by IPv6: the machine answers for the station towards the world, and for it and itself on another station's device.
const solicit = (last) => {
  const target = Buffer.from([0xfd, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
  const source = Buffer.from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
  const group = Buffer.from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, last]);
  const message = Buffer.from([135, 0, 0, 0, 0, 0, 0, 0, ...target, 1, 1, ...MAC]);
  const summed = Buffer.from([...source, ...group, 0, 0, 0, message.length, 0, 0, 0, 58, ...message]);
  let sum = 0;
  for (let at = 0; at < summed.length; at += 2) sum += summed.readUInt16BE(at);
  message.writeUInt16BE(~((sum & 0xffff) + (sum >> 16)) & 0xffff, 2);
  const ip6 = [0x60, 0, 0, 0, 0, message.length, 58, 255, ...source, ...group];
  const isAnswer = (got) => got.readUInt16BE(12) === 0x86dd && got[54] === 136 && got.subarray(62, 78).equals(target);
  return [Uint8Array.from([0x33, 0x33, 0xff, 0, 0, last, ...MAC, 0x86, 0xdd, ...ip6, ...message]), isAnswer];
};
writeFileSync("/proc/sys/net/ipv6/conf/all/forwarding", "1");
ip("-6 addr add fd00:7::1/64 dev xents2 nodad");
const otherNetwork = host.network("other");
const otherRoute = { addresses: ["fd00:7::78"], gatewayDevice: "xents2" };
result.names.push(await otherNetwork.connect({ type: "tap", device: "xents5", route: otherRoute }));
const stations = [left.addPort("asker"), otherNetwork.addPort("asker"), routedNetwork.addPort("asker")];
result.neighbours = [];
for (const [port, last] of [
  [stations[0], 0x77],
  [stations[0], 0x78],
  [stations[1], 0x77],
  [stations[1], 1],
  [stations[2], 0x78],
])
  result.neighbours.push(await exchange(port, ...solicit(last)));
for (const port of stations) port.close();

const station = routedNetwork.addPort("station");
station.onFrame = (got) => {
  const frame = Buffer.from(got);
  const answer = Buffer.from(frame);
  answer.set(frame.subarray(6, 12), 0);
  answer.set(MAC, 6);
  if (frame.readUInt16BE(12) === 0x0806 && frame.readUInt32BE(38) === 0x0a07004d) {
    answer.set([0, 2, ...MAC, 10, 7, 0, 77, ...frame.subarray(22, 32)], 20);
    station.send(answer);
  }
  if (frame.readUInt16BE(12) === 0x0800 && frame[23] === 17) result.datagram = frame.subarray(26, 34).join(".");
};
const sent = createSocket("udp4");
for (let i = 0; i < 50 && !result.datagram; i++) {
  sent.send("hello", 7, "10.7.0.77");
  await new Promise((resolve) => setTimeout(resolve, 100));
}
sent.close();
for (const addresses of [["10.7.0.79"], ["bogus"]])
  await host
    .network("refused")
    .connect({ type: "tap", route: { addresses, gatewayDevice: "nowhere" } })
    .catch((error) => (result.refused ??= []).push(error.message));

// What another thread waits on stays where it is, however often memory is collected and used again.
const garbage = [];
for (const end = Date.now() + 3000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 5))) {
  for (let i = 0; i < 3000; i++) garbage[i % 500] = [new Uint8Array(8 + (i % 64)), new Uint8Array(new ArrayBuffer(8))];
  gc();
}

try {
  await host.network("again").connect({ type: "tap", device: "xents0" });
} catch (error) {
  result.busy = error.message;
}
await host.close();
// The devices went with the host.
await new Promise((resolve) => setTimeout(resolve, 600));
result.left = /xents|proxy/.test(ip("-o link show") + ip("-6 neigh show proxy"));
console.log(JSON.stringify(result));

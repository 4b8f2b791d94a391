// The nodes of a network interface, as xl 4.17 made them on a real host (xenstore-ls of a guest with one vif), and what goes with it.

import { createServer } from "node:net";
import { expect, test } from "vitest";
import { VirtualTimers } from "../../src/devices/network/timers.js";
import { DeferredEvents } from "../../src/host/deferred-events.js";
import { XenError } from "../../src/host/errors.js";
import { NetDevices } from "../../src/host/net-devices.js";
import { Network } from "../../src/host/network.js";
import { openVif, openVifs, type VifServices } from "../../src/host/open-vif.js";
import type { VifConfig } from "../../src/host/vif-config.js";
import { XenStoreServer } from "../../src/hypervisor/xenstore/server.js";
import { makeDomain, makeHost } from "../hypervisor/hypervisor-fixture.js";

function setUp() {
  const host = makeHost();
  const { domain } = makeDomain(host, false);
  const store = new XenStoreServer(host.memory);
  const networks = new Map<string, Network>();
  const lines: string[] = [];
  const base = {
    ...{ timers: new VirtualTimers(), random: () => 0.5, wall: () => 0n, isClosed: false },
    log: (line: string) => void lines.push(line),
  };
  const services: VifServices = {
    ...base,
    network(name) {
      const network = networks.get(name) ?? new Network(name, base);
      networks.set(name, network);
      return network;
    },
  };
  const devices = new NetDevices(domain, store, new DeferredEvents(), services);
  const attach = async (config: VifConfig | string) => devices.attach(await openVif(config, services));
  const nodes = (path: string) =>
    Object.fromEntries(store.directory(path).map((name) => [name, store.read(`${path}/${name}`)]));
  return { host, domain, store, services, devices, attach, nodes, lines, networks };
}

test("nodes are xl's, and go with the interface", async () => {
  const { domain, devices, attach, nodes, store, networks } = setUp();
  await attach("mac=00:16:3e:00:00:01");
  const { id } = domain;
  const [back, front] = [`/local/domain/0/backend/vif/${id}/0`, `/local/domain/${id}/device/vif/0`];
  expect(nodes(back)).toEqual({
    ...{ frontend: front, "frontend-id": String(id), online: "1", state: "2", script: "/etc/xen/scripts/vif-bridge" },
    ...{ mac: "00:16:3e:00:00:01", bridge: "xenbr0", handle: "0", type: "vif", "hotplug-status": "connected" },
    ...{ "feature-sg": "1", "feature-gso-tcpv4": "1", "feature-gso-tcpv6": "1", "feature-ipv6-csum-offload": "1" },
    ...{ "feature-rx-copy": "1", "feature-rx-flip": "0", "feature-multicast-control": "1" },
    ...{ "feature-dynamic-multicast-control": "1", "feature-split-event-channels": "1", "multi-queue-max-queues": "4" },
  });
  expect(nodes(front)).toEqual({
    ...{ backend: back, "backend-id": "0", state: "1", handle: "0", mac: "00:16:3e:00:00:01", trusted: "1" },
    mtu: "1500",
  });
  expect(store.read(`/libxl/${id}/device/vif/0/mac`)).toBe("00:16:3e:00:00:01");
  expect(networks.get("xenbr0")!.ports).toEqual(["nat", `vif${id}.0`]);
  await devices.detach("00:16:3E:00:00:01", { timeout: 1000, force: false });
  expect([nodes(back), nodes(front), networks.get("xenbr0")!.ports]).toEqual([{}, {}, ["nat"]]);
});

test("what was said of it is in the store; numbers are the lowest free, MACs Xen's", async () => {
  const { domain, attach, devices, nodes, lines } = setUp();
  await attach("devid=1,rate=1MB/s@20ms,ip=10.0.0.9,vifname=web,bridge=lan,script=vif-route,untrusted,mtu=9000");
  const { id } = domain;
  expect(nodes(`/local/domain/0/backend/vif/${id}/1`)).toMatchObject({
    ...{ rate: "20000,20000", ip: "10.0.0.9", vifname: "web", bridge: "lan", script: "vif-route", mtu: "9000" },
    mac: "00:16:3e:40:80:80",
  });
  expect(nodes(`/local/domain/${id}/device/vif/1`)).toMatchObject({ trusted: "0", mtu: "9000" });
  expect(lines).toEqual(["vif: script: vif-route is recorded and not run; the interface is a port of its bridge"]);
  expect([(await attach({})).devid, (await attach({})).devid]).toEqual([0, 2]);
  await expect(attach({ devid: 1 })).rejects.toMatchObject({ code: "bad-argument" });
  expect(() => devices.find(9)).toThrow("no network interface 9");
  expect(devices.list().map(({ devid, vifname, place }) => `${devid} ${vifname} ${place}`)).toEqual([
    "1 web lan",
    `0 vif${id}.0 xenbr0`,
    `2 vif${id}.2 xenbr0`,
  ]);
  await devices.stop();
  expect(devices.list()).toEqual([]);
});

test("a forward that can't listen is refused with the reason, and leaves nothing behind", async () => {
  const { services, networks } = setUp();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const forwards = [{ hostfwd: ["tcp::0-:80"] }, { hostfwd: ["tcp::0-:81", `tcp::${port}-:80`] }];
  await expect(openVifs(forwards, services)).rejects.toMatchObject({
    code: "bad-network",
    message: `vif: hostfwd: listen EADDRINUSE: address already in use 127.0.0.1:${port}`,
  });
  const inside = { port: { type: "nat" as const, hostfwd: [`tcp::${port}-:80`] } };
  await expect(openVif(inside, services)).rejects.toMatchObject({ code: "bad-network" });
  await expect(openVif({ bridge: "lan", hostfwd: ["tcp::0-:80"] }, services)).rejects.toThrow(
    new XenError("bad-argument", "vif: hostfwd needs a network with NAT"),
  );
  networks.get("xenbr0")!.close();
  server.close();
});

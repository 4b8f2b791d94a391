// The vif strings of xl-network-configuration(5), and what goes with them: rates, hardware addresses.
import { describe, expect, test } from "vitest";
import { seededRandom } from "../../src/host/clocks.js";
import { formatMac, parseMac, randomMac } from "../../src/host/mac-address.js";
import { parseRate } from "../../src/host/vif-rate.js";
import { parseVif } from "../../src/host/vif-syntax.js";

describe("vif strings", () => {
  test("the manual's own examples", () => {
    expect(parseVif("").config).toEqual({});
    expect(parseVif("mac=00:16:3E:74:34:32").config).toEqual({ mac: "00:16:3e:74:34:32" });
    const { config, notes } = parseVif("mac=00:16:3E:74:3d:76,model=rtl8139,bridge=xenbr0");
    expect(config).toEqual({ mac: "00:16:3e:74:3d:76", bridge: "xenbr0" });
    expect(notes).toEqual(["model: rtl8139: no card is emulated, the interface is paravirtual"]);
  });

  test("every key", () => {
    const { config, notes } = parseVif(
      " ip=10.0.0.1 , vifname=v0,script=/etc/xen/scripts/vif-route,gatewaydev=eth0,bridge=b,rate=10Mb/s,devid=3,mtu=9000,untrusted,type=vif,backend=0",
    );
    expect(config).toEqual({
      ...{ ip: "10.0.0.1", vifname: "v0", script: "/etc/xen/scripts/vif-route", gatewaydev: "eth0" },
      ...{ bridge: "b", rate: "10Mb/s", devid: 3, mtu: 9000, trusted: false },
    });
    expect(notes.map((note) => note.split(":")[0])).toEqual(["script", "gatewaydev"]);
  });

  test("what it is plugged into when that isn't a bridge", () => {
    expect(
      parseVif("type=user,net=10.3.0.0/24,restrict=1,hostfwd=tcp::8080-:80,hostfwd=udp::53-:53,dns=127.0.0.1").config,
    ).toEqual({
      port: { type: "nat", network: "10.3.0.0/24", restrict: true, dns: ["127.0.0.1"] },
      hostfwd: ["tcp::8080-:80", "udp::53-:53"],
    });
    expect(parseVif("type=user,ipv6=fd00:1::/64").config.port).toEqual({ type: "nat", ipv6: "fd00:1::/64" });
    expect(parseVif("type=user,ipv6=off").config.port).toEqual({ type: "nat", ipv6: false });
    expect(parseVif("script=vif-nat").config.port).toEqual({ type: "nat" });
    expect(parseVif("type=stream,path=/run/link,listen=1").config.port).toEqual({
      ...{ type: "stream", path: "/run/link", listen: true },
    });
    expect(parseVif("type=tap,ifname=tap3").config.port).toEqual({ type: "tap", device: "tap3" });
    const { config, notes } = parseVif("script=vif-route,ip=10.0.0.9 fd00::9,gatewaydev=eth1,vifname=web,type=vif");
    expect(config.port).toEqual({
      ...{ type: "tap", device: "web", route: { addresses: ["10.0.0.9", "fd00::9"], gatewayDevice: "eth1" } },
    });
    expect(notes).toEqual([]);
  });

  test.each([
    ["macc=1", "vif: macc is not a key of a vif"],
    ["mac=00:16:3e:12:34", 'vif: mac: "00:16:3e:12:34" is not of the form 00:16:3e:12:34:56'],
    ["mac=01:16:3e:12:34:56", "vif: mac: 01:16:3e:12:34:56 is a group's address"],
    ["bridge", "vif: bridge needs a value"],
    ["bridge=a,bridge=b", "vif: bridge is given twice"],
    ["rate=fast", 'vif: rate: "fast" is not a rate such as 10Mb/s, 250KB/s or 1MB/s@20ms'],
    ["devid=x", "vif: devid x is not a number from 0 to 255"],
    ["type=bogus", "vif: type bogus is none of vif, ioemu, user, nat, stream, tap"],
    ["type=user,bridge=b", "vif: bridge can't be given with type=user: it is either"],
    ["restrict=1", "vif: restrict is for type=user only"],
    ["type=user,restrict=maybe", "vif: restrict maybe is neither 1 nor 0"],
    ["script=vif-route", "vif: ip is missing: script=vif-route routes it to the guest"],
    ["script=vif-route,ip=10.0.0", "vif: ip 10.0.0 is not an address"],
    ["type=stream", "vif: path is missing: type=stream needs the path of a Unix socket"],
    ["hostfwd=8080", 'vif: hostfwd: hostfwd: "8080" is not of the form tcp:127.0.0.1:8080-:80'],
    ["backend=5", "vif: backend 5: driver domains don't exist, only 0"],
    ["trusted,untrusted", "vif: untrusted contradicts trusted"],
    ["type=user,ipv6=fec0::/48", 'vif: ipv6: ipv6: "fec0::/48" is not of the form fec0::/64'],
    ["ipv6=off", "vif: ipv6 is for type=user only"],
    ["type=user,net=10.0.0.0/30", "vif: net: network: 10.0.0.0/30: the prefix must be 8 to 27"],
  ])("%s is refused", (text, message) => {
    expect(() => parseVif(text)).toThrow(message);
  });
});

test.each([
  ["10Mb/s", 62_500, 50],
  ["250KB/s", 12_500, 50],
  ["1MB/s@20ms", 20_000, 20],
  ["1GB/s@1s", 1_000_000_000, 1000],
  ["8b/s@1s", 1, 1000],
])("rate %s", (text, bytesPerInterval, intervalMs) => {
  expect(parseRate(text)).toMatchObject({ bytesPerInterval, intervalMs });
});

test("hardware addresses are Xen's, and the same for the same seed", () => {
  const [a, b] = [seededRandom(7), seededRandom(7)];
  const macs = Array.from({ length: 100 }, () => formatMac(randomMac(a)));
  expect(macs).toEqual(Array.from({ length: 100 }, () => formatMac(randomMac(b))));
  expect(new Set(macs).size).toBe(100);
  for (const mac of macs) expect(formatMac(parseMac(mac))).toMatch(/^00:16:3e:[0-7]/);
});

// Names and numbers of virtual disks (xen-vbd-interface(7)).
import { expect, test } from "vitest";
import { parseVirtualDevice } from "../../../src/devices/xen/blkback/virtual-device.js";

test.each([
  ["xvda", 51712, "xvda"],
  ["xvdb", 51728, "xvdb"],
  ["xvda1", 51713, "xvda1"],
  ["xvdp15", 51967, "xvdp15"],
  ["xvdq", 2 ** 28 + 16 * 256, "xvdq"],
  ["xvdaa", 2 ** 28 + 26 * 256, "xvdaa"],
  ["xvda16", 2 ** 28 + 16, "xvda16"],
  ["hda", 768, "hda"],
  ["hdb2", 834, "hdb2"],
  ["hdc", 5632, "hdc"],
  ["hdd63", 5759, "hdd63"],
  ["sda", 2048, "sda"],
  ["sdp1", 2289, "sdp1"],
  ["/dev/xvda", 51712, "xvda"],
  ["d0", 51712, "xvda"],
  ["d2p3", 51747, "xvdc3"],
  ["51712", 51712, "xvda"],
  ["768", 768, "hda"],
  ["5696", 5696, "hdd"],
  ["0xca00", 51712, "xvda"],
  ["0145001", 51713, "xvda1"],
])("%s is %i", (text, number, name) => {
  expect(parseVirtualDevice(text)).toEqual({ number, name });
});

test.each([
  "",
  "xvd",
  "hde",
  "sdq",
  "sda16",
  "hda64",
  "xvda01",
  "xvda256",
  "vda",
  "1",
  "99999999999",
  "d1p",
  "xvdA",
  "0x",
  "09",
])("%j is none", (text) => {
  expect(parseVirtualDevice(text)).toBeUndefined();
});

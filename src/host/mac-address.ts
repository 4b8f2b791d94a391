// Hardware addresses of interfaces: reading them, and making them up in the range that Xen owns (00:16:3e).

import { XenError } from "./errors.js";

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

/** @throws XenError bad-argument */
export function parseMac(text: string): Uint8Array {
  if (!MAC.test(text)) throw new XenError("bad-argument", `mac: "${text}" is not of the form 00:16:3e:12:34:56`);
  const mac = Uint8Array.from(text.split(":"), (part) => Number.parseInt(part, 16));
  if (mac[0]! & 1) throw new XenError("bad-argument", `mac: ${text} is a group's address`);
  if (mac.every((byte) => byte === 0)) throw new XenError("bad-argument", "mac: all zeros is no address");
  return mac;
}

export function formatMac(mac: Uint8Array): string {
  return Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** @param random in [0, 1) */
export function randomMac(random: () => number): Uint8Array {
  const byte = (limit: number) => Math.floor(random() * limit);
  // The upper half of the range is for addresses that are registered.
  return Uint8Array.of(0x00, 0x16, 0x3e, byte(0x80), byte(0x100), byte(0x100));
}

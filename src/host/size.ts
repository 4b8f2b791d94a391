// Sizes as people write them: 64M, 1G, 512MiB, or a number of bytes.

import { XenError } from "./errors.js";

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** Bytes. @throws XenError "bad-argument" naming `what`. */
export function parseSize(size: number | string, what: string): number {
  if (typeof size === "number") {
    if (Number.isFinite(size) && size >= 0) return Math.floor(size);
    throw new XenError("bad-argument", `${what}: ${size} is not a size`);
  }
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(size.trim());
  if (!match) throw new XenError("bad-argument", `${what}: "${size}" is not a size like 512M or 1G`);
  return Math.floor(Number(match[1]) * UNITS[match[2]!.toLowerCase()]!);
}

// Numbers of virtual disks (xen-vbd-interface(7)): what "xvda", "hdc", "sdb1" or "d3p2" is called in the XenStore and by guests.
// A number above 2^28 is the extended scheme: 1 << 28 | disk << 8 | partition.

const EXTENDED = 2 ** 28;
const MAJOR_XVD = 202;
const MAJOR_SD = 8;
/** The two channels of IDE. */
const MAJORS_HD = [3, 22] as const;
const MAX_DISK = 2 ** 20;

export interface VirtualDevice {
  readonly number: number;
  /** As a Linux guest names it. */
  readonly name: string;
}

/** Disk index of "a", "b", …, "z", "aa", …. */
function diskIndex(letters: string): number {
  let index = 0;
  for (const letter of letters) index = index * 26 + letter.charCodeAt(0) - 96;
  return index - 1;
}

function diskLetters(index: number): string {
  const last = String.fromCharCode(97 + (index % 26));
  return index < 26 ? last : diskLetters(Math.floor(index / 26) - 1) + last;
}

function xvd(disk: number, partition: number): VirtualDevice | undefined {
  if (disk >= MAX_DISK || partition > 255) return undefined;
  const name = `xvd${diskLetters(disk)}${partition || ""}`;
  const isSmall = disk < 16 && partition < 16;
  return { name, number: isSmall ? (MAJOR_XVD << 8) | (disk << 4) | partition : EXTENDED + disk * 256 + partition };
}

function hd(disk: number, partition: number): VirtualDevice | undefined {
  if (disk > 3 || partition > 63) return undefined;
  const number = (MAJORS_HD[disk >>> 1]! << 8) | ((disk & 1) << 6) | partition;
  return { name: `hd${diskLetters(disk)}${partition || ""}`, number };
}

function sd(disk: number, partition: number): VirtualDevice | undefined {
  if (disk > 15 || partition > 15) return undefined;
  return { name: `sd${diskLetters(disk)}${partition || ""}`, number: (MAJOR_SD << 8) | (disk << 4) | partition };
}

/** @returns undefined for what isn't the name of a virtual disk. "/dev/" may stand before it; a number is one, in
 * decimal, 0x… or 0…. */
export function parseVirtualDevice(text: string): VirtualDevice | undefined {
  const name = text.replace(/^\/dev\//, "");
  const letters = /^(xvd|hd|sd)([a-z]{1,4})(\d{0,3})$/.exec(name);
  if (letters) {
    const partition = letters[3] ? Number(letters[3]) : 0;
    if (letters[3]?.startsWith("0")) return undefined;
    const scheme = { xvd, hd, sd }[letters[1] as "xvd" | "hd" | "sd"];
    return scheme(diskIndex(letters[2]!), partition);
  }
  const indexed = /^d(\d{1,7})(?:p(\d{1,3}))?$/.exec(name);
  if (indexed) return xvd(Number(indexed[1]), Number(indexed[2] ?? 0));
  if (!/^(?:0[0-7]{0,11}|[1-9]\d{0,9}|0x[0-9a-f]{1,8})$/.test(name)) return undefined;
  return describeNumber(/^0\d/.test(name) ? Number.parseInt(name, 8) : Number(name));
}

/** The name that belongs to a number; undefined when it is none of a virtual disk. */
function describeNumber(number: number): VirtualDevice | undefined {
  if (number >= EXTENDED)
    return number < EXTENDED * 2 ? xvd(Math.floor((number - EXTENDED) / 256), number % 256) : undefined;
  const major = number >>> 8;
  const minor = number & 255;
  if (major === MAJOR_XVD) return xvd(minor >>> 4, minor & 15);
  if (major === MAJOR_SD) return sd(minor >>> 4, minor & 15);
  const channel = (MAJORS_HD as readonly number[]).indexOf(major);
  return channel >= 0 && minor < 128 ? hd(channel * 2 + (minor >>> 6), minor & 63) : undefined;
}

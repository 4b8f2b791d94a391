// Finds the applet names of a busybox binary without running it (the builder's machine need not be an x86 Linux): busybox
// keeps them as one table of NUL-terminated names in ascending order, which begins with "[" and "[[" (include/applet_tables.h).
import { ImageError } from "../image-error.js";

const NAME = /^[a-z0-9[][a-z0-9_.[-]{0,31}$/;

/** All applet names in `busybox`, ascending. Throws ImageError "bad-package" when there is no table with `sh` and `init` in it. */
export function findApplets(busybox: Uint8Array): string[] {
  const binary = Buffer.from(busybox.buffer, busybox.byteOffset, busybox.byteLength);
  const start = "[\0[[\0";
  for (let at = binary.indexOf(start, 0, "latin1"); at >= 0; at = binary.indexOf(start, at + 1, "latin1")) {
    const names = readTable(binary, at);
    if (names.includes("sh") && names.includes("init")) return names;
  }
  throw new ImageError("bad-package", "The busybox binary has no table of applets with sh and init.");
}

function readTable(binary: Buffer, at: number): string[] {
  const names: string[] = [];
  let previous = "";
  for (;;) {
    const end = binary.indexOf(0, at);
    const name = binary.toString("latin1", at, end < 0 ? at : end);
    if (!NAME.test(name) || name <= previous) return names;
    names.push((previous = name));
    at = end + 1;
  }
}

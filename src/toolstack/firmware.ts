// firmware= of xl.cfg(5) for PV domains: the file in place of a kernel that reads the domain's disks and boots what is on them. libxl looks
// in Xen's directory (XENFIRMWAREDIR), where distributions put it in different places; Debian has GRUB's own file.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { XenError } from "../host/errors.js";

const DIRECTORIES = ["/usr/lib/xen/boot", "/usr/libexec/xen/boot", "/usr/local/lib/xen/boot"];
const GRUB = "/usr/lib/grub-xen/grub-x86_64-xen.bin";

/** @param directory looked into before all others. @throws XenError bad-config: there is none, or it can't run here */
export function findFirmware(name: "pvgrub32" | "pvgrub64", directory = process.env.XENFIRMWAREDIR): string {
  if (name === "pvgrub32")
    throw new XenError("bad-config", "firmware pvgrub32 needs 32-bit PV, which isn't supported; pvgrub64 is");
  const places = [...(directory ? [directory] : []), ...DIRECTORIES].map((each) => join(each, name));
  const found = [...places, GRUB].find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new XenError(
    "bad-config",
    `firmware ${name} isn't on this machine: ${GRUB} is in Debian's grub-xen-host; $XENFIRMWAREDIR or kernel= can name another place`,
  );
}

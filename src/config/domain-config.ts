// From a domain as xl's files describe it to what createDomain takes.

import { XenError } from "../host/errors.js";
import type { DomainConfig } from "../host/guest-domain.js";
import type { XlDomainConfig } from "./xl-config.js";

/** @throws XenError bad-config: a kind of guest that isn't supported */
export function domainConfigOf(xl: XlDomainConfig): DomainConfig {
  const { name, type, kernel, firmware, ramdisk, cmdline, memory, vcpus, disks, vifs } = xl;
  if (type !== "pv") throw new XenError("bad-config", `${name}: type ${type} isn't supported; pv is`);
  if (kernel === undefined)
    throw new XenError("bad-config", `${name}: firmware ${firmware} isn't found; name its file as kernel`);
  return {
    ...{ name, kernel, cmdline, vcpus, disks },
    ...(vifs.length === 0 ? {} : { vifs: vifs.map(({ text }) => text) }),
    ...(ramdisk === undefined ? {} : { ramdisk }),
    ...(memory === undefined ? {} : { memory }),
  };
}

// HYPERVISOR_console_io (xen.h): the hypervisor's own console, for the hardware domain. An unprivileged domain is refused, as a
// release build of Xen does. Arguments: command, byte count, buffer.

import { copyFromGuest, copyToGuest } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { errno } from "../public/errno.js";
import { __HYPERVISOR_console_io, CONSOLEIO_read, CONSOLEIO_write } from "../public/xen.js";
import type { HypercallArgs, HypercallRow } from "./args.js";

/** Bytes that one call moves before it gives way. */
const CHUNK = 16384;

export function consoleIo(vcpu: Vcpu, args: HypercallArgs): number | undefined {
  const { domain } = vcpu;
  const command = args.argNumber(0);
  const count = args.argNumber(1);
  const buffer = args.arg(2);
  if (!domain.privileged) return -errno.EPERM;
  if (count > 0x7fffffff) return -errno.EINVAL;
  switch (command) {
    case CONSOLEIO_write: {
      const chunk = Math.min(count, CHUNK);
      const bytes = copyFromGuest(vcpu, buffer, chunk);
      if (!bytes) return -errno.EFAULT;
      domain.console.output(bytes);
      if (chunk === count) return 0;
      vcpu.continueHypercall(__HYPERVISOR_console_io, command, count - chunk, buffer + BigInt(chunk));
      return undefined;
    }
    case CONSOLEIO_read: {
      const bytes = domain.console.read(Math.min(count, CHUNK));
      return copyToGuest(vcpu, buffer, bytes) ? bytes.length : -errno.EFAULT;
    }
    default:
      return -errno.ENOSYS;
  }
}

export const consoleIoRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_console_io, name: "console_io", pv64: consoleIo, pv32: consoleIo, hvm: consoleIo },
];

// Where a host's XenStore socket is when nobody says otherwise: beside its control socket.

import { homedir } from "node:os";
import { join } from "node:path";

/** $XENSTORED_PATH, as for Debian's tools; or $XDG_RUNTIME_DIR/xen-ts/<host>/xenstore.sock, or ~/.xen-ts/<host>/xenstore.sock. */
export function xenStoreSocketPath(host?: string): string {
  const { XENSTORED_PATH, XDG_RUNTIME_DIR } = process.env;
  if (host === undefined && XENSTORED_PATH) return XENSTORED_PATH;
  const directory = XDG_RUNTIME_DIR ? join(XDG_RUNTIME_DIR, "xen-ts") : join(homedir(), ".xen-ts");
  return join(directory, host ?? "default", "xenstore.sock");
}

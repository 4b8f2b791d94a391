// xen-ts run: a kernel as an unprivileged domain, with no dom0.

import { command } from "../command.js";
import { type GuestOptions, guestOptionRows } from "../guest-options.js";
import { runGuest } from "../guest-session.js";
import { guestHelp } from "./boot.js";

export const run = command<GuestOptions>({
  path: ["run"],
  summary: "run an image, or a kernel of your own, as an unprivileged domain",
  help: `Terminal, options and exit codes are those of boot.\n\n${guestHelp}`,
  operands: [{ name: "image", description: "image (default: busybox-bookworm); built on first use" }],
  options: guestOptionRows,
  run: ([word], options) => runGuest("domU", word, options),
});

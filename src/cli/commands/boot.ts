// xen-ts boot: a kernel as dom0.

import { command } from "../command.js";
import { type GuestOptions, guestOptionRows } from "../guest-options.js";
import { runGuest } from "../guest-session.js";

export const guestHelp = `Exit codes: 0 poweroff, --until matched or Ctrl-]; 2 usage; 120 a file can't be used; 121 the guest crashed;
124 timeout; 125 a defect of xen-ts; 128+n ended by signal n. A reboot boots the guest again.`;

export const boot = command<GuestOptions>({
  path: ["boot"],
  summary: "boot an image, or a kernel of your own, as dom0",
  help: `The terminal becomes the guest's console; Ctrl-] leaves and ends the guest. A later change of the window's size
does not reach the guest (stty rows N cols M tells it).\n\n${guestHelp}`,
  operands: [{ name: "image", description: "image (default: busybox-bookworm); built on first use" }],
  options: guestOptionRows,
  run: ([word], options) => runGuest("dom0", word, options),
});

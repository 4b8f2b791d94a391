// xl's commands that this engine can't do, each with its reason: a user who types one is told, not asked whether another was meant.

const SAVING = "a domain's state can't be saved yet";
const HVM = "guests are PV: they have no such button, drive or firmware";
const PCI = "there is no PCI pass-through: no domain reaches the host's devices";
const USB = "there is no USB: no domain reaches the host's devices";
const POOLS = "all CPUs are in one pool, Pool-0 (cpupool-list)";
const FLASK = "this hypervisor has no security modules";
const DEVICES = "domains have disks, network interfaces and consoles; no such device";
const CACHES = "the CPU has no cache allocation";

const REASONS: readonly (readonly [reason: string, names: string])[] = [
  [SAVING, "save restore migrate migrate-receive remus"],
  ["domains have no framebuffer: their consoles are text (console)", "vncviewer"],
  ["PV guests have disks, not drives: block-detach, then block-attach", "cd-insert cd-eject"],
  [HVM, "button-press qemu-monitor-command"],
  [PCI, "pci-attach pci-detach pci-list pci-assignable-add pci-assignable-remove pci-assignable-list"],
  [USB, "usbctrl-attach usbctrl-detach usbdev-attach usbdev-detach usb-list"],
  [POOLS, "cpupool-create cpupool-destroy cpupool-rename cpupool-cpu-add cpupool-cpu-remove cpupool-migrate"],
  [POOLS, "cpupool-numa-split"],
  ["schedulers are credit and credit2 (sched-credit, sched-credit2)", "sched-rtds"],
  [
    "no parameter of the hypervisor changes while it runs; of the scheduler, sched-credit -s sets some",
    "set-parameters",
  ],
  [FLASK, "getenforce setenforce loadpolicy"],
  [DEVICES, "vtpm-attach vtpm-list vtpm-detach vdispl-attach vdispl-list vdispl-detach"],
  [DEVICES, "vsnd-attach vsnd-list vsnd-detach vkb-attach vkb-list vkb-detach"],
  [CACHES, "psr-hwinfo psr-cmt-attach psr-cmt-detach psr-cmt-show psr-cat-set psr-cat-show psr-mba-set psr-mba-show"],
  ["backends are in the host's process: there are no driver domains", "devd"],
];

/** Why not, by name. */
export const refusedCommands: ReadonlyMap<string, string> = new Map(
  REASONS.flatMap(([reason, names]) => names.split(" ").map((name) => [name, reason] as const)),
);

/** For `help --long`. */
export function refusedHelp(): string {
  const names = [...refusedCommands.keys()].sort();
  return `xl's other commands, which say why they can't be done: ${names.join(", ")}\n`;
}

// All commands. To add one: a file in commands/ that exports a row, and its line here.

import type { Command } from "./command.js";
import { blockAttach } from "./commands/block-attach.js";
import { blockDetach } from "./commands/block-detach.js";
import { blockList } from "./commands/block-list.js";
import { boot } from "./commands/boot.js";
import { channelList } from "./commands/channel-list.js";
import { claims } from "./commands/claims.js";
import { configUpdate } from "./commands/config-update.js";
import { console } from "./commands/console.js";
import { cpupoolList } from "./commands/cpupool-list.js";
import { create } from "./commands/create.js";
import { debugKeys } from "./commands/debug-keys.js";
import { destroy } from "./commands/destroy.js";
import { dmesg } from "./commands/dmesg.js";
import { domid } from "./commands/domid.js";
import { domname } from "./commands/domname.js";
import { down } from "./commands/down.js";
import { dumpCore } from "./commands/dump-core.js";
import { imageBuild } from "./commands/image-build.js";
import { imageList } from "./commands/image-list.js";
import { imageRm } from "./commands/image-rm.js";
import { info } from "./commands/info.js";
import { list } from "./commands/list.js";
import { memMax } from "./commands/mem-max.js";
import { memSet } from "./commands/mem-set.js";
import { networkAttach } from "./commands/network-attach.js";
import { networkDetach } from "./commands/network-detach.js";
import { networkDump } from "./commands/network-dump.js";
import { networkList } from "./commands/network-list.js";
import { pause } from "./commands/pause.js";
import { reboot } from "./commands/reboot.js";
import { rename } from "./commands/rename.js";
import { run } from "./commands/run.js";
import { schedCredit, schedCredit2 } from "./commands/sched-credit.js";
import { sharing } from "./commands/sharing.js";
import { shutdown } from "./commands/shutdown.js";
import { sysrq } from "./commands/sysrq.js";
import { top } from "./commands/top.js";
import { trigger } from "./commands/trigger.js";
import { unpause } from "./commands/unpause.js";
import { up } from "./commands/up.js";
import { uptime } from "./commands/uptime.js";
import { vcpuList } from "./commands/vcpu-list.js";
import { vcpuPin } from "./commands/vcpu-pin.js";
import { vcpuSet } from "./commands/vcpu-set.js";
import { vmList } from "./commands/vm-list.js";
import { xenstoreCommands } from "./commands/xenstore.js";

const guests = [boot, run];
const hosts = [up, down, info, dmesg, debugKeys, cpupoolList, claims, sharing, top];
const domains = [
  ...[create, list, console, shutdown, reboot, destroy, pause, unpause, rename, domid, domname, uptime, vmList],
  ...[vcpuList, vcpuPin, vcpuSet, schedCredit, schedCredit2, memSet, memMax, sysrq, trigger, configUpdate, dumpCore],
  ...[blockAttach, blockList, blockDetach, networkAttach, networkList, networkDetach, networkDump],
  channelList,
];
const images = [imageList, imageBuild, imageRm];

export const commands: readonly Command<object>[] = [...guests, ...hosts, ...domains, ...images, ...xenstoreCommands];

/** Words that only group commands. */
export const groups: Readonly<Record<string, string>> = {
  image: "guest images made from Debian packages",
  xenstore: "the XenStore of a running host",
};

// A domain's configuration as libxl prints it (`xl create -n`, `xl list -l`): its field names, its order, booleans as "True", values
// that are the default left out, four spaces of indentation and a line of its own for the end of an empty object.

import type { ConsoleConfig, DiskConfig, DomainSummary, XlDomainConfig } from "../index.js";

type Json = string | number | readonly Json[] | { readonly [key: string]: Json | undefined };

const DEFAULT_MEMORY = 256 * 2 ** 20;
const INVALID_DOMID = 0xffffffff;

/** What `create -n` prints. */
export function libxlConfig(config: XlDomainConfig, uuid: string): Json {
  return domainConfig(config, uuid, undefined);
}

/** What `list -l` prints. @param scheduler the host's */
export function libxlList(domains: readonly DomainSummary[], scheduler: string): Json {
  return domains.map(({ domid, config, name, uuid, vcpus, memoryKib }) => ({
    domid,
    config: config
      ? domainConfig({ ...config, name, maxvcpus: vcpus.length }, uuid, scheduler)
      : { c_info: { type: "pv", name, uuid }, b_info: { max_vcpus: vcpus.length, target_memkb: memoryKib } },
  }));
}

/** @param scheduler undefined: of a domain that isn't running */
function domainConfig(config: XlDomainConfig, uuid: string, scheduler: string | undefined): Json {
  const isLong = scheduler !== undefined;
  const { name, type, kernel, cmdline, ramdisk, maxvcpus, vcpus, disks } = config;
  const memory = config.memory ?? DEFAULT_MEMORY;
  return {
    c_info: { type, name, domid: isLong ? INVALID_DOMID : undefined, uuid, run_hotplug_scripts: "True" },
    b_info: {
      // One is what a running domain has unless said.
      max_vcpus: isLong && maxvcpus === 1 ? undefined : maxvcpus,
      avail_vcpus: isLong && maxvcpus === 1 ? undefined : Array.from({ length: vcpus }, (_, i) => i),
      max_memkb: (config.maxmem ?? memory) / 1024,
      target_memkb: memory / 1024,
      video_memkb: isLong ? 0 : undefined,
      sched_params: isLong
        ? { sched: scheduler, weight: config.cpuWeight ?? 256, cap: config.cap ?? 0 }
        : { weight: config.cpuWeight, cap: config.cap },
      claim_mode: "True",
      kernel,
      cmdline: cmdline === "" ? undefined : cmdline,
      ramdisk,
      [`type.${type}`]: {},
      arch_arm: {},
      arch_x86: isLong ? { msr_relaxed: "False" } : {},
    },
    disks: disks.length > 0 ? disks.map(disk) : undefined,
    nics: config.vifs.length > 0 ? config.vifs.map((vif, devid) => nic(vif.text, devid)) : undefined,
    channels: config.consoles && config.consoles.length > 0 ? config.consoles.map(channel) : undefined,
    on_poweroff: action(config.onPoweroff),
    on_reboot: action(config.onReboot),
    on_watchdog: action(config.onWatchdog),
    on_crash: action(config.onCrash),
    on_soft_reset: "soft_reset",
  };
}

export function disk({ target, vdev, format = "raw", access, cdrom }: DiskConfig): Json {
  return {
    pdev_path: target,
    vdev,
    format,
    readwrite: access === "r" || cdrom ? 0 : 1,
    ...(cdrom ? { is_cdrom: 1 } : {}),
  };
}

function channel({ name, socket }: ConsoleConfig, devid: number): Json {
  const connection = socket === undefined ? { "connection.pty": {} } : { "connection.socket": { path: socket } };
  return { devid, name, ...connection };
}

/** @param devid undefined: not chosen yet */
export function nic(text: string, devid: number | undefined): Json {
  const parts = text.split(",").map((part) => part.trim().split("="));
  const value = (key: string) => parts.find(([name]) => name === key)?.[1];
  return {
    devid,
    mac: value("mac"),
    bridge: value("bridge") ?? "xenbr0",
    script: value("script"),
    nictype: value("type") === "ioemu" ? undefined : "vif",
  };
}

/** Left out when it is what happens anyway. */
function action(name: string): string | undefined {
  return name === "destroy" ? undefined : name.replaceAll("-", "_");
}

export function printLibxlJson(value: Json, indent = ""): string {
  const inner = `${indent}    `;
  if (typeof value === "string" || typeof value === "number") return JSON.stringify(value);
  if (Array.isArray(value)) {
    const items = (value as readonly Json[]).map((item) => inner + printLibxlJson(item, inner));
    return `[\n${items.join(",\n")}\n${indent}]`;
  }
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .map(([key, member]) => `${inner}${JSON.stringify(key)}: ${printLibxlJson(member as Json, inner)}`);
  return members.length === 0 ? `{\n${indent}}` : `{\n${members.join(",\n")}\n${indent}}`;
}

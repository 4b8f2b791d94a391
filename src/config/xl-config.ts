// From the text of an xl.cfg(5) file to a domain: every key is read as its type, checked, and accounted for.

import { isAbsolute, resolve } from "node:path";
import type { ConsoleConfig } from "../host/console-devices.js";
import type { DiskConfig } from "../host/disk-config.js";
import { type ConfigPlace, formatPlace } from "./config-error.js";
import { type CpuList, parseCpuList } from "./cpu-list.js";
import { DiskSpecError, parseDiskSpec } from "./disk-spec.js";
import { overrideAssignments } from "./overrides.js";
import { readChannels } from "./xl-channel.js";
import { diskConfigOf } from "./xl-disk.js";
import { suggestKey, XL_KEYS } from "./xl-keys.js";
import { shorten } from "./xl-lexer.js";
import { mergeAssignments, parseXlSyntax } from "./xl-parser.js";
import type { XlAssignment } from "./xl-syntax.js";
import { type PlacedText, XlValues } from "./xl-values.js";

export const EVENT_ACTIONS = [
  ...["destroy", "restart", "rename-restart", "preserve", "coredump-destroy", "coredump-restart", "soft-reset"],
] as const;
export type EventAction =
  | "destroy"
  | "restart"
  | "rename-restart"
  | "preserve"
  | "coredump-destroy"
  | "coredump-restart"
  | "soft-reset";

/** A domain as xl.cfg(5) describes it, with xl's defaults. */
export interface XlDomainConfig {
  readonly name: string;
  readonly type: "pv" | "pvh" | "hvm";
  /** In lower case, 8-4-4-4-12. */
  readonly uuid?: string;
  readonly kernel?: string;
  readonly firmware?: "pvgrub32" | "pvgrub64";
  readonly ramdisk?: string;
  /** cmdline=, or root= and extra= put together. */
  readonly cmdline: string;
  /** Bytes. */
  readonly memory?: number;
  /** Bytes; at least `memory`. */
  readonly maxmem?: number;
  /** vCPUs online at the start. */
  readonly vcpus: number;
  readonly maxvcpus: number;
  /** Host CPUs of each vCPU, from the first on; vCPUs without an entry may run on all. */
  readonly cpus?: readonly CpuList[];
  /** The same for CPUs where they should run. */
  readonly cpusSoft?: readonly CpuList[];
  readonly cpuWeight?: number;
  /** Percent of a CPU; 0: no cap. */
  readonly cap?: number;
  readonly disks: readonly DiskConfig[];
  /** Specifications of xl-network-configuration(5), with their lines. */
  readonly vifs: readonly PlacedText[];
  /** Channels: consoles beside the first. */
  readonly consoles?: readonly ConsoleConfig[];
  readonly onPoweroff: EventAction;
  readonly onReboot: EventAction;
  readonly onWatchdog: EventAction;
  readonly onCrash: EventAction;
}

export interface ConfigWarning extends ConfigPlace {
  /** One sentence. */
  readonly message: string;
}

export interface ParsedXlConfig {
  readonly domain: XlDomainConfig;
  readonly warnings: readonly ConfigWarning[];
  /** Keys that were accepted and have no effect here. */
  readonly noted: readonly string[];
}

export interface XlConfigOptions {
  /** `key=value` words of the command line: they come after the file's own lines. */
  readonly overrides?: readonly string[];
  /** Where relative paths are; default: they stay as they are, disks in the working directory. */
  readonly directory?: string;
  /** `--snapshot`: what the guest writes to its disks is gone when it ends. */
  readonly snapshot?: boolean;
}

const MEGABYTE = 2 ** 20;
const MAX_MEGABYTES = 2 ** 24;
/** Event channels and interface pages are made for so many (VCPUs of the 32 in shared_info_t). */
const MAX_VCPUS = 32;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** "f.cfg:3: vfb: …" */
export function formatWarning(warning: ConfigWarning): string {
  return `${formatPlace(warning)}: ${warning.message}`;
}

/**
 * @param text what the file holds
 * @param file its name, for messages
 * @throws ConfigError that names file, line and key
 */
export function parseXlConfig(text: string, file: string, options: XlConfigOptions = {}): ParsedXlConfig {
  const assignments = [...parseXlSyntax(text, file), ...overrideAssignments(options.overrides ?? [])];
  const merged = mergeAssignments(assignments);
  const values = new XlValues(merged, file);
  const { warnings, noted } = checkKeys(merged, values);
  const warn = (key: string, line: number, message: string) => {
    warnings.push({ file: merged.get(key)?.file ?? file, line, key, message });
  };
  return { domain: readDomain(values, options, warn), warnings, noted };
}

function checkKeys(merged: ReadonlyMap<string, XlAssignment>, values: XlValues) {
  const warnings: ConfigWarning[] = [];
  const noted: string[] = [];
  for (const { key, file, line } of merged.values()) {
    const known = XL_KEYS.get(key);
    if (!known) {
      const near = suggestKey(key);
      const message = `unknown key, which has no effect${near ? ` (did you mean ${near}?)` : ""}`;
      warnings.push({ file, line, key, message });
    } else if (known.support === "noted") noted.push(key);
    else if (known.support === "refused" && values.isOn(key)) values.fail(key, `not supported: ${known.because}`);
    else if (known.support === "ignored" && values.isOn(key))
      warnings.push({ file, line, key, message: `not supported, and left out: ${known.because}` });
  }
  return { warnings, noted };
}

type Warn = (key: string, line: number, message: string) => void;

/** The object without its undefined members. */
function present<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never;
}

function readDomain(values: XlValues, options: XlConfigOptions, warn: Warn): XlDomainConfig {
  const name = values.string("name");
  if (name === undefined) return values.fail("name", "is missing");
  const path = (key: string) => {
    const given = values.string(key);
    return given === undefined || isAbsolute(given) || options.directory === undefined
      ? given
      : resolve(options.directory, given);
  };
  const kernel = path("kernel");
  const firmware = kernel === undefined ? values.choice("firmware", ["pvgrub32", "pvgrub64"]) : undefined;
  if (kernel === undefined && firmware === undefined) return values.fail("kernel", "is missing");
  return present({
    name: name.length <= 255 ? name : values.fail("name", "is longer than 255 characters"),
    type: typeOf(values),
    uuid: uuidOf(values),
    kernel,
    firmware,
    ramdisk: path("ramdisk"),
    cmdline: commandLine(values),
    ...readMemory(values),
    ...readCpus(values),
    cpuWeight: values.number("cpu_weight", 1, 65535),
    cap: values.number("cap", 0, 100 * MAX_VCPUS),
    disks: readDisks(values, options, warn),
    vifs: values.list("vif"),
    consoles: readChannels(values, options),
    onPoweroff: values.choice("on_poweroff", EVENT_ACTIONS) ?? "destroy",
    onReboot: values.choice("on_reboot", EVENT_ACTIONS) ?? "restart",
    onWatchdog: values.choice("on_watchdog", EVENT_ACTIONS) ?? "destroy",
    onCrash: values.choice("on_crash", EVENT_ACTIONS) ?? "destroy",
  }) as XlDomainConfig;
}

/** type=, or builder= of old. */
function typeOf(values: XlValues): XlDomainConfig["type"] {
  const type = values.choice("type", ["pv", "pvh", "hvm"]);
  if (type) return type;
  const builder = values.choice("builder", ["generic", "linux", "hvm"]);
  return builder === "hvm" ? "hvm" : "pv";
}

function uuidOf(values: XlValues): string | undefined {
  const text = values.string("uuid")?.toLowerCase();
  if (text === undefined || UUID.test(text)) return text;
  const bare = text.replaceAll("-", "");
  if (!/^[0-9a-f]{32}$/.test(bare)) return values.fail("uuid", `${shorten(text)} isn't a UUID`);
  return bare.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function commandLine(values: XlValues): string {
  const cmdline = values.string("cmdline");
  if (cmdline !== undefined) return cmdline;
  const root = values.string("root");
  return [...(root === undefined ? [] : [`root=${root}`]), values.string("extra") ?? ""].join(" ").trim();
}

function readMemory(values: XlValues): { memory?: number; maxmem?: number } {
  const memory = values.number("memory", 1, MAX_MEGABYTES);
  const maxmem = values.number("maxmem", 1, MAX_MEGABYTES);
  if (maxmem !== undefined && memory !== undefined && maxmem < memory)
    return values.fail("maxmem", `${maxmem} is less than memory, which is ${memory}`);
  const start = memory ?? maxmem;
  return {
    ...(start === undefined ? {} : { memory: start * MEGABYTE }),
    ...(maxmem === undefined ? {} : { maxmem: maxmem * MEGABYTE }),
  };
}

function readCpus(values: XlValues): Pick<XlDomainConfig, "vcpus" | "maxvcpus" | "cpus" | "cpusSoft"> {
  const online = values.number("vcpus", 1, MAX_VCPUS);
  const maxvcpus = values.number("maxvcpus", 1, MAX_VCPUS) ?? online ?? 1;
  const vcpus = online ?? maxvcpus;
  if (maxvcpus < vcpus) return values.fail("maxvcpus", `${maxvcpus} is less than vcpus, which is ${vcpus}`);
  const cpus = readCpuLists(values, "cpus", maxvcpus);
  const cpusSoft = readCpuLists(values, "cpus_soft", maxvcpus);
  return { vcpus, maxvcpus, ...(cpus.length > 0 ? { cpus } : {}), ...(cpusSoft.length > 0 ? { cpusSoft } : {}) };
}

/** One string is for all vCPUs, a list has one for each. */
function readCpuLists(values: XlValues, key: string, maxvcpus: number): readonly CpuList[] {
  const lists = values.list(key).map(({ text, line }) => {
    return parseCpuList(text) ?? values.fail(key, `${shorten(text)} isn't a list of CPUs such as 0-3,^2`, line);
  });
  return lists.length === 0 || values.isList(key) ? lists : Array.from({ length: maxvcpus }, () => lists[0]!);
}

function readDisks(values: XlValues, options: XlConfigOptions, warn: Warn): DiskConfig[] {
  const disks: DiskConfig[] = [];
  for (const { text, line } of values.list("disk")) {
    try {
      const spec = parseDiskSpec(text);
      const disk = diskConfigOf(spec, options);
      if (disk) disks.push(disk);
      else warn("disk", line, `${spec.vdev} is an empty CD-ROM drive, and left out`);
    } catch (error) {
      if (!(error instanceof DiskSpecError)) throw error;
      values.fail("disk", error.message, line);
    }
  }
  return disks;
}

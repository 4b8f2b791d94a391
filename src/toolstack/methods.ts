// The methods of a host's control socket: their types, for clients, and what they do. Domains are named by id or name, as commands
// name them.

import type { Duplex } from "node:stream";
import { DiskSpecError, parseDiskSpec } from "../config/disk-spec.js";
import { formatWarning } from "../config/xl-config.js";
import { diskConfigOf } from "../config/xl-disk.js";
import type { RpcHandlers, StreamStart } from "../control/rpc-server.js";
import type { DiskConfig } from "../host/disk-config.js";
import { XenError } from "../host/errors.js";
import type { GuestDomain } from "../host/guest-domain.js";
import type { GuestInterface } from "../host/guest-interface.js";
import type { PoolScheduling } from "../host/pool-scheduling.js";
import {
  attachDisk,
  attachVif,
  detachDisk,
  detachVif,
  setMemoryTarget,
  setScheduling,
  setVcpus,
} from "./domain-changes.js";
import { type ChannelInfo, listChannels, listVbds, listVifs, type VbdInfo, type VifInfo } from "./domain-devices.js";
import { type HostInfo, hostInfo } from "./host-info.js";
import type { LogRing } from "./log-ring.js";
import { type DomainSummary, type ManagedDomain, summaryOf } from "./managed-domain.js";
import { Params } from "./params.js";
import type { Toolstack } from "./toolstack.js";

interface DomainParams {
  /** Name or id. */
  readonly domain: string;
}

type Method<Params, Result> = { readonly params: Params; readonly result: Result };

export type ControlMethods = {
  "host.info": Method<object, HostInfo>;
  /** Changes what is given of the scheduler's parameters. */
  "host.scheduling": Method<Partial<PoolScheduling>, PoolScheduling>;
  /** Their answers are in host.dmesg. */
  "host.debugKeys": Method<{ keys: string }, null>;
  "host.dmesg": Method<{ clear?: boolean }, readonly string[]>;
  /** Ends the host. `force`: without asking the guests; else they have `timeout` ms. */
  "host.shutdown": Method<{ force?: boolean; timeout?: number }, null>;
  "domain.create": Method<
    {
      /** Text and name of an xl.cfg file. */
      text: string;
      file: string;
      overrides?: readonly string[];
      /** Where relative paths of the file are. */
      directory: string;
      paused?: boolean;
      /** false: nothing happens when the domain ends. */
      watch?: boolean;
      snapshot?: boolean;
    },
    { readonly domid: number; readonly name: string; readonly warnings: readonly string[] }
  >;
  "domain.list": Method<{ domain?: string }, readonly DomainSummary[]>;
  "domain.destroy": Method<DomainParams, null>;
  "domain.pause": Method<DomainParams, null>;
  "domain.unpause": Method<DomainParams, null>;
  "domain.rename": Method<DomainParams & { name: string }, null>;
  /** `what` through control/shutdown in XenStore. */
  "domain.shutdown": Method<DomainParams & { what: "poweroff" | "reboot" }, null>;
  /** Resolves when the domain has ended: its SHUTDOWN_* code, or null when it was destroyed. */
  "domain.wait": Method<DomainParams & { destroyed?: boolean }, { readonly reason: string }>;
  /** Writes its core to a file of the host's machine. */
  "domain.dumpCore": Method<DomainParams & { path: string }, null>;
  "domain.nmi": Method<DomainParams & { vcpu: number }, null>;
  "domain.sysrq": Method<DomainParams & { key: string }, null>;
  "domain.memory": Method<DomainParams & { kind: "target" | "max"; bytes: number }, null>;
  /** How many vCPUs the guest is asked to have online. */
  "domain.vcpus": Method<DomainParams & { count: number }, null>;
  /** Where a vCPU runs, without `vcpu` all of them: numbers of the host's CPUs. */
  "domain.pin": Method<DomainParams & { vcpu?: number; hard?: readonly number[]; soft?: readonly number[] }, null>;
  "domain.schedule": Method<DomainParams & { weight?: number; cap?: number }, null>;
  "block.list": Method<DomainParams, readonly VbdInfo[]>;
  /** `spec` as in xl-disk-configuration(5). */
  "block.attach": Method<DomainParams & { spec: string; directory: string }, null>;
  /** `vdev`: its number or name. */
  "block.detach": Method<DomainParams & { vdev: string; force?: boolean }, null>;
  "channel.list": Method<DomainParams, readonly ChannelInfo[]>;
  "network.list": Method<DomainParams, readonly VifInfo[]>;
  /** `spec` as in xl-network-configuration(5). */
  "network.attach": Method<DomainParams & { spec: string }, null>;
  /** `vif`: its number, or its MAC address. */
  "network.detach": Method<DomainParams & { vif: string }, null>;
  /** The connection becomes a pcap file of what the interface sends and receives; default: the first one. */
  "network.dump": Method<
    DomainParams & { vif?: string; snapLength?: number; count?: number },
    { readonly vif: string }
  >;
  /** What a rebuilt domain is made from. */
  "domain.configure": Method<
    DomainParams & { text: string; file: string; overrides?: readonly string[]; directory: string },
    { readonly warnings: readonly string[] }
  >;
  /** The connection becomes the console: raw bytes both ways. `follow`: also of the domain that a reboot puts in its place. */
  "console.open": Method<
    DomainParams & { number?: number; follow?: boolean; unpause?: boolean },
    { readonly domid: number }
  >;
};

/** Bytes. */
const MAX_MEMORY = 2 ** 44;
const MAX_CPU_NUMBER = 4095;
const MAX_KEYS = 64;
const MAX_PARAMETER = 2 ** 31 - 1;
const MAX_TIMEOUT = 2 ** 31 - 1;

export interface MethodContext {
  readonly toolstack: Toolstack;
  readonly dmesg: LogRing;
  readonly startedAt: number;
  /** Asked for by a client. */
  readonly onShutdown: (options: { force: boolean; timeout: number }) => void;
  readonly onDefect: (error: unknown) => void;
}

type Handlers = {
  readonly [Name in Exclude<keyof ControlMethods, "console.open" | "network.dump">]: (
    params: Params,
    signal: AbortSignal,
  ) => ControlMethods[Name]["result"] | Promise<ControlMethods[Name]["result"]>;
};

export function controlHandlers(context: MethodContext): RpcHandlers {
  const { toolstack, onDefect } = context;
  const domain = (params: Params) => toolstack.find(params.string("domain"));
  const methods: Handlers = {
    "host.info": () => hostInfo(toolstack.host, context.startedAt),
    "host.scheduling": (params) => {
      const names = ["timeslice", "ratelimit", "migrationDelay"] as const;
      const given = names.map((name) => [name, params.optionalNumber(name, 0, MAX_PARAMETER)] as const);
      toolstack.host.setScheduling(Object.fromEntries(given.filter(([, value]) => value !== undefined)));
      return toolstack.host.scheduling;
    },
    "host.debugKeys": (params) => {
      toolstack.host.debugKeys(params.string("keys").slice(0, MAX_KEYS));
      return null;
    },
    "host.dmesg": (params) => context.dmesg.read(params.flag("clear")),
    "host.shutdown": (params) => {
      const timeout = params.optionalNumber("timeout", 0, MAX_TIMEOUT) ?? 60_000;
      context.onShutdown({ force: params.flag("force"), timeout });
      return null;
    },
    "domain.create": async (params) => {
      const { domain: made, warnings } = await toolstack.create({
        text: params.string("text"),
        file: params.string("file"),
        overrides: params.strings("overrides"),
        directory: params.string("directory"),
        paused: params.flag("paused"),
        watch: params.flag("watch", true),
        snapshot: params.flag("snapshot"),
      });
      return { domid: made.guest.id, name: made.guest.name, warnings: warnings.map(formatWarning) };
    },
    "domain.list": (params) => {
      const word = params.optionalString("domain");
      return (word === undefined ? toolstack.domains : [toolstack.find(word)]).map(summaryOf);
    },
    "domain.destroy": async (params) => {
      const word = params.string("domain");
      const isDomain0 = toolstack.domains.some(({ guest }) => guest.id === 0 && [guest.name, "0"].includes(word));
      if (isDomain0) throw new XenError("unsupported", "Domain-0 can't be destroyed: it ends with its host");
      await toolstack.destroyNamed(word);
      return null;
    },
    "domain.pause": (params) => {
      const { guest } = domain(params);
      if (!guest.isPaused) guest.pause();
      return null;
    },
    "domain.unpause": (params) => {
      const { guest } = domain(params);
      while (guest.isPaused) guest.unpause();
      return null;
    },
    "domain.rename": (params) => {
      toolstack.rename(requireGuest(domain(params), "be renamed"), params.string("name"));
      return null;
    },
    "domain.shutdown": (params) => {
      domain(params).guest.request(params.choice("what", ["poweroff", "reboot"]));
      return null;
    },
    "domain.wait": (params, signal) => waitForEnd(domain(params), params.flag("destroyed"), signal),
    "domain.dumpCore": async (params) => {
      await domain(params).guest.dumpCore(params.string("path"));
      return null;
    },
    "domain.nmi": (params) => {
      domain(params).guest.sendNmi(params.number("vcpu", 0, MAX_CPU_NUMBER));
      return null;
    },
    "domain.sysrq": (params) => {
      const key = params.string("key");
      if (!/^[\x21-\x7e]$/.test(key)) throw new XenError("bad-argument", "Invalid sysrq.");
      domain(params).guest.sendSysrq(key);
      return null;
    },
    "domain.memory": (params) => {
      const bytes = params.number("bytes", 0, MAX_MEMORY);
      if (params.choice("kind", ["target", "max"]) === "target") setMemoryTarget(domain(params), bytes);
      else domain(params).guest.setMaxMemory(bytes);
      return null;
    },
    "domain.vcpus": (params) => {
      setVcpus(domain(params), params.number("count", 1, MAX_CPU_NUMBER));
      return null;
    },
    "domain.pin": (params) => {
      const hard = params.optionalNumbers("hard", 0, MAX_CPU_NUMBER);
      const soft = params.optionalNumbers("soft", 0, MAX_CPU_NUMBER);
      domain(params).guest.setAffinity(params.optionalNumber("vcpu", 0, MAX_CPU_NUMBER) ?? "all", {
        ...(hard ? { hard } : {}),
        ...(soft ? { soft } : {}),
      });
      return null;
    },
    "domain.schedule": (params) => {
      const weight = params.optionalNumber("weight", 1, 65_535);
      const cap = params.optionalNumber("cap", 0, 65_535);
      setScheduling(domain(params), {
        ...(weight === undefined ? {} : { weight }),
        ...(cap === undefined ? {} : { cap }),
      });
      return null;
    },
    "block.list": (params) => listVbds(toolstack.host.xenstore, domain(params)),
    "block.attach": async (params) => {
      await attachDisk(domain(params), diskOf(params.string("spec"), params.string("directory")));
      return null;
    },
    "block.detach": async (params) => {
      await detachDisk(domain(params), params.string("vdev"), params.flag("force"));
      return null;
    },
    "channel.list": (params) => listChannels(toolstack.host.xenstore, domain(params)),
    "network.list": (params) => listVifs(toolstack.host.xenstore, domain(params)),
    "network.attach": async (params) => {
      await attachVif(domain(params), params.string("spec"));
      return null;
    },
    "network.detach": async (params) => {
      const found = domain(params);
      await detachVif(found, findVif(found.guest, params.string("vif")));
      return null;
    },
    "domain.configure": (params) => {
      const warnings = toolstack.configure(domain(params), {
        text: params.string("text"),
        file: params.string("file"),
        overrides: params.strings("overrides"),
        directory: params.string("directory"),
      });
      return { warnings: warnings.map(formatWarning) };
    },
  };
  return {
    methods: Object.fromEntries(
      Object.entries(methods).map(([name, run]) => [
        name,
        (params: unknown, { signal }: { signal: AbortSignal }) => run(new Params(params), signal),
      ]),
    ),
    streams: {
      "network.dump": (values) => {
        const params = new Params(values);
        return dumpVif(findVif(domain(params).guest, params.optionalString("vif")), params);
      },
      "console.open": (values) => {
        const params = new Params(values);
        const { guest, hubs } = domain(params);
        const number = params.optionalNumber("number", 0, 2 ** 31) ?? 0;
        const hub = hubs[number];
        if (!hub) throw new XenError("bad-argument", `${guest.name} has no console ${number}`);
        const follows = params.flag("follow");
        const isUnpaused = params.flag("unpause");
        return {
          result: { domid: guest.id },
          start: (stream: Duplex) => {
            hub.attach(stream, { follows });
            // So that `create -c` misses nothing.
            while (isUnpaused && guest.isPaused) guest.unpause();
          },
        };
      },
    },
    onDefect,
  };
}

/** What a reader of a capture may leave unread, bytes. */
const MAX_CAPTURED = 1 << 24;

function findVif(guest: GuestDomain, word: string | undefined): GuestInterface {
  const all = guest.interfaces();
  const found =
    word === undefined
      ? all[0]
      : all.find(({ devid, mac, vifname }) => String(devid) === word || mac === word.toLowerCase() || vifname === word);
  if (found) return found;
  const text = word === undefined ? `${guest.name} has no network interface` : `Unknown device ${word}.`;
  throw new XenError("no-device", text);
}

function dumpVif(found: GuestInterface, params: Params): StreamStart {
  const snapLength = params.optionalNumber("snapLength", 1, 65_553);
  const count = params.optionalNumber("count", 1, 2 ** 31);
  return {
    result: { vif: found.vifname },
    start: (stream) => {
      const write = (bytes: Uint8Array) => {
        // A capture with holes would be no evidence.
        if (stream.writableLength > MAX_CAPTURED) stream.destroy();
        else if (stream.writable) stream.write(Buffer.from(bytes));
      };
      const dump = found.dump(write, {
        ...(snapLength === undefined ? {} : { snapLength }),
        ...(count === undefined ? {} : { count }),
      });
      stream.removeAllListeners("data");
      stream.resume();
      stream.on("error", () => {});
      stream.once("end", () => stream.end());
      stream.once("close", () => dump.stop());
      dump.finished.then(() => stream.end()).catch(() => stream.destroy());
    },
  };
}

/** Domain 0 ends with its host. */
function requireGuest(domain: ManagedDomain, what: string): ManagedDomain {
  if (domain.guest.id === 0) throw new XenError("unsupported", `Domain-0 can't ${what}: it ends with its host`);
  return domain;
}

async function waitForEnd(domain: ManagedDomain, destroyed: boolean, signal: AbortSignal): Promise<{ reason: string }> {
  const { guest } = domain;
  const reason = await guest.waitForShutdown({ signal });
  if (!destroyed) return { reason };
  await Promise.race([
    domain.gone,
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  ]);
  return { reason };
}

/** @throws XenError bad-argument */
function diskOf(spec: string, directory: string): DiskConfig {
  try {
    const disk = diskConfigOf(parseDiskSpec(spec), { directory });
    if (disk) return disk;
    throw new XenError("unsupported", `${spec}: an empty drive can't be attached`);
  } catch (error) {
    if (error instanceof DiskSpecError) throw new XenError("bad-argument", error.message, { cause: error });
    throw error;
  }
}

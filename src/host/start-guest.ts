// From a domain's configuration to a running domain: reads the files, unpacks the kernel, has the hypervisor build the domain, and
// connects its console.

import { readFile } from "node:fs/promises";
import type { Domain } from "../hypervisor/hypervisor.js";
import { requirePv64Kernel, unpackKernel } from "../hypervisor/loader/kernel-image.js";
import { KernelImageError } from "../hypervisor/loader/kernel-image-error.js";
import { OutOfMachineMemoryError } from "../hypervisor/memory-manager.js";
import { DomainBuildError } from "../hypervisor/pv/domain-build-error.js";
import { buildPvDomain } from "../hypervisor/pv/domain-builder.js";
import { attachHardwareDomain, attachXenStore } from "../hypervisor/xenstore/attach-domain.js";
import { type ConsoleConfig, type OpenedConsole, openConsoles } from "./console-devices.js";
import { type OpenedDisk, openDiskConfigs } from "./disk-config.js";
import { XenError } from "./errors.js";
import { type DomainConfig, GuestDomain, type GuestServices } from "./guest-domain.js";
import { setAffinity, setScheduling } from "./guest-scheduling.js";
import { type OpenedVif, openVifs } from "./open-vif.js";
import { parseSize } from "./size.js";

const PAGE_SIZE = 4096;
/** As many have a vcpu_info in the shared info page. */
const MAX_VCPUS = 32;

async function fileOrBytes(source: string | Uint8Array, what: "kernel" | "ramdisk"): Promise<Uint8Array> {
  if (typeof source !== "string") return source;
  try {
    return await readFile(source);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason =
      code === "ENOENT"
        ? "no such file"
        : code === "EACCES"
          ? "permission denied"
          : code === "EISDIR"
            ? "is a directory"
            : message;
    throw new XenError(what === "kernel" ? "bad-kernel" : "bad-ramdisk", `${what} ${source}: ${reason}`, {
      cause: error,
    });
  }
}

/** Builds a domain from its configuration and starts it. `register` is called before the guest's first instruction. */
export async function startGuest(
  services: GuestServices,
  config: DomainConfig,
  register: (guest: GuestDomain) => void,
): Promise<GuestDomain> {
  const { hypervisor, cache } = services;
  const privileged = config.privileged ?? false;
  const bytes = parseSize(config.memory ?? "256M", "memory");
  const pages = Math.floor(bytes / 4096);
  const maxPages = config.maxMemory === undefined ? 0 : Math.floor(parseSize(config.maxMemory, "maxMemory") / 4096);
  const { vcpus = 1, maxVcpus = vcpus } = config;
  for (const count of [vcpus, maxVcpus])
    if (!Number.isInteger(count) || count < 1 || count > MAX_VCPUS)
      throw new XenError("bad-argument", `a domain has 1 to ${MAX_VCPUS} vCPUs, not ${count}`);
  if (maxVcpus < vcpus) throw new XenError("bad-argument", `maxVcpus is ${maxVcpus}, less than vcpus, ${vcpus}`);
  if (privileged && hypervisor.findDomain(0)) throw new XenError("bad-argument", "this host has a dom0 already");
  const kernelName = typeof config.kernel === "string" ? config.kernel : "kernel";
  for (const kind of ["disks", "vifs", "consoles"] as const)
    if (privileged && config[kind]?.length)
      throw new XenError("bad-argument", `a privileged domain can't have ${kind}: it would be its own backend`);
  const [kernelBytes, ramdisk] = await Promise.all([
    fileOrBytes(config.kernel, "kernel"),
    config.ramdisk === undefined ? undefined : fileOrBytes(config.ramdisk, "ramdisk"),
  ]);
  const name = config.name ?? (privileged ? "Domain-0" : "guest");
  const disks: OpenedDisk[] = await openDiskConfigs(config.disks ?? [], { locks: services.locks, name });
  const vifs = await openInterfaces(config, services, disks);
  const consoles = await openAllConsoles(config.consoles ?? [], name, disks, vifs);
  let domain: Domain | undefined;
  let guest: GuestDomain | undefined;
  try {
    const image = unpackKernel(kernelBytes, { name: kernelName, ...(cache ? { cache } : {}) });
    const kernel = requirePv64Kernel(image, { dom0: privileged });
    domain = hypervisor.createDomain({
      name,
      privileged,
      maxPages: Math.max(pages, maxPages),
      ...(config.uuid === undefined ? {} : { handle: parseUuid(config.uuid) }),
      vcpus: maxVcpus,
    });
    setScheduling(domain, config.scheduling ?? {});
    for (const [vcpu, affinity] of (config.affinity ?? []).slice(0, maxVcpus).entries())
      setAffinity(domain, vcpu, affinity);
    services.profiler?.addDomain(domain, image.elf);
    guest = new GuestDomain(services, domain);
    register(guest);
    const storePort = allocatePort(domain);
    const consolePort = privileged ? undefined : allocatePort(domain);
    const built = buildPvDomain(domain, {
      kernel,
      commandLine: config.cmdline ?? "",
      pages,
      ...(ramdisk ? { ramdisk } : {}),
      storePort,
      ...(consolePort === undefined ? {} : { consolePort }),
    });
    const { storeMfn, consoleMfn } = built;
    if (privileged && storeMfn !== undefined)
      attachHardwareDomain(services.store, domain, { storeMfn, storePort, onlineVcpus: vcpus });
    if (storeMfn !== undefined && consoleMfn !== undefined && consolePort !== undefined) {
      const { events, console } = domain;
      const { memory } = hypervisor;
      const page = {
        bytes: memory.bytes(consoleMfn * PAGE_SIZE, PAGE_SIZE),
        write: (offset: number, source: Uint8Array) => memory.write(consoleMfn * PAGE_SIZE + offset, source),
      };
      console.attachRing(page, (onEvent) => events.bindHost(consolePort, onEvent));
      attachXenStore(services.store, domain, { storeMfn, storePort, consoleMfn, consolePort, onlineVcpus: vcpus });
    }
    for (const disk of disks) guest.blockDevices.attach(disk);
    for (const vif of vifs) guest.netDevices.attach(vif);
    for (const console of consoles) guest.consoleDevices.attach(console);
    if (config.paused) domain.pause();
    return guest;
  } catch (error) {
    await Promise.all([guest?.blockDevices.stop(), guest?.netDevices.stop(), guest?.consoleDevices.stop()]);
    await Promise.all([...disks.map(({ store }) => store.close()), ...consoles.map((console) => console.close())]);
    for (const vif of vifs) vif.discard();
    if (domain) {
      hypervisor.destroyDomain(domain);
      services.onDestroy(domain);
    }
    if (error instanceof KernelImageError) throw new XenError("bad-kernel", error.message, { cause: error });
    if (error instanceof DomainBuildError) {
      const code = error.code === "command-line-too-long" ? "bad-argument" : "out-of-memory";
      throw new XenError(code, error.message, { cause: error });
    }
    if (error instanceof OutOfMachineMemoryError) throw new XenError("out-of-memory", error.message, { cause: error });
    throw error;
  }
}

function parseUuid(text: string): Uint8Array {
  const hex = text.replaceAll("-", "");
  if (!/^[0-9a-fA-F]{32}$/.test(hex)) throw new XenError("bad-argument", `uuid: "${text}" is not a UUID`);
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

/** With the disks closed again when that fails. */
async function openInterfaces(
  { vifs = [] }: DomainConfig,
  services: GuestServices,
  disks: readonly OpenedDisk[],
): Promise<OpenedVif[]> {
  try {
    return await openVifs(vifs, services.vifs);
  } catch (error) {
    await Promise.all(disks.map(({ store }) => store.close()));
    throw error;
  }
}

/** With disks and interfaces closed again when that fails. */
async function openAllConsoles(
  configs: readonly ConsoleConfig[],
  name: string,
  disks: readonly OpenedDisk[],
  vifs: readonly OpenedVif[],
): Promise<OpenedConsole[]> {
  try {
    return await openConsoles(configs, name);
  } catch (error) {
    await Promise.all(disks.map(({ store }) => store.close()));
    for (const vif of vifs) vif.discard();
    throw error;
  }
}

function allocatePort(domain: Domain): number {
  const port = domain.events.allocUnbound(0);
  if (port <= 0) throw new XenError("internal", `${domain.name}: no event channel (${port})`);
  return port;
}

// A domain as library users hold it: its console, its end, and the ways to end it.

import { EventEmitter } from "node:events";
import type { FileLocks } from "../devices/storage/file-locks.js";
import { parseVirtualDevice } from "../devices/xen/blkback/virtual-device.js";
import type { Domain, Hypervisor } from "../hypervisor/hypervisor.js";
import type { KernelCache } from "../hypervisor/loader/kernel-image.js";
import {
  SHUTDOWN_crash,
  SHUTDOWN_poweroff,
  SHUTDOWN_reboot,
  SHUTDOWN_suspend,
  SHUTDOWN_watchdog,
} from "../hypervisor/public/sched.js";
import { detachXenStore } from "../hypervisor/xenstore/attach-domain.js";
import { formatUuid } from "../hypervisor/xenstore/domain-nodes.js";
import type { XenStoreServer } from "../hypervisor/xenstore/server.js";
import { type BlockDeviceInfo, BlockDevices } from "./block-devices.js";
import { type ConsoleConfig, ConsoleDevices } from "./console-devices.js";
import type { DeferredEvents } from "./deferred-events.js";
import { type DiskConfig, openDiskConfig } from "./disk-config.js";
import { writeCore } from "./dump-file.js";
import { XenError } from "./errors.js";
import { GuestConsole, type WaitOptions } from "./guest-console.js";
import {
  renameGuest,
  requestShutdown,
  type ShutdownRequest,
  sendNmi,
  sendSysrq,
  setMaxMemory,
  setMemoryTarget,
} from "./guest-control.js";
import { type GuestInfo, guestInfo } from "./guest-info.js";
import type { GuestInterface } from "./guest-interface.js";
import {
  type CpuAffinity,
  type SchedulingParameters,
  setAffinity,
  setOnlineVcpus,
  setScheduling,
} from "./guest-scheduling.js";
import { type ExecOptions, type ExecResult, GuestShell } from "./guest-shell.js";
import { NetDevices } from "./net-devices.js";
import { openVif, type VifServices } from "./open-vif.js";
import type { Profiler } from "./profiler.js";
import type { VifConfig } from "./vif-config.js";

export interface DomainConfig {
  readonly name?: string;
  /** Path of a kernel file (bzImage or ELF, packed or not), or its bytes. */
  readonly kernel: string | Uint8Array;
  /** Path or bytes of an initial ramdisk. */
  readonly ramdisk?: string | Uint8Array;
  readonly cmdline?: string;
  /** Bytes or "512M"; default 256 MiB. */
  readonly memory?: number | string;
  /** dom0: the privileged domain. Only one a host. */
  readonly privileged?: boolean;
  /** vCPUs online at the start, 1 to 32; default 1. */
  readonly vcpus?: number;
  /** vCPUs that it may have online at most (`setVcpus`); default: `vcpus`. */
  readonly maxVcpus?: number;
  /** Where each vCPU runs, from the first on; default: on all CPUs of the host. */
  readonly affinity?: readonly CpuAffinity[];
  /** Its share of the CPUs. */
  readonly scheduling?: SchedulingParameters;
  /** Not for dom0. */
  readonly disks?: readonly DiskConfig[];
  /** 8-4-4-4-12; default: a random one. */
  readonly uuid?: string;
  /** Most memory the domain may grow to, bytes or "512M"; default: `memory`. */
  readonly maxMemory?: number | string;
  /** Network interfaces; strings as in xl.cfg. Not for dom0. */
  readonly vifs?: readonly (VifConfig | string)[];
  /** Consoles 1, 2, …, beside its first. Not for dom0. */
  readonly consoles?: readonly ConsoleConfig[];
  /** Leaves the domain paused. */
  readonly paused?: boolean;
}

export type ShutdownReason = "poweroff" | "reboot" | "suspend" | "crash" | "watchdog" | "destroyed";

const reasons: Readonly<Record<number, ShutdownReason>> = {
  [SHUTDOWN_poweroff]: "poweroff",
  [SHUTDOWN_reboot]: "reboot",
  [SHUTDOWN_suspend]: "suspend",
  [SHUTDOWN_crash]: "crash",
  [SHUTDOWN_watchdog]: "watchdog",
};

export interface GuestServices {
  readonly hypervisor: Hypervisor;
  readonly store: XenStoreServer;
  readonly cache: KernelCache | undefined;
  /** Of the files behind the host's disks. */
  readonly locks: FileLocks;
  readonly profiler: Profiler | undefined;
  readonly vifs: VifServices;
  /** Backends' work between turns of guests. */
  readonly deferred: DeferredEvents;
  readonly onDestroy: (domain: Domain) => void;
}

export interface GuestEvents {
  /** The domain ended by itself. */
  shutdown: [reason: ShutdownReason];
  /** The host failed: a defect of xen-ts. */
  error: [error: Error];
}

export class GuestDomain extends EventEmitter<GuestEvents> {
  readonly id: number;
  readonly console: GuestConsole;
  readonly #shell: GuestShell;
  readonly #domain: Domain;
  readonly #services: GuestServices;
  /** For the host. */
  readonly blockDevices: BlockDevices;
  /** For the host. */
  readonly netDevices: NetDevices;
  /** For the host. */
  readonly consoleDevices: ConsoleDevices;
  #released: Promise<void> = Promise.resolve();
  #reason: ShutdownReason | undefined;
  #failure: Error | undefined;
  #isDestroyed = false;

  /** Made by XenHost.createDomain. */
  constructor(services: GuestServices, domain: Domain) {
    super();
    this.id = domain.id;
    this.#domain = domain;
    this.#services = services;
    this.blockDevices = new BlockDevices(domain, services.store, services.deferred);
    this.console = new GuestConsole(
      () => domain.name,
      (bytes) => domain.console.write(bytes),
    );
    this.netDevices = new NetDevices(domain, services.store, services.deferred, services.vifs);
    this.consoleDevices = new ConsoleDevices(domain, services.store, services.deferred);
    this.#shell = new GuestShell(this.console);
  }

  get name(): string {
    return this.#domain.name;
  }

  /** All consoles, the first being `console`. */
  get consoles(): readonly GuestConsole[] {
    return [this.console, ...this.consoleDevices.list().map(({ console }) => console)];
  }

  /** In XenStore too, where the guest can read it. */
  rename(name: string): void {
    renameGuest(this.#domain, this.#services.store, name);
  }

  /** 8-4-4-4-12 */
  get uuid(): string {
    return formatUuid(this.#domain.handle);
  }

  /** What the hypervisor counts of it. */
  get info(): GuestInfo {
    return guestInfo(this.#domain);
  }

  /** Why the domain ended, or undefined while it lives. */
  get shutdownReason(): ShutdownReason | undefined {
    return this.#reason;
  }

  /** Resolves with the reason when the domain has ended. @throws XenError "internal" when the host failed. */
  async waitForShutdown(options: WaitOptions = {}): Promise<ShutdownReason> {
    const { timeout, signal } = options;
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      if (this.#reason) return resolve(this.#reason);
      let timer: NodeJS.Timeout | undefined;
      const done = () => {
        clearTimeout(timer);
        this.off("shutdown", onShutdown);
        this.off("error", onError);
        signal?.removeEventListener("abort", onAbort);
      };
      const onShutdown = (reason: ShutdownReason) => {
        done();
        resolve(reason);
      };
      const onError = (error: Error) => {
        done();
        reject(error);
      };
      const onAbort = () => onError(signal!.reason);
      this.once("shutdown", onShutdown);
      this.once("error", onError);
      signal?.addEventListener("abort", onAbort);
      if (timeout !== undefined)
        timer = setTimeout(
          () => onError(new XenError("timeout", `${this.name}: still running after ${timeout} ms`)),
          timeout,
        );
    });
  }

  /** Runs a command in the shell on the console and returns what it printed and its status. Waits for the shell first. */
  exec(command: string, options: ExecOptions = {}): Promise<ExecResult> {
    return this.#shell.exec(command, options);
  }

  /** Resolves when the shell on the console waits for commands; exec does this by itself. */
  waitForShell(options: Omit<ExecOptions, "onOutput"> = {}): Promise<void> {
    return this.#shell.ready(options);
  }

  /**
   * Asks the guest to power off and waits until it has: by control/shutdown in XenStore, but dom0 through the shell on its console.
   * Default timeout: 60,000 ms.
   */
  async shutdown(options: WaitOptions = {}): Promise<ShutdownReason> {
    if (this.#reason) return this.#reason;
    if (this.#domain.privileged) {
      await this.#shell.ready(options);
      await this.console.write("poweroff\n");
    } else this.request("poweroff");
    return this.waitForShutdown({ timeout: 60_000, ...options });
  }

  /** Writes control/shutdown, which the guest's kernel watches. Not for dom0: it has no such node. */
  request(what: ShutdownRequest): void {
    requestShutdown(this.#domain, this.#services.store, what);
  }

  /** The key of a magic SysRq: h, s, t, … */
  sendSysrq(key: string): void {
    sendSysrq(this.#domain, this.#services.store, key);
  }

  /** A non-maskable interrupt for a vCPU. @throws XenError bad-argument */
  sendNmi(vcpu = 0): void {
    sendNmi(this.#domain, vcpu);
  }

  /** What the guest's balloon driver is to make of its memory, bytes; it may take its time. */
  setMemoryTarget(bytes: number): void {
    setMemoryTarget(this.#domain, this.#services.store, bytes);
  }

  /** The most that the hypervisor lets it have, bytes. */
  setMaxMemory(bytes: number): void {
    setMaxMemory(this.#domain, bytes);
  }

  /** Asks the guest to have its first so many vCPUs online, through XenStore. @throws XenError bad-argument */
  setVcpus(count: number): void {
    setOnlineVcpus(this.#domain, this.#services.store, count);
  }

  /** Changes its share of the CPUs. @throws XenError bad-argument */
  setScheduling(parameters: SchedulingParameters): void {
    setScheduling(this.#domain, parameters);
  }

  /** Changes where a vCPU runs, or all of them. @throws XenError bad-argument */
  setAffinity(vcpu: number | "all", affinity: CpuAffinity): void {
    setAffinity(this.#domain, vcpu === "all" ? undefined : vcpu, affinity);
  }

  /** Stops the domain's vCPUs until as many unpause calls. */
  pause(): void {
    this.#domain.pause();
  }

  unpause(): void {
    this.#domain.unpause();
  }

  get isPaused(): boolean {
    return this.#domain.pauseCount > 0;
  }

  /** The disks it has. */
  disks(): BlockDeviceInfo[] {
    return this.blockDevices.list();
  }

  /** Gives the running domain a disk. @throws XenError: bad-argument, bad-disk, domain-gone */
  async attachDisk(config: DiskConfig): Promise<void> {
    const disk = await openDiskConfig(config, { locks: this.#services.locks, name: this.name });
    try {
      if (this.#isDestroyed) throw new XenError("domain-gone", `${this.name}: the domain is gone`);
      this.blockDevices.attach(disk);
    } catch (error) {
      await disk.store.close();
      throw error;
    }
  }

  /**
   * Takes a disk from the running domain; its data is durable then. Waits until the guest lets go, by default 10,000 ms.
   * @param vdev as in its DiskConfig
   * @param options force: takes it away when the guest doesn't let go
   * @throws XenError: bad-argument, no-device, timeout
   */
  async detachDisk(vdev: string, options: { timeout?: number; force?: boolean } = {}): Promise<void> {
    const { timeout = 10_000, force = false } = options;
    const number = parseVirtualDevice(vdev)?.number;
    if (number === undefined) throw new XenError("bad-argument", `"${vdev}" is not a virtual device such as xvda`);
    await this.blockDevices.detach(number, { timeout, force });
  }

  /** The network interfaces it has. */
  interfaces(): GuestInterface[] {
    return this.netDevices.list();
  }

  /** One of its network interfaces. @param which its devid or MAC. @throws XenError no-device */
  interface(which: number | string = 0): GuestInterface {
    return this.netDevices.find(which);
  }

  /** Gives the running domain a network interface. @throws XenError: bad-argument, bad-network, domain-gone */
  async attachNetwork(config: VifConfig | string = {}): Promise<GuestInterface> {
    const vif = await openVif(config, this.#services.vifs);
    try {
      if (this.#isDestroyed) throw new XenError("domain-gone", `${this.name}: the domain is gone`);
      return this.netDevices.attach(vif);
    } catch (error) {
      vif.discard();
      throw error;
    }
  }

  /**
   * Takes a network interface from the running domain. Waits until the guest lets go, by default 10,000 ms.
   * @param which its devid or MAC
   * @param options force: takes it away when the guest doesn't let go
   * @throws XenError: no-device, timeout
   */
  async detachNetwork(which: number | string, options: { timeout?: number; force?: boolean } = {}): Promise<void> {
    const { timeout = 10_000, force = false } = options;
    await this.netDevices.detach(which, { timeout, force });
  }

  /** Writes registers and memory to a file, in Xen's dump-core format (ELF). It runs on meanwhile unless it is paused. */
  dumpCore(path: string): Promise<void> {
    if (this.#isDestroyed) throw new XenError("domain-gone", `${this.name}: the domain is gone`);
    return writeCore(this.#domain, path);
  }

  /** Ends the domain at once and frees its memory. What it wrote to its disks is durable when `released` resolves. */
  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#released = Promise.all([
      ...[this.blockDevices.stop(), this.netDevices.stop(), this.consoleDevices.stop()],
    ]).then(() => {});
    detachXenStore(this.#services.store, this.#domain);
    this.#services.hypervisor.destroyDomain(this.#domain);
    this.#services.onDestroy(this.#domain);
    this.#end("destroyed");
  }

  /** Resolves when nothing of a destroyed domain is under way any more. */
  released(): Promise<void> {
    return this.#released;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.destroy();
    await this.#released;
  }

  /** For the host. */
  onShutdown(reason: number): void {
    this.#end(reasons[reason] ?? "crash");
  }

  /** For the host. */
  onHostFailure(error: Error): void {
    this.#failure = error;
    for (const console of this.consoles) console.end(error);
    if (this.listenerCount("error") > 0) this.emit("error", error);
  }

  #end(reason: ShutdownReason): void {
    if (this.#reason) return;
    this.#reason = reason;
    const code = reason === "crash" ? "domain-crashed" : "domain-gone";
    const { crashReason } = this.#domain;
    const error = new XenError(
      code,
      `${this.name}: the domain ended (${reason}${crashReason ? `: ${crashReason}` : ""})`,
    );
    // The crash dump is written after the domain has stopped: let it reach the console's listeners first.
    setImmediate(() => {
      for (const console of this.consoles) console.end(error);
      this.emit("shutdown", reason);
    });
  }
}

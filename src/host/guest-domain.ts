// A domain as library users hold it: its console, its end, and the ways to end it.

import { EventEmitter } from "node:events";
import { readFile } from "node:fs/promises";
import type { Domain, Hypervisor } from "../hypervisor/hypervisor.js";
import { type KernelCache, requirePv64Kernel, unpackKernel } from "../hypervisor/loader/kernel-image.js";
import { KernelImageError } from "../hypervisor/loader/kernel-image-error.js";
import {
  SHUTDOWN_crash,
  SHUTDOWN_poweroff,
  SHUTDOWN_reboot,
  SHUTDOWN_suspend,
  SHUTDOWN_watchdog,
} from "../hypervisor/public/sched.js";
import { DomainBuildError } from "../hypervisor/pv/domain-build-error.js";
import { buildPvDomain } from "../hypervisor/pv/domain-builder.js";
import { XenError } from "./errors.js";
import { GuestConsole, type WaitOptions } from "./guest-console.js";
import { type ExecOptions, type ExecResult, execInShell } from "./guest-exec.js";
import { parseSize } from "./size.js";

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
  readonly vcpus?: number;
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
  readonly cache: KernelCache | undefined;
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
  readonly name: string;
  readonly console: GuestConsole;
  readonly #domain: Domain;
  readonly #services: GuestServices;
  #reason: ShutdownReason | undefined;
  #failure: Error | undefined;
  #isDestroyed = false;

  /** Made by XenHost.createDomain. */
  constructor(services: GuestServices, domain: Domain) {
    super();
    this.id = domain.id;
    this.name = domain.name;
    this.#domain = domain;
    this.#services = services;
    this.console = new GuestConsole(domain.name, (bytes) => domain.console.write(bytes));
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

  /** Runs a command in the shell on the console and returns what it printed. Waits for the shell first. */
  exec(command: string, options: ExecOptions = {}): Promise<ExecResult> {
    return execInShell(this.console, command, options);
  }

  /** Asks the guest's init to power off, through its shell, and waits until it has. */
  async shutdown(options: WaitOptions = {}): Promise<ShutdownReason> {
    if (this.#reason) return this.#reason;
    await this.console.write("poweroff\n");
    return this.waitForShutdown({ timeout: 60_000, ...options });
  }

  pause(): void {
    this.#domain.pause();
  }

  unpause(): void {
    this.#domain.unpause();
  }

  /** Ends the domain at once and frees its memory. */
  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#services.hypervisor.destroyDomain(this.#domain);
    this.#services.onDestroy(this.#domain);
    this.#end("destroyed");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.destroy();
  }

  /** For the host. */
  onShutdown(reason: number): void {
    this.#end(reasons[reason] ?? "crash");
  }

  /** For the host. */
  onHostFailure(error: Error): void {
    this.#failure = error;
    this.console.end(error);
    if (this.listenerCount("error") > 0) this.emit("error", error);
  }

  #end(reason: ShutdownReason): void {
    if (this.#reason) return;
    this.#reason = reason;
    const code = reason === "crash" ? "domain-crashed" : "domain-gone";
    // The crash dump is written after the domain has stopped: let it reach the console's listeners first.
    setImmediate(() => {
      this.console.end(new XenError(code, `${this.name}: the domain ended (${reason})`));
      this.emit("shutdown", reason);
    });
  }
}

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
  if (privileged && hypervisor.findDomain(0)) throw new XenError("bad-argument", "this host has a dom0 already");
  const kernelName = typeof config.kernel === "string" ? config.kernel : "kernel";
  const [kernelBytes, ramdisk] = await Promise.all([
    fileOrBytes(config.kernel, "kernel"),
    config.ramdisk === undefined ? undefined : fileOrBytes(config.ramdisk, "ramdisk"),
  ]);
  let domain: Domain | undefined;
  try {
    const image = unpackKernel(kernelBytes, { name: kernelName, ...(cache ? { cache } : {}) });
    const kernel = requirePv64Kernel(image, { dom0: privileged });
    domain = hypervisor.createDomain({
      name: config.name ?? (privileged ? "Domain-0" : "guest"),
      privileged,
      maxPages: pages,
      vcpus: config.vcpus ?? 1,
    });
    const guest = new GuestDomain(services, domain);
    register(guest);
    const storePort = privileged ? undefined : allocatePort(domain);
    const consolePort = privileged ? undefined : allocatePort(domain);
    const built = buildPvDomain(domain, {
      kernel,
      commandLine: config.cmdline ?? "",
      pages,
      ...(ramdisk ? { ramdisk } : {}),
      ...(storePort === undefined ? {} : { storePort }),
      ...(consolePort === undefined ? {} : { consolePort }),
    });
    if (built.consoleMfn !== undefined && consolePort !== undefined) {
      const { events, console } = domain;
      console.attachRing(built.consoleMfn * 4096, (onEvent) => events.bindHost(consolePort, onEvent));
    }
    if (config.paused) domain.pause();
    return guest;
  } catch (error) {
    if (domain) {
      hypervisor.destroyDomain(domain);
      services.onDestroy(domain);
    }
    if (error instanceof KernelImageError) throw new XenError("bad-kernel", error.message, { cause: error });
    if (error instanceof DomainBuildError) throw new XenError("out-of-memory", error.message, { cause: error });
    throw error;
  }
}

function allocatePort(domain: Domain): number {
  const port = domain.events.allocUnbound(0);
  if (port <= 0) throw new XenError("internal", `${domain.name}: no event channel for the console (${port})`);
  return port;
}

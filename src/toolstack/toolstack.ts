// What libxl and xl's background processes are on a Xen host: makes domains from xl.cfg files, finds them by name or id, and does what
// their configurations want when they end (on_poweroff, on_reboot, on_watchdog, on_crash).

import { join } from "node:path";
import { domainConfigOf } from "../config/domain-config.js";
import { type ConfigWarning, type EventAction, parseXlConfig, type XlDomainConfig } from "../config/xl-config.js";
import { ConsoleHub } from "../host/console-hub.js";
import { XenError } from "../host/errors.js";
import type { GuestDomain, ShutdownReason } from "../host/guest-domain.js";
import type { XenHost } from "../xen-host.js";
import { withMac } from "./domain-changes.js";
import { findFirmware } from "./firmware.js";
import type { ManagedDomain } from "./managed-domain.js";
import { RotatingLog } from "./rotating-log.js";

export interface ToolstackOptions {
  /** The host's directory: logs of consoles are here. */
  readonly directory: string;
  /** Lines for the host's log. */
  readonly log: (line: string) => void;
}

export interface ConfigSource {
  /** The text of an xl.cfg file, and its name for messages. */
  readonly text: string;
  readonly file: string;
  /** `key=value` */
  readonly overrides: readonly string[];
  /** Where relative paths are. */
  readonly directory: string;
}

export interface CreateRequest extends ConfigSource {
  readonly paused: boolean;
  /** What happens at the domain's end is the configuration's choice; false: nothing. */
  readonly watch: boolean;
  readonly snapshot: boolean;
}

export interface Created {
  readonly domain: ManagedDomain;
  readonly warnings: readonly ConfigWarning[];
}

export class Toolstack {
  readonly host: XenHost;
  readonly #options: ToolstackOptions;
  readonly #domains = new Map<number, ManagedDomain>();
  /** Names of domains that are being built. */
  readonly #building = new Set<string>();

  /** Names of domains that are being made anew; true: somebody destroyed it meanwhile. */
  readonly #restarting = new Map<string, boolean>();

  constructor(host: XenHost, options: ToolstackOptions) {
    this.host = host;
    this.#options = options;
  }

  /** All domains of the host by id, those made by others included. */
  get domains(): ManagedDomain[] {
    for (const guest of this.host.domains.values()) if (!this.#domains.has(guest.id)) this.adopt(guest);
    for (const domain of [...this.#domains.values()]) if (!this.host.domains.has(domain.guest.id)) this.#forget(domain);
    return [...this.#domains.values()].sort((a, b) => a.guest.id - b.guest.id);
  }

  /** Takes a domain into the books that was made without the toolstack: its maker decides about its end. */
  adopt(guest: GuestDomain): ManagedDomain {
    return this.#manage(guest, undefined, false);
  }

  /** @param word a domain's name, or its id. @throws XenError no-domain */
  find(word: string): ManagedDomain {
    const isId = /^\d+$/.test(word);
    const found = this.domains.find(({ guest }) => (isId ? guest.id === Number(word) : guest.name === word));
    if (found) return found;
    const text = isId ? `Error: Domain '${word}' does not exist.` : `${word} is an invalid domain identifier (rc=-6)`;
    throw new XenError("no-domain", text);
  }

  /** @throws XenError: bad-config, name-in-use, and what XenHost.createDomain throws */
  async create(request: CreateRequest): Promise<Created> {
    const { text, file, overrides, directory, snapshot } = request;
    const { domain: config, warnings } = parseXlConfig(text, file, { overrides, directory, snapshot });
    const domain = await this.#build(config, config.name, request.paused, request.watch);
    return { domain, warnings };
  }

  /** Changes what a domain is rebuilt from after a reboot. @throws XenError bad-config, unsupported */
  configure(domain: ManagedDomain, source: ConfigSource): readonly ConfigWarning[] {
    if (!domain.config) throw new XenError("unsupported", `${domain.guest.name} isn't rebuilt by the toolstack`);
    const { text, file, overrides, directory } = source;
    const { domain: config, warnings } = parseXlConfig(text, file, { overrides, directory });
    checkActions(config);
    domain.config = { ...config, name: domain.guest.name, uuid: domain.guest.uuid };
    return warnings;
  }

  async #build(config: XlDomainConfig, name: string, paused: boolean, isWatched: boolean): Promise<ManagedDomain> {
    this.#requireFreeName(name);
    checkActions(config);
    this.#building.add(name);
    try {
      const guest = await this.host.createDomain({
        ...domainConfigOf({ ...config, ...kernelOf(config) }),
        name,
        paused: true,
        ...(config.uuid === undefined ? {} : { uuid: config.uuid }),
        ...(config.maxmem === undefined ? {} : { maxMemory: config.maxmem }),
      });
      const managed = this.#manage(
        guest,
        { ...config, name, uuid: guest.uuid, vifs: withMacs(config, guest) },
        isWatched,
      );
      this.#options.log(`domain ${guest.id} (${name}) created`);
      if (!paused) guest.unpause();
      return managed;
    } finally {
      this.#building.delete(name);
    }
  }

  #requireFreeName(name: string): void {
    if (this.#building.has(name) || this.domains.some(({ guest }) => guest.name === name))
      throw new XenError("name-in-use", `Domain with name "${name}" already exists.`);
  }

  #manage(guest: GuestDomain, config: XlDomainConfig | undefined, isWatched: boolean): ManagedDomain {
    const file = `guest-${guest.name.replaceAll(/[^\w.+-]/g, "_")}.log`;
    const log = new RotatingLog(join(this.#options.directory, file), (error) => {
      this.#options.log(`console log of ${guest.name}: ${error.message}`);
    });
    let resolveGone = () => {};
    const gone = new Promise<void>((resolve) => {
      resolveGone = resolve;
    });
    const domain: ManagedDomain = {
      guest,
      config,
      // As xenconsoled's log: the first console's. The others may carry anything.
      hubs: guest.consoles.map((console, i) => new ConsoleHub(console, (bytes) => i === 0 && log.write(bytes))),
      startedAt: Date.now(),
      isWatched,
      isRestarting: false,
      gone,
      onGone: () => {
        log.close();
        resolveGone();
      },
    };
    this.#domains.set(guest.id, domain);
    guest.on("shutdown", (reason) => this.#onEnd(domain, reason));
    return domain;
  }

  #onEnd(domain: ManagedDomain, reason: ShutdownReason): void {
    const { guest } = domain;
    if (reason === "destroyed") {
      this.#forget(domain);
      return;
    }
    this.#options.log(`domain ${guest.id} (${guest.name}) has shut down: ${reason}`);
    if (!domain.isWatched || !domain.config) return;
    this.#act(domain, domain.config, reason).catch((error: unknown) => {
      this.#options.log(
        `domain ${guest.id} (${guest.name}): ${error instanceof Error ? error.message : String(error)}`,
      );
    });
  }

  async #act(domain: ManagedDomain, config: XlDomainConfig, reason: ShutdownReason): Promise<void> {
    const action = actionFor(config, reason);
    this.#options.log(`domain ${domain.guest.id} (${domain.guest.name}): action for ${reason} is ${action}`);
    if (action === "preserve") return;
    if (action.startsWith("coredump")) await this.#dump(domain);
    if (action === "destroy" || action === "coredump-destroy") return this.destroy(domain);
    const { name } = domain.guest;
    domain.isRestarting = true;
    this.#restarting.set(name, false);
    try {
      if (action === "rename-restart") domain.guest.rename(this.#freeName(name));
      else await this.destroy(domain);
      const { uuid, ...rest } = config;
      // A domain that stays keeps its UUID.
      const same = uuid === undefined || action === "rename-restart" ? rest : config;
      const next = await this.#build(same, name, true, true);
      for (const [i, hub] of domain.hubs.entries()) if (next.hubs[i]) hub.moveTo(next.hubs[i]);
      if (this.#restarting.get(name)) await this.destroy(next);
      else next.guest.unpause();
    } finally {
      this.#restarting.delete(name);
      domain.isRestarting = false;
      if (action !== "rename-restart") for (const hub of domain.hubs) hub.end();
    }
  }

  /** A core that can't be written is no reason to keep the domain. */
  async #dump({ guest }: ManagedDomain): Promise<void> {
    const path = join(this.#options.directory, `core-${guest.name.replaceAll(/[^\w.+-]/g, "_")}-${guest.id}`);
    const failure = await guest.dumpCore(path).then(
      () => undefined,
      (error: Error) => error.message,
    );
    this.#options.log(`domain ${guest.id} (${guest.name}): ${failure ?? `core in ${path}`}`);
  }

  #freeName(name: string): string {
    const taken = new Set(this.domains.map(({ guest }) => guest.name));
    for (let i = 1; ; i++) if (!taken.has(`${name}-${i}`)) return `${name}-${i}`;
  }

  /** @throws XenError name-in-use, bad-argument */
  rename(domain: ManagedDomain, name: string): void {
    if (name === "" || /^\d+$/.test(name) || name.length > 255 || /\p{Cc}/u.test(name))
      throw new XenError("bad-argument", `"${name}" can't be a domain's name`);
    if (domain.guest.name === name) return;
    this.#requireFreeName(name);
    domain.guest.rename(name);
    if (domain.config) domain.config = { ...domain.config, name };
  }

  /** Ends a domain at once, also one that is between its end and its next life. @throws XenError no-domain */
  async destroyNamed(word: string): Promise<void> {
    if (this.#restarting.has(word)) this.#restarting.set(word, true);
    else await this.destroy(this.find(word));
  }

  /** Ends a domain at once. Resolves when its disks are closed. */
  async destroy(domain: ManagedDomain): Promise<void> {
    domain.guest.destroy();
    this.#forget(domain);
    await domain.guest.released();
  }

  #forget(domain: ManagedDomain): void {
    if (!this.#domains.delete(domain.guest.id)) return;
    this.#options.log(`domain ${domain.guest.id} (${domain.guest.name}) destroyed`);
    // What the domain printed last is on its way through the event loop.
    setImmediate(() => {
      for (const hub of domain.hubs) hub.end({ keepFollowers: domain.isRestarting });
      domain.onGone();
    });
  }
}

function kernelOf({ kernel, firmware }: XlDomainConfig): { kernel?: string } {
  return kernel === undefined && firmware !== undefined ? { kernel: findFirmware(firmware) } : {};
}

function actionFor(config: XlDomainConfig, reason: ShutdownReason): EventAction {
  switch (reason) {
    case "poweroff":
      return config.onPoweroff;
    case "reboot":
      return config.onReboot;
    case "watchdog":
      return config.onWatchdog;
    case "crash":
      return config.onCrash;
    default:
      // Nothing resumes a suspended domain yet.
      return "preserve";
  }
}

function checkActions({ onPoweroff, onReboot, onWatchdog, onCrash }: XlDomainConfig): void {
  for (const action of [onPoweroff, onReboot, onWatchdog, onCrash])
    if (action === "soft-reset") throw new XenError("unsupported", `the action ${action} isn't supported`);
}

/** Addresses that were drawn are the domain's for all its lives. */
function withMacs({ vifs }: XlDomainConfig, guest: GuestDomain): XlDomainConfig["vifs"] {
  const interfaces = guest.interfaces();
  return vifs.map((vif, i) => {
    const mac = interfaces[i]?.mac;
    return mac === undefined ? vif : { ...vif, text: withMac(vif.text, mac) };
  });
}

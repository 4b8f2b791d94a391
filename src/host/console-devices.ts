// The consoles of a domain beyond its first: XenStore nodes as libxl makes them for a channel, a backend for each, and the Unix socket
// of those that have one. They are there from the domain's start to its end.

import { ConsoleBackend } from "../devices/xen/console-backend.js";
import { DomainConsole } from "../hypervisor/domain-console.js";
import type { Domain } from "../hypervisor/hypervisor.js";
import type { XenStoreServer } from "../hypervisor/xenstore/server.js";
import { backendServices } from "./backend-services.js";
import { ConsoleHub } from "./console-hub.js";
import type { DeferredEvents } from "./deferred-events.js";
import { createDeviceNodes, type DevicePaths, devicePaths } from "./device-nodes.js";
import { XenError } from "./errors.js";
import { GuestConsole } from "./guest-console.js";
import { UnixListener } from "./unix-listener.js";

/** A console beside a domain's first one; in Linux hvc1, hvc2, … in their order. */
export interface ConsoleConfig {
  /** How programs in the guest find it: xl's name for a channel, `name` of the device in XenStore. */
  readonly name?: string;
  /** Gives it a pty, also where `consolePtys` doesn't give one to all: its path is in XenStore. */
  readonly pty?: boolean;
  /** Path of a Unix socket to make: what connects there is at the console. */
  readonly socket?: string;
}

/** More than anybody's guests have; XenStore and event channels could take more. */
const MAX_CONSOLES = 32;
/** What the guest may leave unread in the daemon, as xl tells it. */
const LIMIT = 1 << 20;

/** A console that waits for its domain. */
export interface OpenedConsole {
  readonly config: ConsoleConfig;
  readonly line: DomainConsole;
  readonly console: GuestConsole;
  close(): Promise<void>;
}

interface Attached {
  readonly opened: OpenedConsole;
  readonly paths: DevicePaths;
  readonly backend: ConsoleBackend;
}

/** All or none. @param name the domain's, for messages. @throws XenError bad-argument */
export async function openConsoles(configs: readonly ConsoleConfig[], name: string): Promise<OpenedConsole[]> {
  if (configs.length >= MAX_CONSOLES)
    throw new XenError("bad-argument", `${name}: a domain has at most ${MAX_CONSOLES} consoles`);
  const opened: OpenedConsole[] = [];
  try {
    for (const config of configs) opened.push(await openConsole(config, name));
    return opened;
  } catch (error) {
    await Promise.all(opened.map((each) => each.close()));
    throw error;
  }
}

async function openConsole(config: ConsoleConfig, name: string): Promise<OpenedConsole> {
  const line: DomainConsole = new DomainConsole({
    onOutput: (bytes) => console.deliver(bytes),
    onInputWaiting: () => {},
  });
  const console: GuestConsole = new GuestConsole(
    () => name,
    (bytes) => line.write(bytes),
  );
  const { socket } = config;
  if (socket === undefined) return { config, line, console, close: async () => {} };
  const hub = new ConsoleHub(console, () => {});
  const listener = await UnixListener.listen(socket, "console", (stream) => hub.attach(stream));
  return {
    ...{ config, line, console },
    close: async () => {
      hub.end();
      await listener.close();
    },
  };
}

export class ConsoleDevices {
  readonly #domain: Domain;
  readonly #store: XenStoreServer;
  readonly #deferred: DeferredEvents;
  readonly #attached: Attached[] = [];

  constructor(domain: Domain, store: XenStoreServer, deferred: DeferredEvents) {
    this.#domain = domain;
    this.#store = store;
    this.#deferred = deferred;
  }

  /** The next one: console 1, 2, … */
  attach(opened: OpenedConsole): void {
    const number = this.#attached.length + 1;
    const { id, hypervisor } = this.#domain;
    const paths = devicePaths(id, number, "console");
    createDeviceNodes(this.#store, id, paths, nodesOf(id, number, paths, opened.config));
    const backend = new ConsoleBackend({
      services: backendServices(this.#domain, this.#store, this.#deferred),
      line: opened.line,
      backendPath: paths.backend,
      frontendPath: paths.frontend,
      log: (line) => hypervisor.log(line),
    });
    this.#attached.push({ opened, paths, backend });
    backend.device.start();
  }

  list(): { readonly config: ConsoleConfig; readonly console: GuestConsole; readonly frontendPath: string }[] {
    return this.#attached.map(({ opened: { config, console }, paths }) => ({
      ...{ config, console, frontendPath: paths.frontend },
    }));
  }

  /** The domain ends: its memory is touched no more from this call on. */
  async stop(): Promise<void> {
    const ended = Promise.all(
      this.#attached.map(async ({ backend, opened }) => {
        await backend.device.stop();
        await opened.close();
      }),
    );
    for (const { paths } of this.#attached) for (const path of [paths.backend, paths.libxl]) this.#store.remove(path);
    await ended;
  }
}

function nodesOf(domid: number, number: number, paths: DevicePaths, { name, socket }: ConsoleConfig) {
  const named = name === undefined ? {} : { name };
  const back = {
    ...{ frontend: paths.frontend, "frontend-id": domid, online: 1, state: 1, protocol: "vt100", ...named },
    ...(socket === undefined ? { connection: "pty" } : { connection: "socket", path: socket }),
  };
  const front = { backend: paths.backend, "backend-id": 0, state: 1, protocol: "vt100" };
  const output = name === undefined ? "pty" : `chardev:libxl-channel${number - 1}`;
  return { back, front, readOnly: { limit: LIMIT, type: "ioemu", output, tty: "", ...named } };
}

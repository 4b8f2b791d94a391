// The backend of a console beyond a domain's first (docs/misc/console.txt): its frontend grants a page with the ring of io/console.h and
// leaves a port, "ring-ref" and "port" in XenStore; Linux's hvc1 and so on. What goes through the ring is the line's.

import { type BackendServices, type EventBinding, FrontendError, type GrantedPage, readNumber } from "./backend.js";
import { type BackendDriver, XenbusBackend } from "./xenbus-state.js";

const MAX_U32 = 0xffffffff;

/** The host's end of a console. */
export interface ConsoleLine {
  attachRing(page: GrantedPage, bind: (onEvent: () => void) => EventBinding | undefined): void;
  /** Takes what the ring holds; the page isn't touched after it. */
  detach(): void;
}

export interface ConsoleBackendOptions {
  readonly services: BackendServices;
  readonly line: ConsoleLine;
  readonly backendPath: string;
  readonly frontendPath: string;
  readonly log: (line: string) => void;
}

export class ConsoleBackend implements BackendDriver {
  readonly #options: ConsoleBackendOptions;
  readonly device: XenbusBackend;
  #page: GrantedPage | undefined;
  #event: EventBinding | undefined;

  constructor(options: ConsoleBackendOptions) {
    const { services, backendPath, frontendPath, log } = options;
    this.#options = options;
    this.device = new XenbusBackend({ store: services.store, backendPath, frontendPath, log, driver: this });
  }

  /** A console has nothing to announce. */
  publish(): void {}

  connect(): void {
    const { services, frontendPath, line } = this.#options;
    const ref = readNumber(services.store, `${frontendPath}/ring-ref`, MAX_U32);
    const port = readNumber(services.store, `${frontendPath}/port`, MAX_U32);
    const page = services.grants.map(ref, true);
    if (!page) throw new FrontendError(`${frontendPath}: grant reference ${ref} can't be mapped for the ring`);
    this.#page = page;
    line.attachRing(page, (onEvent) => {
      this.#event = services.events.bind(port, onEvent);
      return this.#event;
    });
    if (this.#event) return;
    this.#release();
    throw new FrontendError(`${frontendPath}: event channel ${port} can't be bound`);
  }

  async disconnect(): Promise<void> {
    this.#release();
  }

  #release(): void {
    if (!this.#page) return;
    this.#options.line.detach();
    this.#event?.close();
    this.#page.release();
    this.#event = undefined;
    this.#page = undefined;
  }
}

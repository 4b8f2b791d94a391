// The backend's side of the XenBus handshake (io/xenbus.h, and the state diagram of io/blkif.h), the same for every kind of split
// device. It follows the frontend's state node, one step at a time, and leaves all that is particular to a BackendDriver.
// Invariant: the driver is connected exactly while our state is Connected, or has failed to be.

import * as X from "../../hypervisor/public/io/xenbus.js";
import { FrontendError, type StoreAccess } from "./backend.js";

export interface BackendDriver {
  /** Writes what a frontend has to know before it sets itself up. */
  publish(): void;
  /** Reads what the frontend wrote, connects, and writes what it has to know of the device. @throws FrontendError */
  connect(): void;
  /** Lets go of the guest at once; done when nothing of it is under way in the host either. */
  disconnect(): Promise<void>;
}

export interface XenbusBackendOptions {
  readonly store: StoreAccess;
  /** /local/domain/0/backend/vbd/1/51712 */
  readonly backendPath: string;
  /** /local/domain/1/device/vbd/51712 */
  readonly frontendPath: string;
  readonly driver: BackendDriver;
  readonly log: (line: string) => void;
}

const BACKEND_HOME = "/local/domain/0/";

export class XenbusBackend {
  readonly #options: XenbusBackendOptions;
  #state = X.XenbusStateInitialising;
  #unwatch: (() => void) | undefined;
  #steps: Promise<void> = Promise.resolve();
  #isOffline = false;
  #finish: () => void = () => {};
  /** Done when the device is gone for good: detached and closed, or its frontend removed. */
  readonly finished = new Promise<void>((resolve) => (this.#finish = resolve));

  constructor(options: XenbusBackendOptions) {
    this.#options = options;
  }

  /** One of XenbusState*. */
  get state(): number {
    return this.#state;
  }

  #switch(state: number): void {
    this.#state = state;
    this.#options.store.write(`${this.#options.backendPath}/state`, String(state));
  }

  /** Announces the device and follows its frontend from now on. */
  start(): void {
    const { store, frontendPath, driver } = this.#options;
    driver.publish();
    this.#switch(X.XenbusStateInitWait);
    // The store calls back in the middle of a guest's request: what follows from it comes after.
    this.#unwatch = store.watch(`${frontendPath}/state`, () => this.#schedule(() => this.#follow()));
  }

  #schedule(step: () => Promise<void>): void {
    const { log, backendPath } = this.#options;
    this.#steps = this.#steps
      .then(() => (this.#unwatch ? step() : undefined))
      .catch((error: unknown) => log(`${backendPath}: internal error: ${String(error)}`));
  }

  async #follow(): Promise<void> {
    const { store, frontendPath, driver } = this.#options;
    switch (Number(store.read(`${frontendPath}/state`) ?? X.XenbusStateUnknown)) {
      case X.XenbusStateInitialising:
        // A frontend that comes back, in a guest that was closed or starts anew.
        if (this.#state !== X.XenbusStateClosed || this.#isOffline) return;
        driver.publish();
        return this.#switch(X.XenbusStateInitWait);
      case X.XenbusStateInitialised:
      case X.XenbusStateConnected:
        return this.#connect();
      case X.XenbusStateClosing:
        if (this.#state !== X.XenbusStateClosed) this.#switch(X.XenbusStateClosing);
        return;
      case X.XenbusStateClosed:
        await this.#close();
        if (this.#isOffline) this.#end();
        return;
      case X.XenbusStateUnknown:
        if (store.read(`${frontendPath}/state`) !== undefined) return;
        await this.#close();
        this.#end();
    }
  }

  async #connect(): Promise<void> {
    const { driver } = this.#options;
    if (this.#state !== X.XenbusStateInitWait && this.#state !== X.XenbusStateInitialised) return;
    try {
      driver.connect();
      this.#switch(X.XenbusStateConnected);
    } catch (error) {
      if (!(error instanceof FrontendError)) throw error;
      await this.#giveUp(error.message);
    }
  }

  /** The frontend broke the rules while connected. */
  fail(message: string): void {
    this.#schedule(() => this.#giveUp(message));
  }

  async #giveUp(message: string): Promise<void> {
    const { store, backendPath, log, driver } = this.#options;
    log(`${backendPath}: ${message}`);
    await driver.disconnect();
    store.write(`${BACKEND_HOME}error/${backendPath.slice(BACKEND_HOME.length)}/error`, message);
    this.#switch(X.XenbusStateClosing);
  }

  async #close(): Promise<void> {
    await this.#options.driver.disconnect();
    if (this.#state !== X.XenbusStateClosed) this.#switch(X.XenbusStateClosed);
  }

  #end(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#finish();
  }

  /** Asks the frontend to let go: see `finished`. One that never connected needn't be asked. */
  requestClose(): void {
    const { store, backendPath } = this.#options;
    this.#isOffline = true;
    store.write(`${backendPath}/online`, "0");
    this.#schedule(async () => {
      if (this.#state === X.XenbusStateConnected || this.#state === X.XenbusStateClosing) {
        this.#switch(X.XenbusStateClosing);
        return this.#follow();
      }
      await this.#close();
      this.#end();
    });
  }

  /** Ends without asking: the guest is touched no more from this call on. */
  async stop(): Promise<void> {
    this.#end();
    await this.#options.driver.disconnect();
    await this.#steps;
  }
}

// Consoles as the tools of 2005 had them: each on a raw TCP port of the loopback, 9600 and the domain's id, for telnet.

import { createServer, type Server } from "node:net";
import type { ControlHost } from "../index.js";
import { XM_CONSOLE_PORT } from "./domain-table.js";

const LOOPBACK = "127.0.0.1";
/** How often new and gone domains are looked for, ms. */
const INTERVAL = 500;

export const CONSOLE_BANNER = "************ REMOTE CONSOLE: CTRL-] TO QUIT ********";
export const CONSOLE_EXITED = "************ REMOTE CONSOLE EXITED *****************";

export class ConsolePorts {
  readonly #toolstack: ControlHost["toolstack"];
  readonly #log: (line: string) => void;
  readonly #servers = new Map<number, Server>();
  readonly #timer: NodeJS.Timeout;

  constructor(toolstack: ControlHost["toolstack"], log: (line: string) => void) {
    this.#toolstack = toolstack;
    this.#log = log;
    this.#timer = setInterval(() => this.#update(), INTERVAL);
    this.#timer.unref();
  }

  #update(): void {
    const domains = this.#toolstack.domains;
    for (const [domid, server] of this.#servers) {
      if (domains.some(({ guest }) => guest.id === domid)) continue;
      server.close();
      this.#servers.delete(domid);
    }
    for (const { guest, hubs } of domains) {
      if (guest.id === 0 || this.#servers.has(guest.id)) continue;
      const server = createServer((socket) => {
        socket.on("error", () => {});
        socket.write(`${CONSOLE_BANNER}\r\n`);
        hubs[0]!.attach(socket);
      });
      server.on("error", (error) => this.#log(`console port of domain ${guest.id}: ${error.message}`));
      server.listen(XM_CONSOLE_PORT + guest.id, LOOPBACK);
      this.#servers.set(guest.id, server);
    }
  }

  close(): void {
    clearInterval(this.#timer);
    for (const server of this.#servers.values()) server.close();
  }
}

// Keeps a host's XenStore in a file between two runs of the host process. What belongs to domains ends with the host: only the rest
// is taken up again. The file is replaced as a whole (written, synced, renamed), so it is the old one or the new one.

import { open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { XenStoreServer } from "../hypervisor/xenstore/server.js";
import { formatStore, parseStore } from "../hypervisor/xenstore/store-text.js";
import { findNode, replaceNode, type StoreNode } from "../hypervisor/xenstore/tree.js";
import { XenError } from "./errors.js";

/** Changes wait so long for others, milliseconds. */
const DELAY = 500;
/** Below these each node is a domain, or a domain's. */
const DOMAINS = ["/local/domain", "/vm", "/libxl"];

export class StoreFile {
  readonly #path: string;
  readonly #server: XenStoreServer;
  readonly #log: (line: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #written: StoreNode | undefined;

  private constructor(path: string, server: XenStoreServer, log: (line: string) => void) {
    this.#path = path;
    this.#server = server;
    this.#log = log;
  }

  /** Reads the file, if there is one, into the server, and follows its changes. A damaged file is set aside with a line in the log. */
  static async open(path: string, server: XenStoreServer, log: (line: string) => void): Promise<StoreFile> {
    const file = new StoreFile(path, server, log);
    const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw new XenError("bad-argument", `${path}: ${error.message}`, { cause: error });
    });
    if (text !== undefined) await file.#load(text);
    server.onChanged = () => file.#schedule();
    return file;
  }

  async #load(text: string): Promise<void> {
    try {
      this.#server.store.replace(withoutDomains(parseStore(text)));
    } catch (error) {
      const aside = `${this.#path}.damaged`;
      await rename(this.#path, aside);
      const reason = error instanceof Error ? error.message : String(error);
      this.#log(`${this.#path}: ${reason}; it is kept as ${aside}, and the XenStore starts empty`);
    }
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.flush();
    }, DELAY).unref();
  }

  /** Done when the store as it is now is on stable storage, or the log has a line that says why not. */
  flush(): Promise<void> {
    this.#writing = this.#writing
      .then(() => this.#write())
      .catch((error: unknown) => this.#log(`${this.#path}: ${error instanceof Error ? error.message : String(error)}`));
    return this.#writing;
  }

  async #write(): Promise<void> {
    const { root } = this.#server.store;
    if (root === this.#written) return;
    const next = `${this.#path}.new`;
    await rm(next, { force: true });
    const file = await open(next, "wx", 0o600);
    try {
      await file.writeFile(formatStore(root));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(next, this.#path);
    const directory = await open(dirname(this.#path), "r");
    await directory.sync().finally(() => directory.close());
    this.#written = root;
  }

  async close(): Promise<void> {
    this.#server.onChanged = () => {};
    clearTimeout(this.#timer);
    await this.flush();
  }
}

function withoutDomains(root: StoreNode): StoreNode {
  let left = root;
  for (const path of DOMAINS) {
    const node = findNode(left, path);
    if (node) left = replaceNode(left, path, { ...node, children: new Map() });
  }
  return left;
}

// XS_CONTROL (docs: xenstore.txt, "Administrative"): what `xenstore-control` asks of a running store, as xenstored 4.17 answers. Of its
// commands these are here: check, log, print, quota, quota-soft, help; the others (live-update, logfile, memreport) are EINVAL, as anything unknown.

import { QUOTA_NAMES, type StoreQuota, type XenStore } from "./store.js";
import { StoreError } from "./store-error.js";

export interface ControlledStore {
  readonly store: XenStore;
  /** Every request is logged. */
  isTraced: boolean;
  /** A line for the host's log. */
  log(line: string): void;
  /** What a domain's connection has; undefined: it has none. */
  usage(domid: number): StoreUsage | undefined;
}

export interface StoreUsage {
  readonly watches: number;
  readonly transactions: number;
  readonly outstanding: number;
  /** Bytes. */
  readonly memory: number;
}

interface Command {
  /** Its parameters in `help`. */
  readonly parameters: string;
  /** @returns the answer. @throws StoreError */
  readonly run: (server: ControlledStore, words: readonly string[]) => string;
}

const DONE = "OK";

const COMMANDS: Readonly<Record<string, Command>> = {
  check: {
    parameters: "",
    run: (server, words) => {
      expectWords(words, 0);
      for (const line of server.store.check()) server.log(`xenstore: check: ${line}`);
      return DONE;
    },
  },
  log: {
    parameters: "on|off",
    run: (server, words) => {
      const [state] = expectWords(words, 1);
      if (state !== "on" && state !== "off") throw new StoreError("EINVAL");
      server.isTraced = state === "on";
      return DONE;
    },
  },
  print: {
    parameters: "<string>",
    run: (server, words) => {
      const [text] = expectWords(words, 1);
      server.log(`xenstore: control: ${printable(text!)}`);
      return DONE;
    },
  },
  quota: { parameters: "[set <name> <val>|<domid>]", run: quota },
  "quota-soft": { parameters: "[set <name> <val>]", run: softQuota },
  help: {
    parameters: "",
    run: (_server, words) => {
      expectWords(words, 0);
      const names = Object.keys(COMMANDS).sort();
      return names.map((name) => `${name.padEnd(15)} ${COMMANDS[name]!.parameters}`.trimEnd()).join("\n");
    },
  },
};

/** @param words the command and its parameters. @throws StoreError EINVAL, ENOENT */
export function control(server: ControlledStore, words: readonly string[]): string {
  const [name = "", ...parameters] = words;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) throw new StoreError("EINVAL");
  return command.run(server, parameters);
}

/** Text that a client sent, for a log's line. */
export function printable(text: string): string {
  const line = text.replace(/[^\x20-\x7e]/g, ".");
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

function expectWords(words: readonly string[], count: number): readonly string[] {
  if (words.length !== count) throw new StoreError("EINVAL");
  return words;
}

const QUOTA_TEXTS: Readonly<Record<keyof StoreQuota, string>> = {
  nodes: "Nodes per domain",
  watches: "Watches per domain",
  transactions: "Transactions per domain",
  outstanding: "Outstanding requests per domain",
  transactionNodes: "Max. number of accessed nodes per transaction",
  memory: "Total Xenstore memory per domain (error level)",
  nodeBytes: "Max. size of a node",
  pathLength: "Max. length of a node path",
  permissions: "Max. number of permissions per node",
};

const limitLine = (name: string, value: number, text: string) =>
  `${name.padEnd(17)}: ${String(value).padStart(8)} ${text}`;

/** @throws StoreError EINVAL */
function limitOf(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new StoreError("EINVAL");
  return Number(text);
}

function quota(server: ControlledStore, words: readonly string[]): string {
  const { quota: limits } = server.store;
  const [first, name, value] = words;
  if (first === undefined) {
    const lines = Object.entries(QUOTA_NAMES).map(([shown, key]) => limitLine(shown, limits[key], QUOTA_TEXTS[key]));
    return ["Quota settings:", ...lines].join("\n");
  }
  if (first === "set") {
    expectWords(words, 3);
    const key = Object.hasOwn(QUOTA_NAMES, name!) ? QUOTA_NAMES[name!] : undefined;
    if (!key) throw new StoreError("EINVAL");
    limits[key] = limitOf(value!);
    return DONE;
  }
  expectWords(words, 1);
  if (!/^\d{1,5}$/.test(first)) throw new StoreError("EINVAL");
  const domid = Number(first);
  const usage = server.usage(domid);
  if (!usage) throw new StoreError("ENOENT");
  const { watches, transactions, outstanding, memory } = usage;
  const counts = { nodes: server.store.owned(domid).nodes, watches, transactions, outstanding, memory };
  const lines = Object.entries(counts).map(([shown, count]) => `${shown.padEnd(16)}: ${String(count).padStart(8)}`);
  return [`Domain ${domid}:`, ...lines].join("\n");
}

function softQuota({ store }: ControlledStore, words: readonly string[]): string {
  if (words.length === 0)
    return [
      "Quota settings:",
      limitLine("memory", store.softMemory, "Total Xenstore memory per domain (warning level)"),
    ].join("\n");
  const [verb, name, value] = expectWords(words, 3);
  if (verb !== "set" || name !== "memory") throw new StoreError("EINVAL");
  store.softMemory = limitOf(value!);
  return DONE;
}

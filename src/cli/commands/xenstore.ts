// xen-ts xenstore …: the XenStore of a running host, with the options and the output of Debian's xenstore-* tools (which work too,
// with XENSTORED_PATH set to the same socket).

import { XenStoreClient, XenStoreError, type XenStoreView, xenStoreSocketPath } from "../../index.js";
import { CliError } from "../cli-error.js";
import { type Command, command, type OptionRow } from "../command.js";
import { ExitCode } from "../exit-codes.js";
import { escapeValue, formatLine, type StoreLine, unescapeValue } from "../store-text.js";

interface StoreOptions {
  readonly host?: string;
  readonly socket?: string;
}

const storeOptions = {
  host: { flags: "--host <name>", description: "the host whose store it is (default: default)" },
  socket: { flags: "--socket <path>", description: "the store's socket instead (default: $XENSTORED_PATH)" },
} as const satisfies Record<keyof StoreOptions, OptionRow<string>>;

const keyWords = [{ name: "path", description: "paths of nodes", required: true, variadic: true }] as const;

async function withStore(options: StoreOptions, run: (store: XenStoreClient) => Promise<number>): Promise<number> {
  const store = await XenStoreClient.connect(options.socket ?? xenStoreSocketPath(options.host));
  try {
    return await run(store);
  } finally {
    store.close();
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

interface ListOptions extends StoreOptions {
  readonly full?: boolean;
  readonly permissions?: boolean;
  readonly json?: boolean;
}

async function* tree(
  store: XenStoreView,
  path: string,
  depth: number,
  hasPermissions: boolean,
): AsyncGenerator<StoreLine> {
  for (const name of await store.directory(path)) {
    const child = path === "/" ? `/${name}` : `${path}/${name}`;
    try {
      const value = await store.readBytes(child);
      yield { path: child, depth, value, permissions: hasPermissions ? await store.permissions(child) : undefined };
      yield* tree(store, child, depth + 1, hasPermissions);
    } catch (error) {
      // Gone since its parent was read.
      if (!(error instanceof XenStoreError && error.errno === "ENOENT")) throw error;
    }
  }
}

const ls = command<ListOptions>({
  path: ["xenstore", "ls"],
  summary: "list nodes and values below paths, as a tree",
  operands: [{ name: "path", description: "where to start (default: /)", variadic: true }],
  options: {
    full: { flags: "-f, --full", description: "show each node's full path" },
    permissions: { flags: "-p, --permissions", description: "show permissions: n0 none, r read, w write, b both" },
    json: { flags: "--json", description: "print an array of { path, value, permissions }" },
    ...storeOptions,
  },
  run: (words, options) =>
    withStore(options, async (store) => {
      const nodes: object[] = [];
      const width = process.stdout.isTTY ? process.stdout.columns : undefined;
      for (const start of words.length > 0 ? words : ["/"])
        for await (const line of tree(store, start, 0, options.permissions || options.json || false)) {
          const { path, value, permissions } = line;
          if (options.json) nodes.push({ path, value: Buffer.from(value).toString(), permissions });
          else print(formatLine(line, options.full ?? false, width));
        }
      if (options.json) print(JSON.stringify(nodes, undefined, 2));
      return ExitCode.Done;
    }),
});

interface ReadOptions extends StoreOptions {
  readonly prefix?: boolean;
  readonly raw?: boolean;
}

const read = command<ReadOptions>({
  path: ["xenstore", "read"],
  summary: "print the values of nodes",
  operands: keyWords,
  options: {
    prefix: { flags: "-p, --prefix", description: "print the path before each value" },
    raw: { flags: "-R, --raw", description: "print values as they are, without escapes and newlines" },
    ...storeOptions,
  },
  run: (words, options) =>
    withStore(options, async (store) => {
      for (const path of words) {
        const value = await store.readBytes(path);
        if (options.prefix) process.stdout.write(`${path}: `);
        if (options.raw) process.stdout.write(value);
        else print(escapeValue(value));
      }
      return ExitCode.Done;
    }),
});

const write = command<StoreOptions & { readonly raw?: boolean }>({
  path: ["xenstore", "write"],
  summary: "set nodes to values, all of them at once",
  help: "Values may hold \\t, \\n, \\r, \\\\, \\xHH and \\OOO.",
  operands: [
    { name: "path-and-value", description: "a path and its value, and more pairs", required: true, variadic: true },
  ],
  options: { raw: { flags: "-R, --raw", description: "take values as they are, without escapes" }, ...storeOptions },
  run: (words, options) => {
    if (words.length % 2 !== 0) throw new CliError(ExitCode.Usage, `xenstore write: ${words.at(-1)} has no value`);
    return withStore(options, async (store) => {
      await store.transaction(async (view) => {
        for (let i = 0; i < words.length; i += 2)
          await view.write(words[i]!, options.raw ? words[i + 1]! : unescapeValue(words[i + 1]!));
      });
      return ExitCode.Done;
    });
  },
});

const list = command<StoreOptions & { readonly full?: boolean }>({
  path: ["xenstore", "list"],
  summary: "print the names of the nodes right below paths",
  operands: keyWords,
  options: { full: { flags: "-p, --full", description: "print full paths" }, ...storeOptions },
  run: (words, options) =>
    withStore(options, async (store) => {
      for (const path of words)
        for (const name of await store.directory(path))
          print(options.full ? `${path.replace(/\/$/, "")}/${name}` : name);
      return ExitCode.Done;
    }),
});

const exists = command<StoreOptions>({
  path: ["xenstore", "exists"],
  summary: "exit with 0 when all the nodes exist, with 1 when not",
  operands: keyWords,
  options: storeOptions,
  run: (words, options) =>
    withStore(options, async (store) => {
      for (const path of words) if (!(await store.exists(path))) return ExitCode.Failed;
      return ExitCode.Done;
    }),
});

const rm = command<StoreOptions & { readonly tidy?: boolean }>({
  path: ["xenstore", "rm"],
  summary: "remove nodes and all below them",
  operands: keyWords,
  options: {
    tidy: { flags: "-t, --tidy", description: "also parents that have nothing left, and no value" },
    ...storeOptions,
  },
  run: (words, options) =>
    withStore(options, async (store) => {
      await store.transaction(async (view) => {
        for (const path of words) {
          await view.remove(path);
          if (options.tidy) await removeEmptyParents(view, path);
        }
      });
      return ExitCode.Done;
    }),
});

async function removeEmptyParents(view: XenStoreView, path: string): Promise<void> {
  for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) {
    const parent = path.slice(0, at);
    if ((await view.directory(parent)).length > 0 || (await view.readBytes(parent)).length > 0) return;
    await view.remove(parent);
  }
}

const chmod = command<StoreOptions & { readonly recurse?: boolean; readonly upto?: boolean }>({
  path: ["xenstore", "chmod"],
  summary: "set the permissions of a node: n0 r3 = owned by domain 0, read by 3",
  operands: [
    { name: "path", description: "the node", required: true },
    {
      name: "permission",
      description: "n, r, w or b and a domain; the first is the owner",
      required: true,
      variadic: true,
    },
  ],
  options: {
    recurse: { flags: "-r, --recurse", description: "and of all below it" },
    upto: { flags: "-u, --upto", description: "and of all above it" },
    ...storeOptions,
  },
  run: ([path, ...words], options) => {
    const wrong = words.find((word) => !/^[nrwb]\d{1,5}$/.test(word));
    if (wrong !== undefined) throw new CliError(ExitCode.Usage, `${wrong} isn't a permission such as n0 or r3`);
    return withStore(options, async (store) => {
      await store.transaction(async (view) => {
        await view.setPermissions(path!, words);
        if (options.recurse)
          for await (const line of tree(view, path!, 0, false)) await view.setPermissions(line.path, words);
        for (let at = path!.lastIndexOf("/"); options.upto && at > 0; at = path!.lastIndexOf("/", at - 1))
          await view.setPermissions(path!.slice(0, at), words);
      });
      return ExitCode.Done;
    });
  },
});

const watch = command<StoreOptions & { readonly count?: number }>({
  path: ["xenstore", "watch"],
  summary: "print the path of each change at or below paths, the paths themselves first",
  operands: keyWords,
  options: {
    count: { flags: "-n, --count <count>", description: "end after so many", parse: parseCount },
    ...storeOptions,
  },
  run: (words, options) =>
    withStore(options, async (store) => {
      let left = options.count ?? Number.POSITIVE_INFINITY;
      let finish: (code: number) => void = () => {};
      const done = new Promise<number>((resolve) => (finish = resolve));
      process.stdout.on("error", () => finish(ExitCode.Done));
      const report = (path: string) => {
        if (left-- <= 0) return;
        print(path);
        if (left === 0) finish(ExitCode.Done);
      };
      for (const path of words) await store.watch(path, report);
      return Promise.race([done, store.closed]);
    }),
});

const control = command<StoreOptions>({
  path: ["xenstore", "control"],
  summary: "ask the store itself: check, log on|off, print, quota [DOMID | set NAME VALUE], help",
  operands: [{ name: "command", description: "the command and its parameters", required: true, variadic: true }],
  options: storeOptions,
  run: ([name, ...parameters], options) =>
    withStore(options, async (store) => {
      try {
        print(await store.control(name!, ...parameters));
        return ExitCode.Done;
      } catch (error) {
        if (!(error instanceof XenStoreError && error.errno === "EINVAL")) throw error;
        const help = await store.control("help");
        throw new CliError(ExitCode.Failed, `Command not supported. Valid commands are:\n${help}`);
      }
    }),
});

function parseCount(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new CliError(ExitCode.Usage, `-n: "${text}" is not a number of changes`);
}

export const xenstoreCommands: readonly Command<object>[] = [ls, read, write, list, exists, rm, chmod, watch, control];

// xen-ts top: a live view in the terminal, or lines for scripts.

import type { ControlClient, VbdInfo, VifInfo } from "../../index.js";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { hostCommand, print } from "../host-command.js";
import { sampleOf, type TopSample, topHeader, topRows, topSummary } from "../top-table.js";

interface Options {
  readonly once?: boolean;
  readonly batch?: boolean;
  readonly iterations?: number;
  readonly delay?: number;
  readonly networks?: boolean;
  readonly vbds?: boolean;
  readonly vcpus?: boolean;
  readonly fullName?: boolean;
  readonly json?: boolean;
}

const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

export const top = hostCommand<Options>({
  path: ["top"],
  summary: "monitor a host and the domains in real time",
  help: "In a terminal: q leaves.",
  options: {
    once: { flags: "--once", description: "print the table once and end: -b -i 1" },
    batch: { flags: "-b, --batch", description: "print one table after the other instead of a live view" },
    iterations: { flags: "-i, --iterations <number>", description: "end after so many", parse: number("-i", 1) },
    delay: {
      flags: "-d, --delay <seconds>",
      description: "between two updates (default: 3)",
      parse: number("-d", 0.1),
    },
    networks: { flags: "-n, --networks", description: "show each network interface" },
    vbds: { flags: "-x, --vbds", description: "show each virtual block device" },
    vcpus: { flags: "-v, --vcpus", description: "show each VCPU's time" },
    fullName: { flags: "-f, --full-name", description: "show domains' full names" },
    json: { flags: "--json", description: "print JSON, once" },
  },
  run: async (client, _operands, options) => {
    if (options.json) {
      print(`${JSON.stringify(await client.call("domain.list", {}), undefined, 2)}\n`);
      return;
    }
    const isLive = process.stdout.isTTY && process.stdin.isTTY && !options.batch && !options.once;
    if (isLive) await live(client, options);
    else await batch(client, options.once ? { ...options, iterations: 1 } : options);
  },
});

function number(flag: string, min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (value >= min && value < 1e6) return value;
    throw new CliError(ExitCode.Usage, `${flag}: "${text}" is not a number of at least ${min}`);
  };
}

async function table(client: ControlClient, before: TopSample | undefined, options: Options) {
  const [domains, info] = await Promise.all([client.call("domain.list", {}), client.call("host.info", {})]);
  const { networks, vbds, vcpus = false, fullName = false } = options;
  const of = async <T>(method: "network.list" | "block.list", isShown = false) => {
    if (!isShown) return undefined;
    const ids = domains.map(({ domid }) => domid);
    // One that has gone meanwhile has none.
    const lists = ids.map((domid) => client.call(method, { domain: String(domid) }).catch(() => []));
    return new Map((await Promise.all(lists)).map((list, i) => [ids[i]!, list as unknown as readonly T[]]));
  };
  const [vifs, disks] = await Promise.all([of<VifInfo>("network.list", networks), of<VbdInfo>("block.list", vbds)]);
  const sample = sampleOf(domains, performance.now() / 1000);
  const details = { hasVcpus: vcpus, fullNames: fullName, vifs, vbds: disks };
  const rows = [topHeader(), ...topRows(domains, info, sample, before, details)];
  return { sample, rows, summary: topSummary(domains, info, new Date().toTimeString().slice(0, 8)) };
}

const pause = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function batch(client: ControlClient, options: Options) {
  const { iterations = Number.POSITIVE_INFINITY, delay = 3 } = options;
  let before: TopSample | undefined;
  let isOpen = true;
  process.stdout.on("error", () => {
    isOpen = false;
  });
  for (let i = 0; i < iterations && isOpen; i++) {
    if (i > 0) await pause(delay);
    const { sample, rows } = await table(client, before, options);
    before = sample;
    print(rows.map((row) => `${row}\n`).join(""));
  }
}

async function live(client: ControlClient, options: Options) {
  const { iterations = Number.POSITIVE_INFINITY, delay = 3 } = options;
  const { stdin, stdout } = process;
  let leave = () => {};
  const left = new Promise<"left">((resolve) => {
    leave = () => resolve("left");
  });
  const restore = () => {
    stdout.write(LEAVE);
    if (stdin.isTTY) stdin.setRawMode(false);
  };
  process.on("exit", restore);
  stdin.setRawMode(true);
  stdin.on("data", (bytes: Buffer) => {
    // q, Ctrl-C, Escape alone
    if (bytes.includes("q") || bytes.includes(3) || (bytes.length === 1 && bytes[0] === 0x1b)) leave();
  });
  stdout.write(ENTER);
  try {
    let before: TopSample | undefined;
    for (let i = 0; i < iterations; i++) {
      const { sample, rows, summary } = await table(client, before, options);
      before = sample;
      draw([...summary, ...rows]);
      // The first load is known soon.
      if ((await Promise.race([left, pause(i === 0 ? Math.min(1, delay) : delay)])) === "left") return;
    }
  } finally {
    stdin.pause();
    restore();
    process.off("exit", restore);
  }
}

function draw(lines: readonly string[]): void {
  // A serial line's size is 0.
  const [columns, rows] = [process.stdout.columns || 80, process.stdout.rows || 24];
  const shown = lines.slice(0, rows - 1).map((line, i) => {
    const text = line.slice(0, columns).padEnd(i === 3 ? columns : 0);
    return i === 3 ? `\x1b[7m${text}\x1b[0m` : text;
  });
  process.stdout.write(`\x1b[H${shown.map((line) => `${line}\x1b[K`).join("\r\n")}\x1b[J`);
}

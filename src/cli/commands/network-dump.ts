// xen-ts network-dump: what a guest sends and receives, as a pcap file for wireshark and tcpdump.

import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { domainOperand, hostCommand } from "../host-command.js";

interface Options {
  readonly write?: string;
  readonly count?: number;
  readonly snapLength?: number;
}

export const networkDump = hostCommand<Options>({
  path: ["network-dump"],
  summary: "capture what passes a network interface of a domain",
  help: "Ctrl-C ends it. To look at once: xen-ts network-dump web | tcpdump -n -r -",
  operands: [domainOperand, { name: "DevId|mac", description: "which interface (default: the first one)" }],
  options: {
    write: { flags: "-w, --write <file>", description: "a pcap file (default, and -: stdout)" },
    count: { flags: "-c, --count <frames>", description: "end after so many", parse: count("-c", 2 ** 31) },
    snapLength: {
      flags: "-s, --snaplen <bytes>",
      description: "keep so much of each frame",
      parse: count("-s", 65_553),
    },
  },
  run: async (client, [domain = "", vif], options) => {
    const { write = "-", count: frames, snapLength } = options;
    if (write === "-" && process.stdout.isTTY)
      throw new CliError(ExitCode.Usage, "a capture is no text for a terminal: -w FILE, or a pipe");
    const { stream } = await client.open("network.dump", {
      domain,
      ...(vif === undefined ? {} : { vif }),
      ...(frames === undefined ? {} : { count: frames }),
      ...(snapLength === undefined ? {} : { snapLength }),
    });
    const target = write === "-" ? process.stdout : createWriteStream(write);
    const stop = () => stream.end();
    const signals = ["SIGINT", "SIGTERM"] as const;
    for (const signal of signals) process.on(signal, stop);
    try {
      await new Promise<void>((resolve, reject) => {
        target.on("error", (error: NodeJS.ErrnoException) => {
          stream.destroy();
          // The reader of a pipe has seen enough.
          if (error.code === "EPIPE") resolve();
          else reject(new CliError(ExitCode.Failed, `${write}: ${error.message}`));
        });
        stream.on("error", () => resolve());
        stream.once("close", () => resolve());
        stream.pipe(target, { end: false });
        stream.resume();
      });
      if (target !== process.stdout) {
        target.end();
        await once(target, "close");
      }
    } finally {
      for (const signal of signals) process.off(signal, stop);
    }
  },
});

function count(flag: string, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= 1 && value <= max) return value;
    throw new CliError(ExitCode.Usage, `${flag}: "${text}" is not a number from 1 to ${max}`);
  };
}

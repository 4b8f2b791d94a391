// xen-ts down: ends a host that `up` or `boot` started.

import { connectControl } from "../../index.js";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { hostCommand, hostName } from "../host-command.js";

interface Options {
  readonly force?: boolean;
  readonly timeout?: number;
}

const POLL_MS = 50;
/** What a host may take beyond its guests' time. */
const GRACE_MS = 10_000;

export const down = hostCommand<Options>({
  path: ["down"],
  summary: "end a host: shut its guests down, then its process",
  options: {
    force: { flags: "-f, --force", description: "do not ask the guests: destroy them" },
    timeout: {
      flags: "--timeout <seconds>",
      description: "what the guests have to shut down; then they are destroyed (default: 60)",
      parse: (text) => {
        const seconds = Number(text);
        if (!(seconds >= 0) || seconds > 86_400)
          throw new CliError(ExitCode.Usage, `--timeout: "${text}" is not a number of seconds`);
        return Math.round(seconds * 1000);
      },
    },
  },
  run: async (client, _operands, options) => {
    const { force = false, timeout = 60_000 } = options;
    await client.call("host.shutdown", { force, timeout });
    const name = hostName(options);
    const deadline = performance.now() + timeout + GRACE_MS;
    while (await isUp(name)) {
      if (performance.now() > deadline) throw new CliError(ExitCode.Failed, `host ${name} does not end`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  },
});

async function isUp(name: string): Promise<boolean> {
  try {
    (await connectControl(name)).close();
    return true;
  } catch {
    return false;
  }
}

// What `shutdown` and `reboot` share: one domain or all, and waiting for them.

import type { ControlClient } from "../index.js";
import { CliError } from "./cli-error.js";
import type { OptionRows } from "./command.js";
import { ExitCode } from "./exit-codes.js";

export interface EndOptions {
  readonly all?: boolean;
  readonly wait?: boolean;
  readonly fallback?: boolean;
}

export const endOptionRows: OptionRows<EndOptions> = {
  all: { flags: "-a, --all", description: "all guest domains" },
  wait: { flags: "-w, --wait", description: "wait for the guests to end" },
  fallback: { flags: "-F", description: "for HVM guests in xl; PV guests have no ACPI to fall back to" },
};

/** By ShutdownReason; xl prints SHUTDOWN_*'s number. */
const CODES: Readonly<Record<string, number>> = { poweroff: 0, reboot: 1, suspend: 2, crash: 3, watchdog: 4 };

export async function askToEnd(
  client: ControlClient,
  what: "poweroff" | "reboot",
  doing: string,
  domain: string | undefined,
  { all, wait }: EndOptions,
): Promise<number> {
  if (!all && domain === undefined)
    throw new CliError(ExitCode.Failed, "You must specify -a or a domain id.", { isPlain: true });
  if (all && domain !== undefined) throw new CliError(ExitCode.Usage, "a domain, or -a for all of them");
  const found = await client.call("domain.list", domain === undefined ? {} : { domain });
  const domains = all ? found.filter(({ domid, state }) => domid !== 0 && !state.shutdown) : found;
  // Before they are asked: none may end unseen.
  const ends = wait ? domains.map(({ domid }) => client.call("domain.wait", { domain: String(domid) })) : [];
  for (const end of ends) end.catch(() => {});
  for (const { domid } of domains) {
    process.stderr.write(`${doing} domain ${domid}\n`);
    await client.call("domain.shutdown", { domain: String(domid), what });
  }
  for (const [i, end] of ends.entries()) {
    const { reason } = await end;
    const code = CODES[reason];
    const text = code === undefined ? "has been destroyed" : `has been shut down, reason code ${code}`;
    process.stderr.write(`Domain ${domains[i]!.domid} ${text}\n`);
  }
  return ExitCode.Done;
}

// xen-ts console: a domain's console in the terminal; several can look at one.

import { CliError } from "../cli-error.js";
import { command } from "../command.js";
import { attachConsole } from "../console-session.js";
import { ExitCode } from "../exit-codes.js";
import { domainOperand, hostOptionRow } from "../host-command.js";

interface Options {
  readonly host?: string;
  readonly type?: string;
  readonly number?: string;
}

export const console = command<Options>({
  path: ["console"],
  summary: "attach to a domain's console; Ctrl-] leaves it",
  help: "Input that is no terminal is typed; at its end the console is shown until the domain ends.",
  operands: [domainOperand],
  options: {
    type: { flags: "-t <type>", description: "console type: pv, the only one that PV domains have" },
    number: {
      flags: "-n <number>",
      description: "console number, as in xl: 0, the default, is the first; 1 and on are channel= in its configuration",
    },
    host: hostOptionRow,
  },
  run: async ([domain], options) => {
    const { type = "pv", number = "0" } = options;
    if (type !== "pv") {
      if (type === "serial" || type === "vuart")
        throw new CliError(ExitCode.Failed, `PV domains have no ${type} console; -t pv is theirs`);
      throw new CliError(ExitCode.Failed, "console type supported are: pv, serial, vuart", { isPlain: true });
    }
    if (!/^\d+$/.test(number)) throw new CliError(ExitCode.Usage, `-n: "${number}" is not a number`);
    return attachConsole(options, { domain: domain!, number: Number(number) });
  },
});

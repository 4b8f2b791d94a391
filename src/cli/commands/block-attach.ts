// xen-ts block-attach: a disk for a running domain.

import { DiskSpecError, diskConfigOf, parseDiskSpec } from "../../index.js";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { dryrunRow } from "../global-options.js";
import { domainOperand, hostCommand, print } from "../host-command.js";
import { disk, printLibxlJson } from "../libxl-json.js";

interface Options {
  readonly dryrun?: boolean;
}

export const blockAttach = hostCommand<Options>({
  path: ["block-attach"],
  summary: "create a new virtual block device",
  help: "Its specification is that of disk= in xl.cfg; parts given as words of their own are joined by commas:\n  block-attach web file:data.img xvdb w",
  operands: [
    domainOperand,
    { name: "disk-spec", description: "as in disk= of xl.cfg", required: true, variadic: true },
  ],
  options: { dryrun: dryrunRow },
  run: async (client, [domain = "", ...parts], { dryrun }) => {
    const spec = parts.join(",");
    if (dryrun) print(diskText(spec));
    else await client.call("block.attach", { domain, spec, directory: process.cwd() });
  },
});

function diskText(spec: string): string {
  try {
    const config = diskConfigOf(parseDiskSpec(spec), { directory: process.cwd() });
    return config ? `disk: ${printLibxlJson(disk(config))}\n` : "";
  } catch (error) {
    if (error instanceof DiskSpecError) throw new CliError(ExitCode.Failed, error.message);
    throw error;
  }
}

// xen-ts vcpu-pin: hosts have one CPU yet, so a VCPU can only be where it is.

import { expandCpuList, parseCpuList } from "../../index.js";
import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { domainOperand, hostCommand } from "../host-command.js";

interface Options {
  readonly force?: boolean;
}

export const vcpuPin = hostCommand<Options>({
  path: ["vcpu-pin"],
  summary: "set which CPUs a VCPU can use",
  operands: [
    domainOperand,
    { name: "VCPU|all", description: "number of the VCPU", required: true },
    { name: "Hard", description: "CPUs such as 0-3,^2; - or all", required: true },
    { name: "Soft", description: "CPUs, - or all" },
  ],
  options: { force: { flags: "-f, --force", description: "accepted: no kernel can pin anything here" } },
  run: async (client, [domain = "", vcpu = "", ...masks]) => {
    const [found] = await client.call("domain.list", { domain });
    const { nr_cpus } = await client.call("host.info", {});
    if (vcpu !== "all" && !(/^\d+$/.test(vcpu) && Number(vcpu) < found!.vcpus.length))
      throw new CliError(ExitCode.Failed, `Error: Invalid argument ${vcpu} as VCPU.`, { isPlain: true });
    for (const mask of masks.filter((each) => each !== "-" && each !== "all")) {
      const list = parseCpuList(mask);
      if (!list) throw new CliError(ExitCode.Failed, "Error: Invalid argument.", { isPlain: true });
      if (expandCpuList(list, nr_cpus).length === 0)
        throw new CliError(
          ExitCode.Failed,
          `CPUs ${mask}: this host has CPU ${nr_cpus > 1 ? `0-${nr_cpus - 1}` : "0"} only`,
        );
    }
  },
});

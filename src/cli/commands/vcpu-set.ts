// xen-ts vcpu-set.

import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { domainOperand, hostCommand } from "../host-command.js";

interface Options {
  readonly ignoreHost?: boolean;
}

export const vcpuSet = hostCommand<Options>({
  path: ["vcpu-set"],
  summary: "set the number of active VCPUs allowed for the domain",
  help: `The guest's kernel is told through XenStore. Linux takes VCPUs offline by itself; those that come, it makes present, and
a rule of udev, or "echo 1 >/sys/devices/system/cpu/cpuN/online" in the guest, brings them online; the busybox images do it by themselves.`,
  operands: [domainOperand, { name: "vCPUs", description: "how many", required: true }],
  options: {
    ignoreHost: { flags: "-i, --ignore-host", description: "accepted: the host's CPU count is no limit here" },
  },
  run: async (client, [domain = "", count = ""]) => {
    if (!/^\d{1,5}$/.test(count)) throw new CliError(ExitCode.Failed, "Error: Invalid argument.", { isPlain: true });
    const [found] = await client.call("domain.list", { domain });
    const { vcpus, name } = found!;
    const wanted = Number(count);
    if (wanted > vcpus.length) {
      const text = `${name} was made with ${vcpus.length} VCPUs; maxvcpus= in its configuration makes room for more`;
      throw new CliError(ExitCode.Failed, text);
    }
    // xl ignores numbers below 1.
    if (wanted < 1) return;
    await client.call("domain.vcpus", { domain, count: wanted });
  },
});

// xen-ts vcpu-pin.

import { expandCpuList, parseCpuList } from "../../index.js";
import { CliError } from "../cli-error.js";
import { cpuSet } from "../cpu-set.js";
import { ExitCode } from "../exit-codes.js";
import { dryrunRow } from "../global-options.js";
import { domainOperand, hostCommand, print } from "../host-command.js";

interface Options {
  readonly force?: boolean;
  readonly dryrun?: boolean;
}

const failed = (text: string, options?: { isPlain: boolean }) => new CliError(ExitCode.Failed, text, options);

export const vcpuPin = hostCommand<Options>({
  path: ["vcpu-pin"],
  summary: "set which CPUs a VCPU can use",
  operands: [
    domainOperand,
    { name: "VCPU|all", description: "number of the VCPU", required: true },
    { name: "Hard", description: "CPUs where it may run, such as 0-3,^2; all; - leaves them", required: true },
    { name: "Soft", description: "CPUs where it should run; all; - leaves them" },
  ],
  options: {
    force: { flags: "-f, --force", description: "accepted for one VCPU: no kernel can pin anything here" },
    dryrun: dryrunRow,
  },
  run: async (client, [domain = "", vcpu = "", hardText = "-", softText = "-"], { force, dryrun }) => {
    const [found] = await client.call("domain.list", { domain });
    const { nr_cpus } = await client.call("host.info", {});
    if (vcpu !== "all" && !(/^\d+$/.test(vcpu) && Number(vcpu) < found!.vcpus.length))
      throw failed(`Error: Invalid argument ${vcpu} as VCPU.`, { isPlain: true });
    if (force && vcpu === "all") throw failed("Error: --force and 'all' as VCPU not allowed.", { isPlain: true });
    const hard = cpusOf(hardText, nr_cpus);
    const soft = cpusOf(softText, nr_cpus);
    if (dryrun) {
      print(`cpumap: ${hard ? cpuSet(hard, nr_cpus) : "-"}${soft ? ` ${cpuSet(soft, nr_cpus)}` : ""}\n`);
      return;
    }
    await client.call("domain.pin", {
      domain,
      ...(vcpu === "all" ? {} : { vcpu: Number(vcpu) }),
      ...(hard ? { hard } : {}),
      ...(soft ? { soft } : {}),
    });
  },
});

/** undefined: they stay. */
function cpusOf(text: string, cpus: number): number[] | undefined {
  if (text === "-") return undefined;
  const list = parseCpuList(text);
  if (!list) throw failed("Error: Invalid argument.", { isPlain: true });
  const numbers = expandCpuList(list, cpus);
  if (numbers.length > 0) return numbers;
  throw failed(`CPUs ${text}: this host has CPU ${cpus > 1 ? `0-${cpus - 1}` : "0"} only`);
}

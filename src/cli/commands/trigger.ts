// xen-ts trigger: an NMI for a domain's VCPU. The other triggers are buttons of HVM domains, in xl as here.

import { CliError } from "../cli-error.js";
import { ExitCode } from "../exit-codes.js";
import { domainOperand, hostCommand } from "../host-command.js";

const TRIGGERS = ["nmi", "reset", "init", "power", "sleep", "s3resume"];

export const trigger = hostCommand<object>({
  path: ["trigger"],
  summary: "send a trigger to a domain",
  help: "PV domains take nmi; a Linux kernel says that it has no reason, or panics when it was started with unknown_nmi_panic.",
  operands: [
    domainOperand,
    { name: "trigger", description: TRIGGERS.join(", "), required: true },
    { name: "VCPU", description: "number of a VCPU (default: 0)" },
  ],
  options: {},
  run: async (client, [domain = "", name = "", vcpu = "0"]) => {
    if (!TRIGGERS.includes(name)) throw new CliError(ExitCode.Failed, `Invalid trigger "${name}"`, { isPlain: true });
    if (!/^\d{1,4}$/.test(vcpu)) throw new CliError(ExitCode.Failed, `"${vcpu}" is not the number of a VCPU`);
    if (name === "nmi") {
      await client.call("domain.nmi", { domain, vcpu: Number(vcpu) });
      return;
    }
    await client.call("domain.list", { domain });
    throw new CliError(
      ExitCode.Failed,
      `${domain} is a PV domain: of triggers it takes nmi (shutdown and reboot reach it)`,
    );
  },
});

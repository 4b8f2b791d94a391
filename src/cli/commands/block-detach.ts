// xen-ts block-detach: takes a disk from a running domain.

import { inXlWords } from "../cli-error.js";
import { domainOperand, hostCommand } from "../host-command.js";

interface Options {
  readonly force?: boolean;
}

export const blockDetach = hostCommand<Options>({
  path: ["block-detach"],
  summary: "destroy a domain's virtual block device",
  operands: [domainOperand, { name: "DevId", description: "its name in the guest, or its number", required: true }],
  options: {
    force: { flags: "-f, --force", description: "take it away from a guest that does not let go of it" },
  },
  run: async (client, [domain = "", vdev = ""], { force = false }) => {
    const detached = client.call("block.detach", { domain, vdev, force });
    await detached.catch(inXlWords(`Error: Device ${vdev} not connected.`));
  },
});

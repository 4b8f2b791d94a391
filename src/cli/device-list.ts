// The commands that list domains' devices: block-list, network-list, channel-list. They differ in what they ask for and in their table.

import type { ChannelInfo, VbdInfo, VifInfo } from "../index.js";
import type { Command } from "./command.js";
import { hostCommand, print } from "./host-command.js";

interface Options {
  readonly json?: boolean;
}

interface Devices {
  "block.list": VbdInfo;
  "network.list": VifInfo;
  "channel.list": ChannelInfo;
}

export function deviceList<Method extends keyof Devices>(row: {
  readonly name: string;
  readonly summary: string;
  readonly method: Method;
  readonly table: (devices: readonly Devices[Method][]) => string;
}): Command<object> {
  const { name, summary, method, table } = row;
  return hostCommand<Options>({
    path: [name],
    summary,
    operands: [{ name: "Domain", description: "names or ids", required: true, variadic: true }],
    options: { json: { flags: "--json", description: "print JSON" } },
    run: async (client, domains, { json }) => {
      const lists = await Promise.all(domains.map((domain) => client.call(method, { domain })));
      const devices = lists.flat() as readonly Devices[Method][];
      print(json ? `${JSON.stringify(devices, undefined, 2)}\n` : table(devices));
    },
  });
}

// Commands that talk to a running host: all have --host, and are given a client that is closed afterwards.

import { type ControlClient, connectControl } from "../index.js";
import { type Command, command, type OptionRow } from "./command.js";
import { ExitCode } from "./exit-codes.js";

export interface HostOption {
  readonly host?: string;
}

export const hostOptionRow: OptionRow<string> = {
  flags: "--host <name>",
  description: "the host, where several run (default: $XEN_TS_HOST, or default)",
};

export function hostName(options: HostOption): string {
  return options.host ?? process.env.XEN_TS_HOST ?? "default";
}

type Row<Options extends object> = Omit<Command<Options>, "run"> & {
  /** Resolves with the exit code; without one it is 0. */
  readonly run: (
    client: ControlClient,
    operands: readonly string[],
    options: Options & HostOption,
    // biome-ignore lint/suspicious/noConfusingVoidType: most commands have nothing to say at their end
  ) => Promise<number | void>;
};

export function hostCommand<Options extends object>(row: Row<Options>): Command<object> {
  return command<Options & HostOption>({
    ...row,
    options: { ...row.options, host: hostOptionRow } as unknown as Command<Options & HostOption>["options"],
    run: async (operands, options) => {
      const client = await connectControl(hostName(options));
      try {
        return (await row.run(client, operands, options)) ?? ExitCode.Done;
      } finally {
        client.close();
      }
    },
  });
}

export const domainOperand = { name: "Domain", description: "name or id", required: true } as const;

export function print(text: string): void {
  process.stdout.write(text);
}

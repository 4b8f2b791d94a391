// The user's terminal as a viewer of a domain's console: Ctrl-] leaves, the domain goes on.

import { connectControl } from "../index.js";
import { CONSOLE_BANNER, CONSOLE_EXITED } from "./console-ports.js";
import { ExitCode } from "./exit-codes.js";
import { type HostOption, hostName } from "./host-command.js";
import { isXm } from "./program-name.js";
import { Terminal } from "./terminal.js";

export interface ConsoleRequest {
  readonly domain: string;
  /** Which of its consoles; default: the first, 0. */
  readonly number?: number;
  /** Stay when the domain is built anew after a reboot. */
  readonly follow?: boolean;
  /** Let a paused domain go as soon as its console is connected. */
  readonly unpause?: boolean;
}

/** Resolves with the exit code when the user left or the domain is gone. */
export async function attachConsole(options: HostOption, request: ConsoleRequest): Promise<number> {
  const client = await connectControl(hostName(options));
  const terminal = new Terminal();
  const banner = (text: string) => {
    if (isXm()) process.stderr.write(`${text}\r\n`);
  };
  try {
    const { stream } = await client.open("console.open", request);
    banner(CONSOLE_BANNER);
    await new Promise<void>((resolve) => {
      terminal.start({
        onInput: (bytes) => {
          // A guest that doesn't read holds the typing up, not our memory.
          if (!stream.write(Uint8Array.from(bytes))) {
            process.stdin.pause();
            stream.once("drain", () => process.stdin.resume());
          }
        },
        onDetach: resolve,
      });
      process.stdout.on("error", () => resolve());
      stream.on("data", (bytes: Buffer) => {
        terminal.watch(bytes);
        if (!process.stdout.write(bytes)) {
          stream.pause();
          process.stdout.once("drain", () => stream.resume());
        }
      });
      stream.once("end", resolve);
      stream.once("close", resolve);
      stream.resume();
    });
    stream.destroy();
    return ExitCode.Done;
  } finally {
    terminal.restore();
    // The shell's prompt, or the banner, begins on a line of its own.
    if (process.stdout.isTTY) process.stdout.write("\r\n");
    banner(CONSOLE_EXITED);
    client.close();
  }
}

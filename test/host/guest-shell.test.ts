// Commands in a shell on a console: the shell is a real one, on pipes.
import { type ChildProcess, spawn } from "node:child_process";
import { afterEach, describe, expect, test } from "vitest";
import { XenError } from "../../src/host/errors.js";
import { GuestConsole } from "../../src/host/guest-console.js";
import { GuestShell } from "../../src/host/guest-shell.js";

let child: ChildProcess | undefined;
afterEach(() => child?.kill());

function shellOnConsole(): GuestConsole {
  const shell = spawn("sh", ["-c", "exec sh -i 2>&1"], {
    env: { ...process.env, PS1: "guest$ ", ENV: "" },
    stdio: "pipe",
  });
  child = shell;
  const console = new GuestConsole(
    () => "d1",
    (bytes) => {
      shell.stdin.write(bytes);
      return bytes.length;
    },
  );
  shell.stdout.on("data", (bytes: Buffer) => console.deliver(Uint8Array.from(bytes)));
  shell.on("exit", () => console.end(new XenError("domain-gone", "d1: the domain ended (poweroff)")));
  return console;
}

describe("GuestShell", () => {
  test("gives output and status, one command after another", async () => {
    const shell = new GuestShell(shellOnConsole());
    const first = shell.exec("echo one; echo two");
    const second = shell.exec("exit 3");
    expect(await first).toEqual({ stdout: "one\ntwo\n", exitCode: 0 });
    expect(await second).toEqual({ stdout: "", exitCode: 3 });
  });

  test("quotes, dollars, newlines and markers in a command stay what they are", async () => {
    const shell = new GuestShell(shellOnConsole());
    const command = `printf '%s|' "it's" 'a "b"' '$HOME'\nprintf 'XENTS-E-0 0\\n'`;
    expect((await shell.exec(command)).stdout).toBe(`it's|a "b"|$HOME|XENTS-E-0 0\n`);
  });

  test("a command that doesn't end is a timeout, and the next one still runs once it has", async () => {
    const console = shellOnConsole();
    const shell = new GuestShell(console);
    const error = await shell.exec("read line; echo got $line", { timeout: 300 }).catch((reason: unknown) => reason);
    expect((error as XenError).code).toBe("timeout");
    expect((error as XenError).message).toContain("has not ended after 300 ms");
    await console.write("input\n");
    expect((await shell.exec("echo next")).stdout).toBe("next\n");
  });

  test("the end of the domain ends the command", async () => {
    const console = shellOnConsole();
    const shell = new GuestShell(console);
    await shell.ready();
    const running = shell.exec("sleep 20");
    setTimeout(() => child?.kill("SIGKILL"), 100);
    await expect(running).rejects.toThrow("the domain ended");
  });

  test("a command too long for any console is refused", async () => {
    const shell = new GuestShell(
      new GuestConsole(
        () => "d1",
        () => 0,
      ),
    );
    await expect(shell.exec("x".repeat(2 ** 20 + 1))).rejects.toMatchObject({ code: "bad-argument" });
  });
});

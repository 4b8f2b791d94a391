// The command line with a real kernel: what a user types, as dom0 (boot) and as an unprivileged domain (run).
import { beforeAll, describe, expect, test } from "vitest";
import { xenTs } from "../support/command.js";
import { testImage } from "../support/image.js";

const CRASH = "echo c > /proc/sysrq-trigger";

beforeAll(async () => {
  await testImage("bookworm");
  await testImage("bullseye");
});

/** Boots, types lines when the shell is there, and waits for the end. */
function type(words: readonly string[], lines: string) {
  return xenTs([...words, "--timeout", "240"], { input: lines });
}

describe.each([["boot"], ["run"]])("xen-ts %s", (command) => {
  test("--exec: the command's output alone, and its status", async () => {
    const result = await xenTs([command, "--exec", "uname -sr; cat /proc/version >&2; printf 'a\\r'; exit 7"]);
    expect(result.stdout).toMatch(/^Linux 6\.1\.0-\d+-amd64\nLinux version 6\.1\.0-[^\n]+\na\r$/);
    expect(result).toMatchObject({ code: 7, stderr: "" });
  });

  test("typed commands and poweroff: 0", async () => {
    const { code, stdout, stderr } = await type([command], "ls -1 /\necho $((6 * 7))-end\npoweroff\n");
    expect(stdout).toMatch(/^bin\r\ndev\r\netc\r$/m);
    expect(stdout).toContain("42-end");
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });

  test("a crash: 121, with the kernel's words and Xen's register dump", async () => {
    const { code, stdout, stderr } = await type([command, "bullseye"], `${CRASH}\n`);
    expect(stdout).toContain("Kernel panic - not syncing: sysrq triggered crash");
    expect(stdout).toMatch(/^\(XEN\) RIP: {4}e033:\[<ffffffff\w+>\]/m);
    expect(stderr).toBe("xen-ts: the guest crashed\n");
    expect(code).toBe(121);
  });
});

test("a kernel that panics for want of a root file system: 121", async () => {
  const { kernel } = await testImage("bookworm");
  const result = await xenTs(["run", "--kernel", kernel, "--headless", "--timeout", "240"]);
  expect(result.stdout).toContain("Kernel panic - not syncing: VFS: Unable to mount root fs");
  expect(result.code).toBe(121);
});

test("--headless --until, with statistics", async () => {
  const result = await xenTs(["boot", "--headless", "--until", "^Run /init|Run /init as init process", "--stats"]);
  expect(result.stdout).toContain("Run /init as init process");
  expect(result.stdout).not.toContain("XENTS-SHELL-READY");
  expect(result.stderr).toMatch(/^instructions +[\d,]{11,} \([\d.]+ MIPS while busy\)$/m);
  expect(result.code).toBe(0);
});

test("--timeout in the middle of the boot: 124", async () => {
  const result = await xenTs(["run", "--headless", "--timeout", "2"]);
  expect(result.stdout).toContain("Linux version 6.1.0");
  expect(result).toMatchObject({ code: 124, stderr: "xen-ts: timeout: the guest still ran after 2 s\n" });
});

test("--exec of a command that is longer than a kernel's command line", async () => {
  const text = "0123456789".repeat(500);
  const result = await xenTs(["run", "--exec", `printf %s ${text} | wc -c`]);
  expect(result).toMatchObject({ code: 0, stdout: "5000\n", stderr: "" });
});

test("--exec in a guest of the user's own files goes through its shell", async () => {
  const { kernel, initrd } = await testImage("bookworm");
  const result = await xenTs(["run", "--kernel", kernel, "--ramdisk", initrd, "--exec", "echo hello; exit 3"]);
  expect(result).toMatchObject({ code: 3, stdout: "hello\n", stderr: "" });
});

test("reboot boots again", async () => {
  let boots = 0;
  const result = await xenTs(["boot", "--timeout", "240"], {
    input: "reboot\n",
    onOutput: (stdout, child) => {
      const before = boots;
      boots = stdout.split("XENTS-SHELL-READY").length - 1;
      if (before < 2 && boots === 2) child.kill("SIGTERM");
    },
  });
  expect(result.code).toBe(143);
});

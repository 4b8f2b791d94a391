// The two machines of the I/O benchmark, each with two guests: "server", and "client" with two disks, a link to the server and a NAT.
// Both boot the same kernel and initramfs; the client's console comes out of the command's stdout.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { dyingWithParent, killAtExit } from "./measure.mjs";

const MEMORY_MIB = 256;
const NODES = { qemu: ["/dev/vda", "/dev/vdb"], "xen-ts": ["/dev/xvda", "/dev/xvdb"] };
const CONSOLES = { qemu: "ttyS0", "xen-ts": "hvc0" };
export const IO_PEERS = ["qemu", "xen-ts", "xen-ts-again", "xen-ts-base"];
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** What init reads: `io.role`, and the disks' names. */
export function commandLine(peer, role) {
  const [raw, qcow2] = NODES[peer];
  return `console=${CONSOLES[peer]} quiet panic=-1 io.role=${role} io.raw=${raw} io.qcow2=${qcow2}`;
}

function qemu(role, { kernel, ramdisk, raw, qcow2, link }) {
  const isServer = role === "server";
  return [
    ...["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", `${MEMORY_MIB}`, "-nographic", "-no-reboot"],
    ...["-kernel", kernel, "-initrd", ramdisk, "-append", commandLine("qemu", role), "-nic", "none"],
    ...["-netdev", `stream,id=n0,server=${isServer ? "on" : "off"},addr.type=unix,addr.path=${link}`],
    ...["-device", `virtio-net-pci,netdev=n0,mac=52:54:00:00:00:0${isServer ? 2 : 1}`],
    ...(isServer ? [] : ["-netdev", "user,id=n1", "-device", "virtio-net-pci,netdev=n1"]),
    ...(isServer
      ? []
      : ["-drive", `file=${raw},format=raw,if=virtio`, "-drive", `file=${qcow2},format=qcow2,if=virtio`]),
  ];
}

/**
 * `translations`: the folder of xen-ts's translation cache, or "".
 * `base`: another checkout, built.
 * @returns the client's command, the processes that run besides, and what ends them
 */
export function startPeer(name, options) {
  if (name !== "qemu") {
    const { node, kernel, ramdisk, raw, qcow2, translations, base } = options;
    const script = name === "xen-ts-base" ? join(base, "test/benchmark/io-xen-ts.mjs") : here("io-xen-ts.mjs");
    const words = [node, script, kernel, ramdisk, raw, qcow2, translations];
    return { words: dyingWithParent(words), others: [], stop: () => {} };
  }
  const [command, ...words] = dyingWithParent(qemu("server", options));
  const server = spawn(command, words, { stdio: "ignore" });
  const forget = killAtExit(server);
  const stop = () => {
    forget();
    server.kill("SIGKILL");
  };
  return { words: dyingWithParent(qemu("client", options)), others: [server], stop };
}

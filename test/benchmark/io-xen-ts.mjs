// The I/O benchmark's two guests on one xen-ts host. Arguments: kernel, initramfs, raw disk, qcow2 disk, and
// the folder of the translation cache (empty: none), which is complete when SIGTERM has ended this.

import { createXenHost } from "../../dist/src/index.js";
import { commandLine } from "./io-peers.mjs";

const [kernel, ramdisk, raw, qcow2, translations] = process.argv.slice(2);
const host = await createXenHost({ memory: "600M", translationCache: translations || false });
process.once("SIGTERM", () => host.close().finally(() => process.exit(143)));
host.network("link");
host.network("world", { nat: { hostLoopback: true } });
const create = (name, rest) =>
  host.createDomain({ name, kernel, ramdisk, memory: "256M", cmdline: commandLine("xen-ts", name), ...rest });
await create("server", { vifs: ["bridge=link"] });
const client = await create("client", {
  vifs: ["bridge=link", "bridge=world"],
  disks: [
    { vdev: "xvda", target: raw },
    { vdev: "xvdb", target: qcow2, format: "qcow2" },
  ],
});
process.stdin.on("data", (bytes) => client.console.write(bytes));
for await (const bytes of client.console) process.stdout.write(bytes);

// One boot of a kernel as dom0 in this process, up to the shell's ready marker. Prints the figures as a line of JSON.
// Arguments: kernel, ramdisk, memory, marker, "jit" or "". Wall time counts from the start of the process.

import { createXenHost } from "../../dist/src/index.js";

const [kernel, ramdisk, memory, marker, jit] = process.argv.slice(2);
const host = await createXenHost({ memory: "768M", jit: jit === "jit" });
const domain = await host.createDomain({ kernel, ramdisk, memory, privileged: true, cmdline: "console=hvc0 panic=-1" });
await domain.console.waitFor(new RegExp(marker), { timeout: 300_000 });
const seconds = process.uptime();
const { instructions, busyMs } = host.statistics;
const rssMiB = process.resourceUsage().maxRSS / 1024;
console.log(JSON.stringify({ seconds, instructions, mips: instructions / busyMs / 1000, rssMiB }));
await host.close();
process.exit(0);

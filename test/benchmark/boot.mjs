// How long a peer takes from the start of its process to the shell of the image busybox, with the kernel as Debian packs it and (QEMU)
// unpacked beforehand. xen-ts keeps unpacked kernels in its cache: the first boot fills it and isn't counted;
// where translations are kept too, several do.

import { median, watch } from "./measure.mjs";

const READY = "XENTS-SHELL-READY";
const CMDLINE = "panic=-1";
const TIMEOUT_MS = 300_000;
/** Boots that leave what they found out to the next one. */
const LEARNING = 4;

async function bootOnce(peer, options, signal = "SIGKILL") {
  const words = peer.command({ ...options, cmdline: CMDLINE });
  return watch(words, { onLine: (line) => line.includes(READY), timeoutMs: TIMEOUT_MS, signal });
}

/** @returns {Promise<{ name, seconds: number[], peakMiB }[]>} */
export async function measureBoots(names, peers, { runs, kernel, unpacked, ramdisk, node, scratch, onProgress }) {
  const rows = [];
  for (const name of names.filter((each) => peers[each].architectures.includes("amd64") && each !== "native")) {
    const own = name.startsWith("xen-ts");
    const variants = own
      ? [["", kernel]]
      : [
          ["", kernel],
          [", unpacked kernel", unpacked],
        ];
    for (let left = own ? (peers[name].learns ? LEARNING : 1) : 0; left > 0; left--)
      await bootOnce(peers[name], { kernel, ramdisk, node, scratch }, "SIGTERM");
    for (const [suffix, image] of variants) {
      onProgress(`boot: ${name}${suffix}`);
      const seconds = [];
      const memory = [];
      for (let run = 0; run < runs; run++) {
        const { milliseconds, peakMiB } = await bootOnce(peers[name], { kernel: image, ramdisk, node, scratch });
        seconds.push(milliseconds / 1000);
        memory.push(peakMiB);
      }
      rows.push({ name: name + suffix, seconds, peakMiB: median(memory) });
    }
  }
  return rows;
}

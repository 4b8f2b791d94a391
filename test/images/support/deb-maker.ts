// Makes whole Debian packages for tests: any tree, and control files.
import { gzipSync } from "node:zlib";
import { pack } from "tar-stream";
import { makeAr } from "./archive-maker.js";

export type TarHeader = Parameters<ReturnType<typeof pack>["entry"]>[0];

async function tarOf(entries: readonly (readonly [TarHeader, string?])[]): Promise<Buffer> {
  const tar = pack();
  for (const [header, data] of entries) tar.entry(header, data ?? "");
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar as AsyncIterable<Buffer>) chunks.push(chunk);
  return gzipSync(Buffer.concat(chunks));
}

export async function makeWholeDeb(
  entries: readonly (readonly [TarHeader, string?])[],
  control: Readonly<Record<string, string>>,
): Promise<Buffer> {
  const controls = Object.entries(control).map(([name, text]) => [{ name: `./${name}`, mode: 0o755 }, text] as const);
  return makeAr({
    "debian-binary": "2.0\n",
    "control.tar.gz": await tarOf(controls),
    "data.tar.gz": await tarOf(entries),
  });
}

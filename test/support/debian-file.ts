// One file of a Debian package, from the archive that the images come from: checked, and cached like them.
import { DebianArchive } from "../../images/archive/debian-archive.js";
import { Downloader } from "../../images/archive/downloader.js";
import { mirrorsFrom } from "../../images/archive/mirrors.js";
import { Cache, defaultCacheDirectory } from "../../images/cache/cache.js";
import { debianArchiveKeys } from "../../images/keys/debian.js";
import { readDeb } from "../../images/package/deb.js";

export async function debianFile(packageName: string, path: string): Promise<Uint8Array> {
  const archive = await DebianArchive.open({
    suite: "bookworm",
    mirrors: mirrorsFrom(process.env, undefined),
    cache: new Cache(defaultCacheDirectory()),
    downloader: new Downloader({ environment: process.env, signal: undefined }),
    keys: debianArchiveKeys(),
    onProgress: () => undefined,
    signal: undefined,
    now: Date.now,
  });
  const record = archive.find(packageName);
  const files = await readDeb(await archive.fetch(record), (each) => each === path, packageName);
  const file = files.get(path);
  if (!file) throw new Error(`${packageName} holds no ${path}`);
  return file;
}

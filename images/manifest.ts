// manifest.json of a built image: where every byte of it comes from.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { ImageError } from "./image-error.js";

export interface ManifestFile {
  readonly sha256: string;
  readonly size: number;
}

export interface ImageManifest {
  readonly format: 1;
  readonly name: string;
  /** 16 hex digits that identify recipe and packages: the same inputs give the same build. */
  readonly build: string;
  readonly recipe: string;
  readonly recipeVersion: number;
  readonly suite: string;
  /** `uname -r` of the kernel. */
  readonly kernelRelease: string;
  /** The signed indexes used. Dates are ISO 8601; signers are fingerprints with user IDs. */
  readonly releases: readonly {
    readonly url: string;
    readonly date: string;
    readonly signers: readonly { readonly fingerprint: string; readonly userId: string }[];
  }[];
  readonly packages: readonly {
    readonly name: string;
    readonly version: string;
    readonly architecture: string;
    readonly url: string;
    readonly sha256: string;
    readonly size: number;
  }[];
  readonly files: { readonly kernel: ManifestFile; readonly initrd: ManifestFile; readonly disk?: ManifestFile };
}

/** Identifies a build by what goes into it; the date of the index, which only gives the files their time, is left out. */
export function buildId(recipe: string, recipeVersion: number, packageHashes: readonly string[]): string {
  const inputs = JSON.stringify([recipe, recipeVersion, packageHashes]);
  return createHash("sha256").update(inputs).digest("hex").slice(0, 16);
}

export function describeFile(bytes: Uint8Array): ManifestFile {
  return { sha256: createHash("sha256").update(bytes).digest("hex"), size: bytes.length };
}

/** The same of a file that is too large for memory. */
export async function describeLargeFile(path: string): Promise<ManifestFile> {
  const hash = createHash("sha256");
  let size = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(chunk as Buffer);
    size += (chunk as Buffer).length;
  }
  return { sha256: hash.digest("hex"), size };
}

/** Reads a manifest back. Throws ImageError "bad-index" when it isn't one; `path` names it. */
export function parseManifest(text: string, path: string): ImageManifest {
  try {
    const manifest = JSON.parse(text) as Partial<ImageManifest>;
    const { kernel, initrd } = manifest.files ?? {};
    const whole = manifest.format === 1 && typeof kernel?.sha256 === "string" && typeof initrd?.sha256 === "string";
    if (whole && Array.isArray(manifest.packages) && Array.isArray(manifest.releases)) return manifest as ImageManifest;
  } catch {
    // Falls through to the one error below.
  }
  throw new ImageError("bad-index", `${path} is not the manifest of an image that this version can read.`);
}

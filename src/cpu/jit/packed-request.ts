// A region's request as one string: copying it to another thread costs a fraction of what cloning many small objects does, and the
// same code has the same string in every run.

import type { BlockRequest, RegionRequest } from "./request.js";

type Packed = Omit<RegionRequest, "blocks"> & { blocks: (Omit<BlockRequest, "bytes"> & { bytes: string })[] };

/** A region is compiled twice and noted as known. */
const texts = new WeakMap<RegionRequest, string>();

export function packRequest(request: RegionRequest): string {
  const known = texts.get(request);
  if (known !== undefined) return known;
  const blocks = request.blocks.map((block) => ({ ...block, bytes: String.fromCharCode(...block.bytes) }));
  const text = JSON.stringify({ ...request, blocks } satisfies Packed);
  texts.set(request, text);
  return text;
}

export function unpackRequest(text: string): RegionRequest {
  const { blocks, entries } = JSON.parse(text) as Packed;
  return { entries, blocks: blocks.map(unpackBlock) };
}

/** JSON leaves out what is undefined: blocks that all have the same shape keep the code fast that reads them. */
function unpackBlock(block: Packed["blocks"][number]): BlockRequest {
  return {
    at: block.at,
    bytes: bytesOf(block.bytes),
    count: block.count,
    records: block.records,
    crosses: block.crosses,
    fallThrough: block.fallThrough,
    target: block.target,
    jumps: block.jumps,
    behindCalls: block.behindCalls,
    returnTo: block.returnTo,
  };
}

function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// Takes requests off the ring apart (io/blkif.h), in the layout of the frontend's ABI. What is returned is copied and in bounds:
// segments lie inside their pages, and there are as many as the ABI allows.

import * as B from "../../../hypervisor/public/io/blkif.js";
import type { Abi } from "../../../hypervisor/public/layout.js";
import type { GrantedPart } from "../backend.js";

/** Most segments that we take in an indirect request, as Linux's backend does. */
export const MAX_INDIRECT_SEGMENTS = 256;
const SEGMENT_BYTES = 8;
const SEGMENTS_PER_PAGE = 4096 / SEGMENT_BYTES;
const SECTORS_PER_PAGE = 8;

export type Segment = GrantedPart;

export interface BlockRequest {
  /** Echoed in the response. */
  readonly id: bigint;
  readonly operation: number;
  /** What an indirect request does; the operation itself otherwise. */
  readonly action: number;
  readonly sector: bigint;
  /** Segments of a direct request; those of an indirect one are in granted pages. */
  readonly segments: readonly Segment[] | undefined;
  readonly indirect: { readonly count: number; readonly grefs: readonly number[] } | undefined;
  /** Of a discard. */
  readonly sectors: bigint;
}

/** Bytes of an entry of the ring. */
export function entrySize(abi: Abi): number {
  return Math.max(B.blkif_request.size(abi), B.blkif_response.size(abi));
}

/** @returns undefined for the segments of requests that break the rules: they are to be refused. */
export function parseRequest(entry: DataView, abi: Abi): BlockRequest {
  const operation = entry.getUint8(0);
  if (operation === B.BLKIF_OP_INDIRECT) {
    const layout = B.blkif_request_indirect;
    const action = entry.getUint8(layout.offset(abi, "indirect_op"));
    const id = entry.getBigUint64(layout.offset(abi, "id"), true);
    const sector = entry.getBigUint64(layout.offset(abi, "sector_number"), true);
    const count = entry.getUint16(layout.offset(abi, "nr_segments"), true);
    const isInBounds = count > 0 && count <= MAX_INDIRECT_SEGMENTS;
    const first = layout.offset(abi, "indirect_grefs");
    const grefs: number[] = [];
    for (let done = 0; isInBounds && done < count; done += SEGMENTS_PER_PAGE)
      grefs.push(entry.getUint32(first + 4 * grefs.length, true));
    const indirect = isInBounds ? { count, grefs } : undefined;
    return { id, operation, action, sector, segments: undefined, indirect, sectors: 0n };
  }
  if (operation === B.BLKIF_OP_DISCARD) {
    const { id, sector_number, nr_sectors } = B.blkif_request_discard.read(entry, 0, abi);
    const rest = { segments: undefined, indirect: undefined, sectors: nr_sectors };
    return { id, operation, action: operation, sector: sector_number, ...rest };
  }
  const count = entry.getUint8(B.blkif_request.offset(abi, "nr_segments"));
  const id = entry.getBigUint64(B.blkif_request.offset(abi, "id"), true);
  const sector = entry.getBigUint64(B.blkif_request.offset(abi, "sector_number"), true);
  const isInBounds = count <= B.BLKIF_MAX_SEGMENTS_PER_REQUEST;
  const segments = isInBounds ? parseSegments(entry, B.blkif_request.offset(abi, "seg"), count) : undefined;
  return { id, operation, action: operation, sector, segments, indirect: undefined, sectors: 0n };
}

/** @returns undefined when one of them isn't inside its page */
export function parseSegments(view: DataView, at: number, count: number): Segment[] | undefined {
  const segments: Segment[] = [];
  for (let i = 0; i < count; i++) {
    const gref = view.getUint32(at + i * SEGMENT_BYTES, true);
    const first = view.getUint8(at + i * SEGMENT_BYTES + 4);
    const last = view.getUint8(at + i * SEGMENT_BYTES + 5);
    if (first > last || last >= SECTORS_PER_PAGE) return undefined;
    segments.push({ gref, offset: first * 512, length: (last - first + 1) * 512 });
  }
  return segments;
}

/** Bytes that `count` segments take in the pages of an indirect request. */
export const indirectBytes = (count: number): number => count * SEGMENT_BYTES;

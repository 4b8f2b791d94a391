// public/io/ring.h: the head of a shared ring page. Entries follow; their number is the largest power of two that fits.

export const SRING = { req_prod: 0, req_event: 4, rsp_prod: 8, rsp_event: 12, entries: 64 } as const;

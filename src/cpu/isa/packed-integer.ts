// Packed integer instructions that exist for MMX registers and, with prefix 66, for XMM registers (SDM volume 2, table A-3):
// one list, from which mmx.ts and sse/sse2.ts take their rows.

/** Opcode after 0F, both operand pairs mm, mm/m64 and xmm, xmm/m128. First extension: MMX. */
export const PACKED_MMX: Readonly<Record<string, string>> = {
  PACKSSWB: "63",
  PCMPGTB: "64",
  PCMPGTW: "65",
  PCMPGTD: "66",
  PACKUSWB: "67",
  PUNPCKHBW: "68",
  PUNPCKHWD: "69",
  PUNPCKHDQ: "6A",
  PACKSSDW: "6B",
  PCMPEQB: "74",
  PCMPEQW: "75",
  PCMPEQD: "76",
  PSRLW: "D1",
  PSRLD: "D2",
  PSRLQ: "D3",
  PMULLW: "D5",
  PSUBUSB: "D8",
  PSUBUSW: "D9",
  PAND: "DB",
  PADDUSB: "DC",
  PADDUSW: "DD",
  PANDN: "DF",
  PSRAW: "E1",
  PSRAD: "E2",
  PMULHW: "E5",
  PSUBSB: "E8",
  PSUBSW: "E9",
  POR: "EB",
  PADDSB: "EC",
  PADDSW: "ED",
  PXOR: "EF",
  PSLLW: "F1",
  PSLLD: "F2",
  PSLLQ: "F3",
  PMADDWD: "F5",
  PSUBB: "F8",
  PSUBW: "F9",
  PSUBD: "FA",
  PADDB: "FC",
  PADDW: "FD",
  PADDD: "FE",
};

/** The same for what SSE added to MMX. */
export const PACKED_SSE: Readonly<Record<string, string>> = {
  PMINUB: "DA",
  PMAXUB: "DE",
  PAVGB: "E0",
  PAVGW: "E3",
  PMULHUW: "E4",
  PMINSW: "EA",
  PMAXSW: "EE",
  PSADBW: "F6",
};

/** The same for what SSE2 added to MMX. */
export const PACKED_SSE2: Readonly<Record<string, string>> = { PADDQ: "D4", PMULUDQ: "F4", PSUBQ: "FB" };

/** The MMX forms read 32 bits of memory, the XMM forms 128. */
export const PACKED_UNPACK_LOW: Readonly<Record<string, string>> = {
  PUNPCKLBW: "60",
  PUNPCKLWD: "61",
  PUNPCKLDQ: "62",
};

/** Shifts by an immediate: opcode and /digit, operands mm, imm8 or xmm, imm8. */
export const PACKED_SHIFTS: Readonly<Record<string, string>> = {
  PSRLW: "71 /2",
  PSRAW: "71 /4",
  PSLLW: "71 /6",
  PSRLD: "72 /2",
  PSRAD: "72 /4",
  PSLLD: "72 /6",
  PSRLQ: "73 /2",
  PSLLQ: "73 /6",
};

/** SSSE3, opcode after 0F 38, for both register files. */
export const PACKED_SSSE3: Readonly<Record<string, string>> = {
  PSHUFB: "00",
  PHADDW: "01",
  PHADDD: "02",
  PHADDSW: "03",
  PMADDUBSW: "04",
  PHSUBW: "05",
  PHSUBD: "06",
  PHSUBSW: "07",
  PSIGNB: "08",
  PSIGNW: "09",
  PSIGND: "0A",
  PMULHRSW: "0B",
  PABSB: "1C",
  PABSW: "1D",
  PABSD: "1E",
};

// Parses the opcode column of a row (SDM volume 2, section 3.1.1.1) into the place it takes in the opcode maps.

import type { Row } from "../isa/instruction.js";

/** Which mandatory-prefix classes a row answers to. "any" and "NFx" leave 66 to be the operand-size prefix. */
export type PrefixRule = "any" | "NP" | "66" | "F2" | "F3" | "NFx";
export type ImmediateToken = "ib" | "iw" | "iz" | "iv" | "cb" | "cz" | "cp" | "moffs";

export interface OpcodeText {
  /** 0 one-byte, 1 = 0F, 2 = 0F 38, 3 = 0F 3A; VEX maps are these + 4. */
  map: number;
  opcode: number;
  /** Register number in the opcode's low three bits. */
  plusRegister: boolean;
  prefix: PrefixRule;
  rexW: boolean;
  rexB: boolean;
  hasModrm: boolean;
  /** ModRM.mod the row takes: register form only, memory only, or whatever the operands say. */
  mod: "register" | "memory" | "operands";
  /** ModRM.reg of /0-/7, or -1 for /r. */
  digit: number;
  /** Low six bits of a fixed ModRM byte (mod = 3), or -1. */
  fixedModrm: number;
  /** `+i`: the fixed ModRM byte's rm names a register. */
  plusIndex: boolean;
  immediates: ImmediateToken[];
}

const HEX_BYTE = /^([0-9A-F]{2})(\+r|\+i)?$/;
const MAP_OF: Readonly<Record<string, number>> = { "0F": 5, "0F38": 6, "0F3A": 7 };

export function parseOpcodeText(mnemonic: string, row: Row): OpcodeText {
  const out: OpcodeText = {
    map: 0,
    opcode: -1,
    plusRegister: false,
    prefix: "any",
    rexW: false,
    rexB: false,
    hasModrm: false,
    mod: "operands",
    digit: -1,
    fixedModrm: -1,
    plusIndex: false,
    immediates: [],
  };
  const tokens = row.opcode.split(" ");
  tokens.forEach((token, at) => {
    if (!parseToken(out, token, tokens[at + 1])) {
      throw new Error(`${mnemonic} "${row.opcode}": unknown opcode token "${token}"`);
    }
  });
  if (out.opcode < 0) throw new Error(`${mnemonic} "${row.opcode}": no opcode byte`);
  return out;
}

function parseToken(out: OpcodeText, token: string, next: string | undefined): boolean {
  const started = out.opcode >= 0;
  if (token === "NP" || token === "NFx") {
    out.prefix = token;
  } else if ((token === "66" || token === "F2" || token === "F3") && !started && out.map === 0 && next !== undefined) {
    // A prefix byte can stand before further hex bytes or REX only; the opcodes F2 and F3 themselves are prefixes anyway.
    if (!HEX_BYTE.test(next) && !next.startsWith("REX")) return false;
    out.prefix = token;
  } else if (token === "REX.W") {
    out.rexW = true;
  } else if (token === "REX.B") {
    out.rexB = true;
  } else if (token.startsWith("VEX.")) {
    return parseVex(out, token);
  } else if (token === "/r") {
    out.hasModrm = true;
  } else if (/^\/[0-7]$/.test(token)) {
    out.hasModrm = true;
    out.digit = Number(token[1]);
  } else if (token === "(11)") {
    out.mod = "register";
  } else if (token === "!(11)") {
    out.mod = "memory";
  } else if (/^(ib|iw|iz|iv|cb|cz|cp|moffs)$/.test(token)) {
    out.immediates.push(token as ImmediateToken);
  } else {
    return parseByte(out, token, next);
  }
  return true;
}

function parseVex(out: OpcodeText, token: string): boolean {
  out.prefix = "NP";
  for (const part of token.split(".").slice(1)) {
    const map = MAP_OF[part];
    if (map !== undefined) out.map = map;
    else if (part === "66" || part === "F2" || part === "F3") out.prefix = part;
    else if (part !== "LZ") return false;
  }
  return out.map >= 5;
}

function parseByte(out: OpcodeText, token: string, next: string | undefined): boolean {
  const match = HEX_BYTE.exec(token);
  if (match === null) return false;
  const byte = Number.parseInt(match[1]!, 16);
  if (out.opcode >= 0) {
    if (byte < 0xc0 || out.hasModrm || match[2] === "+r") return false;
    out.hasModrm = true;
    out.fixedModrm = byte & 63;
    out.plusIndex = match[2] === "+i";
  } else if (out.map === 0 && byte === 0x0f && next !== undefined && HEX_BYTE.test(next)) {
    out.map = 1;
  } else if (out.map === 1 && (byte === 0x38 || byte === 0x3a) && next !== undefined && HEX_BYTE.test(next)) {
    out.map = byte === 0x38 ? 2 : 3;
  } else {
    out.opcode = byte;
    out.plusRegister = match[2] === "+r";
  }
  return true;
}

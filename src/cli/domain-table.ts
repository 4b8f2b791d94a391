// `xl list`'s table, column for column, and `xm list`'s of 2005.

import type { DomainSummary } from "../index.js";
import { POOL_NAME } from "./cpupool.js";
import { fixed1, left, right } from "./printf.js";

export interface ListColumns {
  readonly verbose?: boolean;
  readonly context?: boolean;
  readonly cpupool?: boolean;
  readonly numa?: boolean;
  readonly claims?: boolean;
}

const HEADER = "Name                                        ID   Mem VCPUs\tState\tTime(s)";
/** By SHUTDOWN_* code of sched.h. */
const REASONS = "-rscwS";
const XM_HEADER = "Name              Id  Mem(MB)  CPU  State  Time(s)  Console";
/** Console ports of 2005 counted from here. */
export const XM_CONSOLE_PORT = 9600;

function stateLetters({ state, shutdownReason }: DomainSummary): string {
  const reason = shutdownReason === null ? "-" : (REASONS[shutdownReason] ?? "?");
  return [
    ...[state.running ? "r" : "-", state.blocked && !state.running ? "b" : "-", state.paused ? "p" : "-"],
    ...[state.shutdown ? "s" : "-", reason, state.dying ? "d" : "-"],
  ].join("");
}

const megabytes = (kib: number) => Math.floor(kib / 1024);
const online = ({ vcpus }: DomainSummary) => vcpus.filter((vcpu) => vcpu.online).length;

export function listTable(domains: readonly DomainSummary[], columns: ListColumns = {}): string {
  const { verbose, context, cpupool, numa, claims } = columns;
  const header = [
    HEADER,
    verbose ? "   UUID                            Reason-Code\tSecurity Label" : context ? "   Security Label" : "",
    claims ? "  Claimed" : "",
    cpupool ? "         Cpupool" : "",
    numa ? " NODE Affinity" : "",
  ];
  const rows = domains.map((domain) => {
    const { name, domid, memoryKib, cpuTime, uuid, shutdownReason } = domain;
    const common = `${left(name, 40)} ${right(domid, 5)} ${right(megabytes(memoryKib), 5)} ${right(online(domain), 5)}`;
    const code = shutdownReason === null ? "-" : shutdownReason.toString(16);
    return [
      `${common}     ${stateLetters(domain)}  ${fixed1(cpuTime, 8)}`,
      verbose ? ` ${uuid} ${right(code, 8)}` : "",
      claims ? ` ${right(0, 5)}` : "",
      verbose || context ? ` ${right("-", 16)}` : "",
      cpupool ? right(POOL_NAME, 16) : "",
      numa ? " all" : "",
    ].join("");
  });
  return [header.join(""), ...rows].map((line) => `${line}\n`).join("");
}

/** Five state letters: r b p s d, or c in the place of s. */
export function xmListTable(domains: readonly DomainSummary[]): string {
  const rows = domains.map((domain) => {
    const letters = stateLetters(domain);
    const end = letters[4] === "c" ? "c" : letters[3];
    const state = `${letters.slice(0, 3)}${end}${letters[5]}`;
    const { name, domid, memoryKib, cpuTime } = domain;
    const figures = `${right(domid, 3)}  ${right(megabytes(memoryKib), 7)}  ${right(0, 3)}  ${right(state, 5)}  ${fixed1(cpuTime, 7)}`;
    return `${left(name, 16)} ${figures}    ${domid === 0 ? "" : right(XM_CONSOLE_PORT + domid, 4)}`;
  });
  return [XM_HEADER, ...rows].map((line) => `${line.trimEnd()}\n`).join("");
}

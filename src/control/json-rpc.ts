// JSON-RPC 2.0 (jsonrpc.org/specification): the shapes of messages, the codes of errors, and how our own errors travel.

import { XenError, type XenErrorCode } from "../host/errors.js";

export const PARSE_ERROR = -32700;
export const INVALID_REQUEST = -32600;
export const METHOD_NOT_FOUND = -32601;
export const INVALID_PARAMS = -32602;
export const INTERNAL_ERROR = -32603;
/** A XenError; `data.code` is its code. */
export const XEN_ERROR = -32000;

export type RpcId = number | string | null;

export interface RpcRequest {
  readonly id: RpcId | undefined;
  readonly method: string;
  readonly params: unknown;
}

export interface RpcErrorObject {
  readonly code: number;
  readonly message: string;
  readonly data?: { readonly code: XenErrorCode };
}

/** An error that is the protocol's, not the library's. */
export class RpcError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = "RpcError";
    this.code = code;
  }
}

/** @throws RpcError */
export function parseRequest(line: string): RpcRequest {
  const message = parseObject(line);
  const { jsonrpc, id, method, params } = message;
  const isId = id === undefined || id === null || typeof id === "number" || typeof id === "string";
  if (jsonrpc !== "2.0" || typeof method !== "string" || !isId)
    throw new RpcError(INVALID_REQUEST, "not a JSON-RPC 2.0 request");
  return { id: id as RpcId | undefined, method, params: params ?? {} };
}

/** @throws RpcError when the text is no JSON object */
export function parseObject(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new RpcError(PARSE_ERROR, "not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new RpcError(INVALID_REQUEST, "not a JSON-RPC 2.0 request");
  return value as Record<string, unknown>;
}

export function resultLine(id: RpcId, result: unknown): string {
  return `${JSON.stringify({ jsonrpc: "2.0", id, result: result ?? null })}\n`;
}

export function errorLine(id: RpcId, error: unknown): string {
  return `${JSON.stringify({ jsonrpc: "2.0", id, error: errorObject(error) })}\n`;
}

function errorObject(error: unknown): RpcErrorObject {
  if (error instanceof RpcError) return { code: error.code, message: error.message };
  if (error instanceof XenError) return { code: XEN_ERROR, message: error.message, data: { code: error.code } };
  return { code: INTERNAL_ERROR, message: error instanceof Error ? error.message : String(error) };
}

/** The error that a response holds, as the one who asked sees it. */
export function errorOf(value: unknown): Error {
  const { code, message, data } = (value ?? {}) as Partial<RpcErrorObject>;
  const text = typeof message === "string" ? message : "an error without a message";
  if (code === XEN_ERROR && typeof data?.code === "string") return new XenError(data.code, text);
  return new RpcError(typeof code === "number" ? code : INTERNAL_ERROR, text);
}

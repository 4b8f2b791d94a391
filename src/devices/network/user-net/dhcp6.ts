// DHCPv6 without addresses (RFC 8415 6.1, 18.3.6): guests make those themselves; who asks for other things is told the name server (RFC 3646).

const [INFORMATION_REQUEST, REPLY] = [11, 7] as const;
const OPTION = { clientId: 1, serverId: 2, nameServers: 23 } as const;
/** A DUID based on the link-layer address, Ethernet (RFC 8415 11.4). */
const DUID_LL = [0, 3, 0, 1] as const;
const MAX_DUID = 130;

/** @param message the UDP payload. @param mac ours. @param nameServer 16 bytes. @returns the answer's payload; undefined: none */
export function answerDhcp6(message: Uint8Array, mac: Uint8Array, nameServer: Uint8Array): Uint8Array | undefined {
  if (message.length < 4 || message[0] !== INFORMATION_REQUEST) return undefined;
  const options = parseOptions(message.subarray(4));
  const duid = [...DUID_LL, ...mac];
  const asked = options.get(OPTION.serverId);
  // For another server.
  if (asked && (asked.length !== duid.length || duid.some((byte, i) => asked[i] !== byte))) return undefined;
  const client = options.get(OPTION.clientId);
  if (client && client.length > MAX_DUID) return undefined;
  const answer = [REPLY, message[1]!, message[2]!, message[3]!];
  const add = (code: number, value: ArrayLike<number>) => {
    answer.push(0, code, value.length >> 8, value.length & 0xff, ...Array.from(value));
  };
  if (client) add(OPTION.clientId, client);
  add(OPTION.serverId, duid);
  add(OPTION.nameServers, nameServer);
  return Uint8Array.from(answer);
}

function parseOptions(bytes: Uint8Array): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  for (let at = 0; at + 4 <= bytes.length; ) {
    const code = (bytes[at]! << 8) | bytes[at + 1]!;
    const length = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    if (at + 4 + length > bytes.length) break;
    options.set(code, bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return options;
}

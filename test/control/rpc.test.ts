// The control socket's protocol: calls, errors, streams, and clients that mean ill or don't read.
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MAX_LINE } from "../../src/control/json-lines.js";
import { RpcClient } from "../../src/control/rpc-client.js";
import { RpcServer } from "../../src/control/rpc-server.js";
import { claimSocket, makeHostDirectory, runningHosts, socketPath } from "../../src/control/socket-file.js";
import { XenError } from "../../src/host/errors.js";

type Methods = {
  add: { params: { a: number; b: number }; result: number };
  fail: { params: object; result: null };
  wait: { params: object; result: string };
  echo: { params: object; result: string };
};

let directory: string;
let path: string;
let server: RpcServer;
let aborted: number;
let defects: unknown[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "xen-ts-rpc-"));
  path = join(directory, "s");
  aborted = 0;
  defects = [];
  server = new RpcServer({
    methods: {
      add: (params) => {
        const { a, b } = params as { a: number; b: number };
        return a + b;
      },
      fail: () => {
        throw new XenError("no-domain", "x is no domain");
      },
      defect: () => {
        throw new TypeError("oops");
      },
      big: () => "x".repeat(100_000),
      wait: (_params, { signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            aborted++;
            reject(signal.reason);
          });
        }),
    },
    streams: {
      echo: () => ({ result: "go", start: (stream) => stream.pipe(stream) }),
      refuse: () => {
        throw new XenError("no-domain", "nothing there");
      },
    },
    onDefect: (error) => defects.push(error),
  });
  await server.listen(path);
});
afterEach(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

const connect = () => RpcClient.connect<Methods>(path);

/** Sends bytes as they are; resolves with what came until `lines` lines or the end. */
function raw(text: string | Buffer, lines: number): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket: Socket = createConnection(path, () => socket.write(text));
    const done = () => {
      socket.destroy();
      resolve(answer);
    };
    socket.on("data", (bytes) => {
      answer += bytes.toString();
      if (answer.split("\n").length > lines) done();
    });
    socket.on("close", done);
    socket.on("error", done);
  });
}

const until = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
};

describe("calls", () => {
  test("answers, several at once", async () => {
    const client = await connect();
    const sums = await Promise.all([1, 2, 3].map((a) => client.call("add", { a, b: 10 })));
    expect(sums).toEqual([11, 12, 13]);
    client.close();
  });

  test("our errors keep their code", async () => {
    const client = await connect();
    await expect(client.call("fail", {})).rejects.toMatchObject({ code: "no-domain", message: "x is no domain" });
    expect(defects).toEqual([]);
    client.close();
  });

  test("a client that goes away ends what it waits for", async () => {
    const client = await connect();
    const waiting = client.call("wait", {});
    waiting.catch(() => {});
    await client.call("add", { a: 1, b: 1 });
    client.close();
    await until(() => aborted === 1);
    expect(defects).toEqual([]);
  });

  test("a server that goes away fails what waits", async () => {
    const client = await connect();
    const waiting = client.call("wait", {});
    waiting.catch(() => {});
    await client.call("add", { a: 1, b: 1 });
    await server.close();
    await expect(waiting).rejects.toMatchObject({ code: "host-closed" });
  });
});

describe("bad clients", () => {
  const error = (code: number) => expect.objectContaining({ error: expect.objectContaining({ code }) });

  test.each<[string, string, number]>([
    ["no JSON", "hello\n", -32700],
    ["a list", "[]\n", -32600],
    ["no version", '{"id":1,"method":"add"}\n', -32600],
    ["an unknown method", '{"jsonrpc":"2.0","id":1,"method":"constructor"}\n', -32601],
    ["a method of Object", '{"jsonrpc":"2.0","id":1,"method":"__proto__"}\n', -32601],
  ])("%s", async (_what, line, code) => {
    expect(JSON.parse(await raw(line, 1))).toEqual(error(code));
  });

  test("a defect of ours is an answer, and is reported", async () => {
    expect(JSON.parse(await raw('{"jsonrpc":"2.0","id":1,"method":"defect"}\n', 1))).toEqual(error(-32603));
    expect(defects).toHaveLength(1);
  });

  test("a stream that is refused leaves the connection as it is", async () => {
    const text = await raw(
      '{"jsonrpc":"2.0","id":1,"method":"refuse"}\n{"jsonrpc":"2.0","id":2,"method":"add","params":{"a":1,"b":2}}\n',
      2,
    );
    expect(
      text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([error(-32000), { jsonrpc: "2.0", id: 2, result: 3 }]);
  });

  test("a line without end is cut off", async () => {
    expect(JSON.parse(await raw(Buffer.alloc(MAX_LINE + 10, 0x20), 1))).toEqual(error(-32700));
  });

  test("one that doesn't read isn't read from, and others are served", async () => {
    let written = 0;
    const line = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"big"}\n'.repeat(1000));
    const socket = createConnection(path);
    await new Promise((resolve) => socket.once("connect", resolve));
    socket.pause();
    // 4 MB of requests for 100,000 times as much in answers.
    for (let i = 0; i < 100; i++) socket.write(line, () => written++);
    const client = await connect();
    for (let i = 0; i < 20; i++) expect(await client.call("add", { a: i, b: 0 })).toBe(i);
    expect(written).toBeLessThan(90);
    socket.destroy();
    client.close();
  });
});

test("a stream: bytes both ways after the answer, those sent along with the call too", async () => {
  const client = await connect();
  const { result, stream } = await client.open("echo", {});
  expect(result).toBe("go");
  let text = "";
  stream.on("data", (bytes: Buffer) => {
    text += bytes.toString();
  });
  stream.resume();
  stream.write("abc\n");
  await until(() => text === "abc\n");
  stream.destroy();
  expect(await raw('{"jsonrpc":"2.0","id":1,"method":"echo"}\nat once\n', 2)).toBe(
    '{"jsonrpc":"2.0","id":1,"result":"go"}\nat once\n',
  );
});

describe("the socket's file", () => {
  const before = process.env.XDG_RUNTIME_DIR;
  const listen = (target: string) => server.listen(target);
  beforeEach(async () => {
    process.env.XDG_RUNTIME_DIR = directory;
    await server.close();
    server = new RpcServer({ methods: {}, streams: {}, onDefect: () => {} });
  });
  afterEach(() => {
    if (before === undefined) delete process.env.XDG_RUNTIME_DIR;
    else process.env.XDG_RUNTIME_DIR = before;
  });

  test("is its user's alone, and goes away", async () => {
    makeHostDirectory("one");
    const remove = await claimSocket("one", listen);
    expect(statSync(socketPath("one")).mode & 0o777).toBe(0o600);
    expect(statSync(join(directory, "xen-ts")).mode & 0o777).toBe(0o700);
    expect(await runningHosts()).toEqual(["one"]);
    remove();
    expect(await runningHosts()).toEqual([]);
  });

  test("isn't taken from a host that answers", async () => {
    makeHostDirectory("one");
    await claimSocket("one", listen);
    const other = new RpcServer({ methods: {}, streams: {}, onDefect: () => {} });
    await expect(claimSocket("one", (target) => other.listen(target))).rejects.toMatchObject({ code: "host-running" });
    await other.close();
    expect(await runningHosts()).toEqual(["one"]);
  });

  test("is taken over from a process that is gone", async () => {
    makeHostDirectory("one");
    writeFileSync(socketPath("one"), "");
    await claimSocket("one", listen);
    expect(await runningHosts()).toEqual(["one"]);
  });

  test.each(["", "a/b", "..", "-x", "x".repeat(65)])("a host can't be called %j", (name) => {
    expect(() => socketPath(name)).toThrow(/is not a host's name/);
  });
});

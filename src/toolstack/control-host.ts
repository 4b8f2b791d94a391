// A host that can be reached: its directory and control socket for as long as it runs; and, for clients, the way to it.

import { join } from "node:path";
import { RpcClient } from "../control/rpc-client.js";
import { RpcServer } from "../control/rpc-server.js";
import { checkHostName, claimSocket, makeHostDirectory, socketPath } from "../control/socket-file.js";
import { XenError } from "../host/errors.js";
import type { XenHost } from "../xen-host.js";
import { LogRing } from "./log-ring.js";
import { type ControlMethods, controlHandlers } from "./methods.js";
import { RotatingLog } from "./rotating-log.js";
import { Toolstack } from "./toolstack.js";

export interface ControlOptions {
  /** Several hosts of a user have different names; default "default". */
  readonly name?: string;
  /** What `dmesg` shows: the hypervisor's lines, which the host's `log` pushes. */
  readonly dmesg?: LogRing;
  /** Lines about domains' lives, for people. */
  readonly log?: (line: string) => void;
  /** A client wants the host to end. */
  readonly onShutdown: (options: { force: boolean; timeout: number }) => void;
}

export interface ControlHost {
  readonly name: string;
  /** Control socket, and the logs of the domains' consoles and of the hypervisor. */
  readonly directory: string;
  readonly toolstack: Toolstack;
  close(): Promise<void>;
}

/**
 * Opens the control socket of a host: Unix, mode 0600, JSON-RPC 2.0 with a message a line.
 * @throws XenError: host-running: another one has the name; bad-argument
 */
export async function serveControl(host: XenHost, options: ControlOptions): Promise<ControlHost> {
  const { name = "default", log = () => {}, dmesg = new LogRing(), onShutdown } = options;
  checkHostName(name);
  const directory = makeHostDirectory(name);
  const toolstack = new Toolstack(host, { directory, log });
  const handlers = controlHandlers({
    ...{ toolstack, dmesg, onShutdown, startedAt: Date.now() },
    onDefect: (error) => log(`a defect of xen-ts: ${error instanceof Error ? error.stack : String(error)}`),
  });
  const server = new RpcServer(handlers);
  // As xenconsoled --log=hv keeps Xen's console.
  const file = new RotatingLog(join(directory, "hypervisor.log"), (error) => log(`hypervisor.log: ${error.message}`));
  let remove: () => void;
  try {
    remove = await claimSocket(name, (path) => server.listen(path));
    dmesg.forward((line) => file.write(Buffer.from(`[${timestamp(new Date())}] (XEN) ${line}\n`)));
  } catch (error) {
    await server.close().catch(() => {});
    throw error;
  }
  return {
    ...{ name, directory, toolstack },
    close: async () => {
      remove();
      await server.close();
      dmesg.forward(undefined);
      file.close();
    },
  };
}

/** 2005-12-31 23:59:59, UTC */
function timestamp(date: Date): string {
  return date.toISOString().slice(0, 19).replace("T", " ");
}

export type ControlClient = RpcClient<ControlMethods>;

/** @throws XenError no-host */
export async function connectControl(name = "default"): Promise<ControlClient> {
  const path = socketPath(name);
  try {
    return await RpcClient.connect<ControlMethods>(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES" || code === "EPERM")
      throw new XenError("no-host", `${path}: permission denied; the host belongs to another user`);
    const what = name === "default" ? "no host is running" : `no host named ${name} is running`;
    const how = name === "default" ? "xen-ts up -d" : `xen-ts up -d --host ${name}`;
    throw new XenError("no-host", `${what}; "${how}" starts one`, { cause: error });
  }
}

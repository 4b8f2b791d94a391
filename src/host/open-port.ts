// Ports that lead out of the process other than by NAT: stream links and TAP devices.

import type { PacketPort } from "../devices/network/packet-port.js";
import { connectStreamLink, ListeningPort } from "../devices/network/stream-link.js";
import { XenError } from "./errors.js";
import { routeTap } from "./routed-tap.js";
import { openTap, TapError } from "./tap.js";
import type { StreamPort, TapPort } from "./vif-config.js";

/** @throws XenError bad-network */
export async function openPort(port: StreamPort | TapPort): Promise<PacketPort> {
  try {
    if (port.type === "tap") return await openTapPort(port);
    return await (port.listen ? ListeningPort.open(port.path) : connectStreamLink(port.path));
  } catch (error) {
    if (!(error instanceof TapError) && !(error instanceof Error && "syscall" in error)) throw error;
    const what = port.type === "tap" ? `tap ${port.device ?? ""}`.trim() : `stream ${port.path}`;
    throw new XenError("bad-network", `${what}: ${error.message}`, { cause: error });
  }
}

async function openTapPort({ device, route }: TapPort): Promise<PacketPort> {
  const tap = await openTap(device);
  try {
    if (!route) return tap;
    const unroute = await routeTap(tap.name, route);
    const close = tap.close.bind(tap);
    tap.close = () => {
      close();
      void unroute();
    };
    return tap;
  } catch (error) {
    tap.close();
    throw error;
  }
}

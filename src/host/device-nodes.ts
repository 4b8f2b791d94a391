// The XenStore nodes of a split device as xl makes them: the toolstack's record, the backend's directory, the frontend's, each with
// the owner that xl gives it.

import type { Permissions } from "../hypervisor/xenstore/permissions.js";
import type { XenStoreServer } from "../hypervisor/xenstore/server.js";

export interface DevicePaths {
  readonly backend: string;
  readonly frontend: string;
  /** The toolstack's own record. */
  readonly libxl: string;
}

export type NodeValues = Readonly<Record<string, string | number>>;

const encoder = new TextEncoder();

/** @param kind of the backend, "vbd"; @param frontKind of the frontend, where it differs ("qdisk" serves "vbd") */
export function devicePaths(domid: number, number: number, kind: string, frontKind = kind): DevicePaths {
  return {
    backend: `/local/domain/0/backend/${kind}/${domid}/${number}`,
    frontend: `/local/domain/${domid}/device/${frontKind}/${number}`,
    libxl: `/libxl/${domid}/device/${frontKind}/${number}`,
  };
}

/** Creates all nodes at once. `readOnly`: of the frontend, which the guest can't change. */
export function createDeviceNodes(
  server: XenStoreServer,
  domid: number,
  paths: DevicePaths,
  {
    back,
    front,
    readOnly = {},
  }: { readonly back: NodeValues; readonly front: NodeValues; readonly readOnly?: NodeValues },
): void {
  const owned = (owner: number, reader: number): Permissions => [
    { access: "n", domid: owner },
    { access: "r", domid: reader },
  ];
  server.update((view) => {
    const { store: nodes } = server;
    const make = (path: string, values: NodeValues, permissions: Permissions) => {
      nodes.write(view, 0, path, new Uint8Array(0));
      nodes.setPermissions(view, 0, path, permissions);
      for (const [name, value] of Object.entries(values))
        nodes.write(view, 0, `${path}/${name}`, encoder.encode(String(value)));
    };
    make(paths.libxl, { ...back, frontend: paths.frontend, backend: paths.backend }, [{ access: "n", domid: 0 }]);
    make(paths.backend, back, owned(0, domid));
    // Last: a running guest looks at the backend as soon as it sees this.
    make(paths.frontend, front, owned(domid, 0));
    for (const [name, value] of Object.entries(readOnly)) {
      nodes.write(view, 0, `${paths.frontend}/${name}`, encoder.encode(String(value)));
      nodes.setPermissions(view, 0, `${paths.frontend}/${name}`, owned(0, domid));
    }
  });
}

export function removeDeviceNodes(server: XenStoreServer, paths: DevicePaths): void {
  for (const path of [paths.frontend, paths.backend, paths.libxl]) server.remove(path);
}

/** Waits until a device that was asked to close has. @returns false: not within the time (ms) */
export async function finishesWithin(finished: Promise<void>, timeout: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(resolve, timeout, "late");
  });
  const outcome = await Promise.race([finished, late]);
  clearTimeout(timer);
  return outcome !== "late";
}

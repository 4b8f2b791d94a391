// Which proxy a URL goes through: the variables http_proxy, https_proxy and no_proxy (either case), as curl reads them.

export type Environment = Readonly<Record<string, string | undefined>>;

/** The proxy for `url`, or undefined to connect directly. A proxy without a scheme is taken for http. */
export function proxyFor(url: URL, environment: Environment): URL | undefined {
  const scheme = url.protocol.slice(0, -1);
  const value = variable(environment, `${scheme}_proxy`);
  if (value === undefined || isExcluded(url, variable(environment, "no_proxy") ?? "")) return undefined;
  return new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`);
}

function variable(environment: Environment, name: string): string | undefined {
  return environment[name] || environment[name.toUpperCase()] || undefined;
}

/** no_proxy: a list of host names, domains (with or without a leading dot), optional ports, or "*". */
function isExcluded(url: URL, list: string): boolean {
  const host = url.hostname.toLowerCase().replace(/^\[|\]$/g, "");
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== "")
    .some((entry) => {
      if (entry === "*") return true;
      const match = /^\*?\.?(.+?)(?::(\d+))?$/.exec(entry.toLowerCase());
      if (match === null || (match[2] !== undefined && match[2] !== port)) return false;
      return host === match[1] || host.endsWith(`.${match[1]}`);
    });
}

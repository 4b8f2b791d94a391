// Picks kernel modules with everything they need, and writes the tables that modprobe reads (kmod's modules.dep(5)):
// Debian's kernel packages carry no modules.dep, so this is the part of depmod(8) that an initramfs needs.
// Module names treat "-" and "_" alike, as the kernel does.
import { ImageError } from "../image-error.js";
import { type ModuleInfo, readModuleInfo } from "./module-info.js";

/** The modules of one kernel, as its packages hold them. */
export interface KernelModuleSource {
  /** Directory name under lib/modules, equal to `uname -r`. */
  readonly release: string;
  /** Paths relative to that directory, such as `kernel/fs/ext4/ext4.ko.xz`. */
  readonly paths: readonly string[];
  /** The text of modules.builtin: one path a line. */
  readonly builtin: string;
  /** The ELF file of a path, decompressed. */
  read(path: string): Uint8Array;
}

export interface SelectedModules {
  /** Uncompressed modules, path relative to lib/modules/RELEASE, in an order in which they can be loaded. */
  readonly files: readonly { readonly path: string; readonly data: Uint8Array }[];
  /** Index files for modprobe, path relative to lib/modules/RELEASE. */
  readonly tables: readonly { readonly path: string; readonly text: string }[];
}

interface Module {
  readonly name: string;
  readonly path: string;
  readonly data: Uint8Array;
  readonly info: ModuleInfo;
  readonly needs: readonly string[];
}

/** Where the modules live that others ask for by alias only (crypto-crc32c and its like). */
const ALIAS_DIRECTORIES = ["kernel/crypto/", "kernel/arch/x86/crypto/", "kernel/lib/", "kernel/arch/x86/lib/"];

/** Selects `roots` (module names) and what they depend on. A root that the kernel has built in is fine; an unknown one throws. */
export function selectModules(source: KernelModuleSource, roots: readonly string[]): SelectedModules {
  const selection = new Selection(source);
  for (const root of roots) selection.add(canonical(root), "the recipe");
  return { files: selection.files(), tables: selection.tables() };
}

class Selection {
  readonly #source: KernelModuleSource;
  readonly #pathOf = new Map<string, string>();
  readonly #builtin = new Set<string>();
  /** In load order: a module is entered after all that it needs. */
  readonly #modules = new Map<string, Module>();
  readonly #pending = new Set<string>();
  #aliases: Map<string, string[]> | undefined;

  constructor(source: KernelModuleSource) {
    this.#source = source;
    for (const path of source.paths) this.#pathOf.set(moduleName(path), path);
    for (const line of source.builtin.split("\n")) if (line !== "") this.#builtin.add(moduleName(line));
  }

  add(name: string, wantedBy: string): void {
    if (this.#modules.has(name) || this.#builtin.has(name) || this.#pending.has(name)) return;
    const path = this.#pathOf.get(name);
    if (path === undefined) {
      throw new ImageError(
        "bad-package",
        `Kernel ${this.#source.release} has no module ${name}, needed by ${wantedBy}.`,
      );
    }
    this.#pending.add(name);
    const data = this.#source.read(path);
    const info = readModuleInfo(name, data);
    const needs = [...info.depends.map(canonical), ...info.softPre.flatMap((soft) => this.#softTargets(soft))];
    for (const need of needs) this.add(need, name);
    const loadable = needs.filter((need) => !this.#builtin.has(need));
    this.#modules.set(name, { name, path: path.replace(/\.(xz|gz|zst)$/, ""), data, info, needs: loadable });
    this.#pending.delete(name);
  }

  files(): { path: string; data: Uint8Array }[] {
    return [...this.#modules.values()].map(({ path, data }) => ({ path, data }));
  }

  tables(): { path: string; text: string }[] {
    const modules = [...this.#modules.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
    const dep = modules.map(
      (module) =>
        `${module.path}:${this.#closure(module)
          .map((need) => ` ${need.path}`)
          .join("")}\n`,
    );
    const alias = modules.flatMap(({ name, info }) => info.aliases.map((pattern) => `alias ${pattern} ${name}\n`));
    const soft = modules.filter(({ info }) => info.softPre.length > 0);
    const softdep = soft.map(({ name, info }) => `softdep ${name} pre: ${info.softPre.join(" ")}\n`);
    return [
      { path: "modules.dep", text: dep.join("") },
      { path: "modules.alias", text: alias.join("") },
      { path: "modules.softdep", text: softdep.join("") },
      { path: "modules.builtin", text: this.#source.builtin },
    ];
  }

  /** Everything that must be loaded before `module`, the deepest last: modprobe loads a line from its end. */
  #closure(module: Module): Module[] {
    const reached = new Set<string>();
    const visit = (name: string): void => {
      for (const need of this.#modules.get(name)?.needs ?? []) {
        if (reached.has(need)) continue;
        reached.add(need);
        visit(need);
      }
    };
    visit(module.name);
    const inLoadOrder = [...this.#modules.values()].filter(({ name }) => reached.has(name));
    return inLoadOrder.reverse();
  }

  /** A soft dependency is a module's name or an alias; one that nothing offers is left out, as modprobe does. */
  #softTargets(soft: string): string[] {
    const name = canonical(soft);
    if (this.#builtin.has(name)) return [];
    if (this.#pathOf.has(name)) return [name];
    return this.#aliasTable().get(soft) ?? [];
  }

  #aliasTable(): Map<string, string[]> {
    if (this.#aliases !== undefined) return this.#aliases;
    const table = new Map<string, string[]>();
    for (const path of this.#source.paths) {
      if (!ALIAS_DIRECTORIES.some((directory) => path.startsWith(directory))) continue;
      const name = moduleName(path);
      for (const alias of readModuleInfo(name, this.#source.read(path)).aliases) {
        table.set(alias, [...(table.get(alias) ?? []), name]);
      }
    }
    return (this.#aliases = table);
  }
}

function canonical(name: string): string {
  return name.replaceAll("-", "_");
}

/** `kernel/fs/ext4/ext4.ko.xz` → `ext4`. */
function moduleName(path: string): string {
  return canonical(path.slice(path.lastIndexOf("/") + 1).replace(/\.ko(\.(xz|gz|zst))?$/, ""));
}

// The public API as a golden file: a change to what users can import shows in review. To accept one: npx vitest run test/api.test.ts -u
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";
import * as api from "../src/index.js";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** Declarations of everything that src/index.ts exports, from the sources, without bodies, privates and comments. */
function publicDeclarations(): string {
  const entry = join(root, "src/index.ts");
  const options: ts.CompilerOptions = {
    declaration: true,
    emitDeclarationOnly: true,
    removeComments: true,
    isolatedModules: true,
  };
  const printer = ts.createPrinter({ removeComments: true });
  const files = new Map<string, ts.SourceFile>();
  const load = (path: string) => {
    const known = files.get(path);
    if (known) return known;
    const text = ts.transpileDeclaration(readFileSync(path, "utf8"), {
      compilerOptions: options,
      fileName: path,
    }).outputText;
    const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
    files.set(path, file);
    return file;
  };
  /** The text of the declaration of `name` in the module at `path`, through re-exports. */
  const find = (path: string, name: string): string => {
    const file = load(path);
    for (const statement of file.statements) {
      if (ts.isExportDeclaration(statement) && statement.exportClause && ts.isNamedExports(statement.exportClause)) {
        const element = statement.exportClause.elements.find((one) => one.name.text === name);
        if (!element || !statement.moduleSpecifier || !ts.isStringLiteral(statement.moduleSpecifier)) continue;
        const target = resolve(dirname(path), statement.moduleSpecifier.text).replace(/\.js$/, ".ts");
        return find(target, element.propertyName?.text ?? name);
      }
      const names = ts.isVariableStatement(statement)
        ? statement.declarationList.declarations.map((one) => one.name.getText(file))
        : [(statement as { name?: ts.Identifier } & ts.Statement).name?.text];
      if (names.includes(name)) return printer.printNode(ts.EmitHint.Unspecified, statement, file);
    }
    throw new Error(`${path} has no ${name}`);
  };
  const names: string[] = [];
  for (const statement of load(entry).statements)
    if (ts.isExportDeclaration(statement) && statement.exportClause && ts.isNamedExports(statement.exportClause))
      for (const element of statement.exportClause.elements) names.push(element.name.text);
  return names
    .sort((a, b) => (a < b ? -1 : 1))
    .map((name) => find(entry, name).replaceAll(/^\s*(readonly )?(private |#).*\n?/gm, ""))
    .join("\n\n");
}

test("the declarations of the public API", async () => {
  await expect(`${publicDeclarations()}\n`).toMatchFileSnapshot("golden/api.d.ts.txt");
});

test("the values that can be imported", () => {
  expect(Object.keys(api).sort()).toMatchInlineSnapshot(`
    [
      "ConfigError",
      "DEFAULT_RECIPE",
      "DEFAULT_SUITE",
      "DiskSpecError",
      "FaultyStore",
      "FramedOutput",
      "ImageError",
      "InternalError",
      "JIT_MODES",
      "LogRing",
      "MemoryStore",
      "RECIPES",
      "RotatingLog",
      "SCHEDULERS",
      "SUITE_NAMES",
      "TRACE_KINDS",
      "XenError",
      "XenStoreClient",
      "XenStoreError",
      "XenStoreView",
      "buildImage",
      "connectControl",
      "connectStreamLink",
      "createXenHost",
      "defaultCacheDirectory",
      "diskConfigOf",
      "domainConfigOf",
      "expandCpuList",
      "findImage",
      "formatWarning",
      "hostIsRunning",
      "listImages",
      "makeHostDirectory",
      "pairPorts",
      "parseCpuList",
      "parseDiskSpec",
      "parseSize",
      "parseVif",
      "parseXlConfig",
      "removeImage",
      "resolveImageName",
      "runningHosts",
      "serveControl",
      "terminalProgress",
      "writeCpio",
      "xenStoreSocketPath",
    ]
  `);
});

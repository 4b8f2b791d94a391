// The OpenPGP verifier: what it accepts, what it refuses, and that gpgv agrees where it is installed.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { DEBIAN_ARCHIVE_CERTIFICATES, debianArchiveKeys } from "../../images/keys/debian.js";
import { readArmor } from "../../images/openpgp/armor.js";
import { readCertificate } from "../../images/openpgp/certificate.js";
import { verifyCleartext } from "../../images/openpgp/verify.js";
import { type CertificateOptions, clearSign, makeCertificate, makeKey, subpacket } from "./support/openpgp-maker.js";

const CREATED = 1_700_000_000;
const SIGNED = CREATED + 1000;
const TEXT = "Origin: Test\n- dashed line \t\n-another\n\nSHA256:\n abc\n";
const CANONICAL = "Origin: Test\n- dashed line\n-another\n\nSHA256:\n abc\n";
const rsa = makeKey("rsa", CREATED);
const ed25519 = makeKey("ed25519", CREATED);
const verify = (message: string, ...certificates: string[]) =>
  verifyCleartext(message, certificates.flatMap(readCertificate), "the index");
const refusal = (message: string, ...certificates: string[]) => {
  try {
    verify(message, ...certificates);
  } catch (error) {
    return (error as Error).message;
  }
  return "accepted";
};

describe("verifyCleartext", () => {
  it.each([rsa, ed25519])("accepts a good $kind signature and gives the canonical text", (key) => {
    const { text, signers } = verify(clearSign(TEXT, [key], { created: SIGNED }), makeCertificate(key));
    expect(text).toBe(CANONICAL);
    expect(signers.map((signer) => [signer.fingerprint, signer.signed])).toEqual([[key.fingerprint, SIGNED]]);
  });

  it("accepts a subkey that is bound both ways, and names its primary key", () => {
    const certificate = makeCertificate(rsa, { subkey: { key: ed25519 } });
    const { signers } = verify(clearSign(TEXT, [ed25519], { created: SIGNED }), certificate);
    expect(signers[0]).toMatchObject({ fingerprint: ed25519.fingerprint, primary: rsa.fingerprint });
  });

  it("accepts CRLF line ends and blanks at line ends as the same text", () => {
    const message = clearSign(TEXT, [rsa], { created: SIGNED });
    const changed = message.replace("Origin: Test\n", "Origin: Test \t\n").replaceAll("\n", "\r\n");
    expect(verify(changed, makeCertificate(rsa)).text).toBe(CANONICAL);
  });

  it("passes over signatures by unknown keys when one is good", () => {
    const message = clearSign(TEXT, [ed25519, rsa], { created: SIGNED });
    expect(verify(message, makeCertificate(rsa)).signers).toHaveLength(1);
  });

  it("refuses a changed text, even one character", () => {
    const message = clearSign(TEXT, [rsa], { created: SIGNED }).replace(" abc", " abd");
    expect(refusal(message, makeCertificate(rsa))).toMatch(/is bad: the file is not what was signed/);
  });

  it("refuses when one of our keys fits and another one's signature is bad", () => {
    const good = clearSign(TEXT, [rsa], { created: SIGNED });
    const impostor = { ...ed25519, fingerprint: rsa.fingerprint };
    const message = clearSign(TEXT, [rsa, impostor], { created: SIGNED });
    expect(refusal(good, makeCertificate(rsa))).toBe("accepted");
    expect(refusal(message, makeCertificate(rsa))).toMatch(/is bad/);
  });

  it("refuses a message that only unknown keys signed", () => {
    const message = clearSign(TEXT, [ed25519], { created: SIGNED });
    expect(refusal(message, makeCertificate(rsa))).toMatch(/only by keys that are not/);
  });

  it("refuses text before and after the signed part", () => {
    const message = clearSign(TEXT, [rsa], { created: SIGNED });
    expect(refusal(`Injected: yes\n${message}`, makeCertificate(rsa))).toMatch(/not clear-signed/);
    expect(refusal(`${message}Injected: yes\n`, makeCertificate(rsa))).toMatch(/not a complete armored block/);
  });

  it("refuses a signature of another type and one with an unknown critical subpacket", () => {
    const binary = clearSign(TEXT, [rsa], { created: SIGNED, type: 0 });
    const critical = clearSign(TEXT, [rsa], { created: SIGNED, subpackets: [subpacket(0x80 | 99, Buffer.from([1]))] });
    expect(refusal(binary, makeCertificate(rsa))).toMatch(/is bad/);
    expect(refusal(critical, makeCertificate(rsa))).toMatch(/is bad/);
  });

  it("refuses what was signed after the key expired or before it was made; old signatures stay good", () => {
    const certificate = makeCertificate(rsa, { expiresAfter: 500 });
    expect(refusal(clearSign(TEXT, [rsa], { created: CREATED + 501 }), certificate)).toMatch(/had expired/);
    expect(refusal(clearSign(TEXT, [rsa], { created: CREATED - 1 }), certificate)).toMatch(/had expired/);
    expect(refusal(clearSign(TEXT, [rsa], { created: CREATED + 499 }), certificate)).toBe("accepted");
  });

  it.each<[string, CertificateOptions]>([
    ["a revoked certificate", { revoked: true }],
    ["a key without the signing flag", { primaryFlags: 1 }],
  ])("refuses %s", (_, options) => {
    expect(refusal(clearSign(TEXT, [rsa], { created: SIGNED }), makeCertificate(rsa, options))).toMatch(/only by keys/);
  });

  it.each<[string, Omit<NonNullable<CertificateOptions["subkey"]>, "key">]>([
    ["a subkey without a back signature", { withoutBackSignature: true }],
    ["a revoked subkey", { revoked: true }],
  ])("refuses %s", (_, options) => {
    const certificate = makeCertificate(rsa, { subkey: { key: ed25519, ...options } });
    expect(refusal(clearSign(TEXT, [ed25519], { created: SIGNED }), certificate)).toMatch(/only by keys/);
  });

  it("never throws anything but an ImageError on cut or flipped messages", () => {
    const message = clearSign(TEXT, [rsa], { created: SIGNED });
    const keys = readCertificate(makeCertificate(rsa));
    for (let length = 0; length < message.length - 60; length += 7) {
      expect(() => verifyCleartext(message.slice(0, length), keys, "it")).toThrow(
        expect.objectContaining({ code: "signature" }),
      );
    }
  });
});

describe("the Debian archive keys", () => {
  it("are nine certificates with fifteen signing keys", () => {
    const keys = debianArchiveKeys();
    expect(DEBIAN_ARCHIVE_CERTIFICATES).toHaveLength(9);
    expect(keys).toHaveLength(15);
    expect(keys.map((key) => key.primary)).toContain("B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8");
  });
});

const gpgv = spawnSync("gpgv", ["--version"]).status === 0;
describe.skipIf(!gpgv)("gpgv", () => {
  it.each([
    ["an RSA key", makeCertificate(rsa), rsa],
    ["an Ed25519 key", makeCertificate(ed25519), ed25519],
    ["a subkey", makeCertificate(rsa, { subkey: { key: ed25519 } }), ed25519],
  ])("agrees about %s", (_, certificate, key) => {
    const directory = mkdtempSync(join(tmpdir(), "xen-ts-gpgv-"));
    try {
      const good = clearSign(TEXT, [key], { created: SIGNED });
      writeFileSync(join(directory, "key.gpg"), readArmor(certificate, "PUBLIC KEY BLOCK"));
      writeFileSync(join(directory, "good"), good);
      writeFileSync(join(directory, "bad"), good.replace(" abc", " abd"));
      const run = (file: string) => ["--keyring", join(directory, "key.gpg"), join(directory, file)];
      execFileSync("gpgv", run("good"), { stdio: "pipe" });
      expect(() => execFileSync("gpgv", run("bad"), { stdio: "pipe" })).toThrow();
      expect(verify(good, certificate).signers).toHaveLength(1);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import {
  type Capabilities,
  DEFAULT_CAPABILITIES,
  encodeVersionData,
  EXTENSIONS,
  isVersionFailure,
  negotiate,
  type Negotiated,
  OUR_CAPABILITIES,
  parseVersionData,
  replyCapabilities,
  twinSocketIndex,
} from "./capabilities.ts";

function parse(text: string): Capabilities {
  const result = parseVersionData(new TextEncoder().encode(text));
  assert(!isVersionFailure(result), isVersionFailure(result) ? result.reason : "");
  return result;
}

function refusal(text: string | Uint8Array): string {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const result = parseVersionData(bytes);
  assert(isVersionFailure(result), `accepted ${String(text).slice(0, 80)}`);
  assertEquals(result.errno, -22);
  return result.reason;
}

Deno.test("spec/08 rule 7: no JSON, or {}, is fine and gives the defaults", () => {
  for (const text of ["", "{}", ` { "capabilities" : {} } `, `{"other":[1]}`]) {
    assertEquals(parse(text), DEFAULT_CAPABILITIES);
  }
  assertEquals(DEFAULT_CAPABILITIES.max_msg_fds, 1);
  assertEquals(DEFAULT_CAPABILITIES.max_data_xfer_size, 1048576);
  assertEquals(DEFAULT_CAPABILITIES.max_dma_maps, 65535);
  assertEquals(DEFAULT_CAPABILITIES.pgsizes, 4096);
});

Deno.test("spec/08 rule 7: broken JSON and wrong types are EINVAL with a reason", () => {
  const cases: Readonly<Record<string, string>> = {
    "{": "no JSON",
    "{}}": "no JSON",
    "{}\0{}": "no JSON",
    "[]": "must be an object",
    "null": "must be an object",
    "3": "must be an object",
    '{"capabilities":[]}': "capabilities is [], must be an object",
    '{"capabilities":null}': "capabilities is null, must be an object",
    '{"capabilities":"x"}': "must be an object",
    '{"capabilities":{"migration":[]}}': "capabilities.migration is [], must be an object",
    '{"capabilities":{"migration":7}}': "must be an object",
    '{"capabilities":{"migration":{"pgsize":"4096"}}}': "capabilities.migration.pgsize",
    '{"capabilities":{"max_msg_fds":-1}}': "an integer from 0 to 1024",
    '{"capabilities":{"max_msg_fds":1025}}': "capabilities.max_msg_fds is 1025",
    '{"capabilities":{"max_msg_fds":1.5}}': "1.5",
    '{"capabilities":{"max_msg_fds":"8"}}': "max_msg_fds",
    '{"capabilities":{"max_msg_fds":1e999}}': "max_msg_fds",
    '{"capabilities":{"max_msg_fds":null}}': "max_msg_fds",
    '{"capabilities":{"max_data_xfer_size":0}}': "max_data_xfer_size",
    '{"capabilities":{"max_data_xfer_size":true}}': "max_data_xfer_size",
    '{"capabilities":{"max_dma_maps":-5}}': "max_dma_maps",
    '{"capabilities":{"pgsizes":0}}': "pgsizes",
    '{"capabilities":{"write_multiple":1}}': "true or false",
    '{"capabilities":{"twin_socket":true}}': "must be an object",
    '{"capabilities":{"twin_socket":{"supported":"yes"}}}': "true or false",
    '{"capabilities":{"twin_socket":{"supported":true,"fd_index":-1}}}': "fd_index",
    '{"capabilities":{"iommufd":true}}': "capabilities.iommufd",
    '{"capabilities":{"pasid":{"supported":1}}}': "capabilities.pasid.supported",
    '{"capabilities":{"page_request":[]}}': "page_request",
    '{"capabilities":{"ats":{"supported":null}}}': "ats",
  };
  for (const [text, reason] of Object.entries(cases)) {
    assertStringIncludes(refusal(text), reason, text);
  }
});

Deno.test("bytes that are no UTF-8, or too many of them, are EINVAL", () => {
  assertStringIncludes(refusal(new Uint8Array([0x7b, 0xff, 0x7d])), "no UTF-8");
  assertStringIncludes(refusal("{" + " ".repeat(0x1_0000) + "}"), "at most 65536");
  assertStringIncludes(refusal("[".repeat(0x1_0000)), "no JSON");
  refusal(`{"capabilities":${"[".repeat(20000)}${"]".repeat(20000)}}`);
});

Deno.test("a reason never carries a peer's control characters or a long value", () => {
  const reason = refusal(`{"capabilities":{"max_msg_fds":"a\\n\\u001b[31m${"x".repeat(500)}"}}`);
  // deno-lint-ignore no-control-regex
  assertEquals(/[\u0000-\u001f]/.test(reason), false);
  assert(reason.length < 200);
  const others = refusal('{"capabilities":{"max_msg_fds":"\u007f\u009b31m\u2028\u202e"}}');
  assertStringIncludes(others, '"\\u007f\\u009b31m\\u2028\\u202e"');
});

Deno.test("spec/08 rule 8: unknown capabilities are ignored, at every level", () => {
  const found = parse(
    '{"capabilities":{"max_msg_fds":16,"new":{"a":1},"__proto__":{"write_multiple":true},' +
      '"migration":{"pgsize":4096,"later":0},"ats":{"supported":true,"stu":5}}}',
  );
  assertEquals(found, {
    ...DEFAULT_CAPABILITIES,
    max_msg_fds: 16,
    migration: { pgsize: 4096, max_bitmap_size: 0x1000_0000 },
    extensions: { ...DEFAULT_CAPABILITIES.extensions, ats: true },
  });
});

Deno.test("parseVersionData() reads what QEMU's client sends", () => {
  // As QEMU 11.1.3 sends it.
  const found = parse(
    '{"capabilities": {"pgsizes": 4096, "max_msg_fds": 16, "max_dma_maps": 65535, ' +
      '"max_data_xfer_size": 1048576, "migration": {"max_bitmap_size": 268435456, ' +
      '"pgsize": 4096}, "write_multiple": true}}',
  );
  const inForce = agreed(OUR_CAPABILITIES, found);
  assertEquals(inForce, {
    maxSendFds: 16,
    maxReceiveFds: 8,
    maxDataXferSize: 0x10_0000,
    maxDmaMaps: 65535,
    pgsizes: 4096,
    writeMultiple: true,
    migration: { pgsize: 4096, maxBitmapSize: 0x1000_0000 },
    twinSocket: false,
    extensions: { iommufd: false, pasid: false, page_request: false, ats: false },
  });
  const reply = new TextDecoder().decode(encodeVersionData(replyCapabilities(inForce, null)));
  for (const name of ["twin_socket", "iommufd", "pasid", "page_request", "ats"]) {
    assertEquals(reply.includes(name), false, "QEMU warns about what it does not know");
  }
});

function agreed(ours: Capabilities, theirs: Capabilities): Negotiated {
  const result = negotiate(ours, theirs);
  assert(!isVersionFailure(result));
  return result;
}

const capabilities: fc.Arbitrary<Capabilities> = fc.record({
  max_msg_fds: fc.nat(1024),
  max_data_xfer_size: fc.integer({ min: 1, max: 2 ** 40 }),
  max_dma_maps: fc.integer({ min: 1, max: 2 ** 40 }),
  pgsizes: fc.nat(0xffff).map((bits) => 4096 + bits * 8192),
  write_multiple: fc.boolean(),
  migration: fc.option(
    fc.record({ pgsize: fc.constant(4096), max_bitmap_size: fc.integer({ min: 1 }) }),
  ),
  twin_socket: fc.boolean().map((supported) => ({ supported, fd_index: null })),
  extensions: fc.record({
    iommufd: fc.boolean(),
    pasid: fc.boolean(),
    page_request: fc.boolean(),
    ats: fc.boolean(),
  }),
});

Deno.test("parseVersionData() reads what encodeVersionData() wrote", () => {
  fc.assert(fc.property(capabilities, (value) => {
    assertEquals(parseVersionData(encodeVersionData(value)), value);
  }));
});

Deno.test("client and server come to the same values in force", () => {
  fc.assert(fc.property(capabilities, capabilities, (client, server) => {
    const atServer = agreed(server, client);
    const index = atServer.twinSocket ? 0 : null;
    const reply = parseVersionData(encodeVersionData(replyCapabilities(atServer, index)));
    assert(!isVersionFailure(reply));
    const atClient = agreed(client, reply);
    assertEquals(atClient, {
      ...atServer,
      maxSendFds: server.max_msg_fds,
      maxReceiveFds: client.max_msg_fds,
    });
    assertEquals(twinSocketIndex(reply, 1), index);
  }));
});

Deno.test("spec/08 rules 8, 28 and 29: we announce no extension, and none is in force with a peer that has all", () => {
  const none = { iommufd: false, pasid: false, page_request: false, ats: false };
  const all = { iommufd: true, pasid: true, page_request: true, ats: true };
  const json = new TextDecoder().decode(encodeVersionData(OUR_CAPABILITIES));
  for (const name of EXTENSIONS) assertEquals(json.includes(name), false, json);
  const peer = { ...OUR_CAPABILITIES, extensions: all };
  assertEquals(agreed(OUR_CAPABILITIES, peer).extensions, none);
  // A side that has one can say so.
  assertEquals(agreed(peer, { ...peer, extensions: { ...none, ats: true } }).extensions, {
    ...none,
    ats: true,
  });
});

Deno.test("spec/08 rule 7: a migration page size that is not the host's is EINVAL", () => {
  const theirs = parse('{"capabilities":{"migration":{"pgsize":65536}}}');
  const result = negotiate(OUR_CAPABILITIES, theirs);
  assert(isVersionFailure(result));
  assertEquals(result.errno, -22);
  assertStringIncludes(result.reason, "65536, must be 4096");
  agreed({ ...OUR_CAPABILITIES, migration: null }, theirs);
});

Deno.test("negotiate() is EINVAL when there is no page size in common", () => {
  const theirs = parse('{"capabilities":{"pgsizes":2097152}}');
  assert(isVersionFailure(negotiate(OUR_CAPABILITIES, theirs)));
  for (const mask of ["18446744073709547520", "18446744073709551615", "9223372036854779904"]) {
    const high = parse(`{"capabilities":{"pgsizes":${mask}}}`);
    assertEquals(agreed(OUR_CAPABILITIES, high).pgsizes, 4096, mask);
  }
});

Deno.test("twinSocketIndex() is EINVAL for a socket that is claimed and not there", () => {
  const reply = (fd_index: number | null): Capabilities => ({
    ...DEFAULT_CAPABILITIES,
    twin_socket: { supported: true, fd_index },
  });
  assertEquals(twinSocketIndex(reply(1), 2), 1);
  assertEquals(twinSocketIndex(DEFAULT_CAPABILITIES, 2), null);
  for (const [index, descriptors] of [[null, 1], [1, 1], [0, 0]] as const) {
    const result = twinSocketIndex(reply(index), descriptors);
    assert(typeof result === "object" && result !== null && isVersionFailure(result));
  }
});

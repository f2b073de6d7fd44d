/**
 * `dissector.lua` in tshark, over captures that {@linkcode PcapngWriter} wrote. tshark also judges the
 * capture format itself. Scripts named with `-X lua_script:` run for root as well: since Wireshark 4.0
 * `init.lua` allows it (`run_user_scripts_when_superuser`), and tshark only warns on stderr. The script
 * binds itself to link type USER0; a `user_dlts` preference does the same, and is tried too.
 */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import type { Layout } from "../../core/layout.ts";
import { Errno } from "../linux/errno.ts";
import { exampleFrames } from "./example_frames_test.ts";
import * as extension from "./extension_spec.ts";
import type { BodyCodec } from "./messages/codec.ts";
import { DEVICE_FEATURE } from "./messages/feature.ts";
import { DEVICE_GET_REGION_INFO } from "./messages/region_info.ts";
import { DEVICE_GET_REGION_IO_FDS } from "./messages/region_io_fds.ts";
import type { Frame } from "./message_log.ts";
import { PcapngWriter } from "./pcapng.ts";
import * as spec from "./spec.ts";
import * as vfio from "./vfio_spec.ts";

const SCRIPT = new URL("dissector.lua", import.meta.url);
const PACKAGE = "tshark";

/** The `[number] = "NAME"` entries of a table of the script. */
async function tableOf(name: string): Promise<Record<string, number>> {
  const source = await Deno.readTextFile(SCRIPT);
  const table = source.match(new RegExp(`^local ${name} = \\{\\n([^}]*)\\n\\}`, "m"))?.[1] ?? "";
  return Object.fromEntries(
    [...table.matchAll(/\[(\d+)\] = "(\w+)"/g)].map(([, number, word]) => [word, Number(number)]),
  );
}

Deno.test("dissector.lua knows the commands and errors that we know", async () => {
  assertEquals(await tableOf("COMMANDS"), {
    ...spec.VfioUserCommand,
    ...extension.VfioUserExtensionCommand,
  });
  assertEquals(await tableOf("ERRNO"), { ...Errno, none: 0 });
});

async function installed(): Promise<boolean> {
  try {
    const { success } = await new Deno.Command("tshark", { args: ["--version"] }).output();
    return success;
  } catch {
    return false;
  }
}

const missing = !await installed();
/** In CI a missing tool is a failure, said by the tests themselves. */
const ignore = missing && Deno.env.get("CI") !== "true";
if (ignore) {
  Deno.stderr.writeSync(
    new TextEncoder().encode(
      `\n!!! SKIPPED: tshark is not installed, so nothing tries the Wireshark dissector. ` +
        `Mend it with: DEBIAN_FRONTEND=noninteractive apt-get install -y ${PACKAGE}\n\n`,
    ),
  );
}

function judged(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name,
    ignore,
    async fn() {
      assert(!missing, `tshark is missing: apt-get install -y ${PACKAGE}`);
      await fn();
    },
  });
}

async function tshark(frames: readonly Frame[], args: readonly string[]): Promise<string> {
  const path = await Deno.makeTempFile({ suffix: ".pcapng" });
  try {
    using file = await Deno.open(path, { write: true });
    const sink = {
      write(bytes: Uint8Array): void {
        for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
      },
    };
    const writer = new PcapngWriter(sink, { startSeconds: 1_700_000_000, application: "viaduct" });
    const number = writer.addInterface("edu.sock");
    for (const frame of frames) writer.writeFrame(number, frame);
    const { success, stdout, stderr } = await new Deno.Command("tshark", {
      args: ["-X", `lua_script:${fromFileUrl(SCRIPT)}`, "-r", path, ...args],
      env: { LC_ALL: "C" },
      // A script that loops is a failure, not a test run that never ends.
      signal: AbortSignal.timeout(60_000),
    }).output();
    const complaints = new TextDecoder().decode(stderr).replace(/^Running as user "root".*\n/m, "");
    assertEquals(complaints, "");
    assert(success, "tshark did not read the capture");
    return new TextDecoder().decode(stdout);
  } finally {
    await Deno.remove(path);
  }
}

/** A field as PDML has it: where it stands in the packet, and what is shown of it. */
interface Shown {
  readonly name: string;
  readonly at: number;
  readonly size: number;
  readonly show: string;
  readonly isPart: boolean;
}

/** The fields of each packet, in order. */
async function dissect(frames: readonly Frame[]): Promise<Shown[][]> {
  const text = await tshark(frames, ["-T", "pdml"]);
  const packets = [...text.matchAll(/<packet>.*?<\/packet>/gs)];
  return packets.map(([packet]) =>
    [...packet.matchAll(/<field name="(vfio_user\.[^"]+)"([^>]*)>/g)].map(([, name, rest]) => {
      const attribute = (key: string): string => rest?.match(` ${key}="([^"]*)"`)?.[1] ?? "";
      return {
        name: name ?? "",
        at: Number(attribute("pos")),
        size: Number(attribute("size")),
        show: attribute("show"),
        isPart: rest?.includes("unmaskedvalue") ?? false,
      };
    })
  );
}

/** Structures of the tables, by the prefix of their fields in the script. */
const STRUCTURES: Readonly<Record<string, Layout<string>>> = {
  "": spec.VFIO_USER_HEADER,
  "version.": spec.VFIO_USER_VERSION_BODY,
  "dma_map.": spec.VFIO_USER_DMA_MAP_BODY,
  "dma_unmap.": spec.VFIO_USER_DMA_UNMAP_BODY,
  "dma_unmap.bitmap.": spec.VFIO_USER_BITMAP,
  "device_info.": vfio.VFIO_DEVICE_INFO,
  "region_info.": vfio.VFIO_REGION_INFO,
  "region_info.cap.": vfio.VFIO_INFO_CAP_HEADER,
  "region_info.sparse.": vfio.VFIO_REGION_SPARSE_MMAP,
  "region_info.sparse.area.": vfio.VFIO_REGION_SPARSE_MMAP_AREA,
  "region_io_fds.": spec.VFIO_USER_REGION_IO_FDS,
  "io_fd.": spec.VFIO_USER_IO_FD,
  "irq_info.": vfio.VFIO_IRQ_INFO,
  "irq_set.": vfio.VFIO_IRQ_SET,
  "region_access.": spec.VFIO_USER_REGION_ACCESS,
  "dma_access.": spec.VFIO_USER_DMA_ACCESS,
  "write_multi.": spec.VFIO_USER_WRITE_MULTI_BODY,
  "write_multi.write.": spec.VFIO_USER_WRITE_MULTI_ENTRY,
  "device_feature.": vfio.VFIO_DEVICE_FEATURE_BODY,
  "mig_state.": vfio.VFIO_DEVICE_FEATURE_MIG_STATE,
  "dma_logging.": vfio.VFIO_DEVICE_FEATURE_DMA_LOGGING_CONTROL,
  "dma_logging.range.": vfio.VFIO_DEVICE_FEATURE_DMA_LOGGING_RANGE,
  "mig_data.": spec.VFIO_USER_MIG_DATA,
  "region_info.type.": vfio.VFIO_REGION_CAP_TYPE,
  "io_fd_shadow.": spec.VFIO_USER_IO_FD_SHADOW,
  "migration.": vfio.VFIO_DEVICE_FEATURE_MIGRATION_DATA,
  "dma_logging.report.": vfio.VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT_DATA,
  "alloc_ioas.": extension.IOMMUFD_ALLOC_IOAS,
  "destroy_ioas.": extension.IOMMUFD_DESTROY_IOAS,
  "ioas_map.": extension.IOMMUFD_IOAS_MAP,
  "ioas_unmap.": extension.IOMMUFD_IOAS_UNMAP,
  "ioas_copy.": extension.IOMMUFD_IOAS_COPY,
  "bind.": extension.IOMMUFD_BIND,
  "attach_pt.": extension.IOMMUFD_ATTACH_PT,
  "detach_pt.": extension.IOMMUFD_DETACH_PT,
  "page_request.": extension.VFIO_USER_PAGE_REQUEST,
};

/** Frames of structures that the example conversation has none of. */
function furtherFrames(): Frame[] {
  const frame = (command: number, flags: number, body: Uint8Array): Frame => {
    const bytes = new Uint8Array(16 + body.length);
    const view = new DataView(bytes.buffer);
    view.setUint16(2, command, true);
    view.setUint32(4, bytes.length, true);
    view.setUint32(8, flags, true);
    bytes.set(body, 16);
    return { timeNs: 0, direction: ">", bytes };
  };
  const encoded = <T>(codec: BodyCodec<T>, value: Partial<T>, data: readonly number[] = []) => {
    const view = new DataView(new ArrayBuffer(256));
    const size = codec.encode(view, 0, { ...codec.create(), ...value });
    const bytes = new Uint8Array(view.buffer, 0, size);
    bytes.set(data, codec.size);
    return bytes;
  };
  const counting = (length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => at + 1);
  const ofLayouts = Object.entries(STRUCTURES).slice(-9).map(([, structure], index) =>
    frame([19, 20, 21, 22, 23, 24, 25, 26, 100][index] ?? 0, 0, counting(structure.size))
  );
  const part = {
    offset: 0x20,
    size: 4,
    fd_index: 1,
    type: 2,
    flags: 1,
    datamatch: 2n ** 64n - 1n,
    shadow_mem_fd_index: 3,
    shadow_offset: 0x40,
  };
  return [
    ...ofLayouts,
    frame(5, 1, encoded(DEVICE_GET_REGION_INFO.reply, { type: { type: 1, subtype: 2 } })),
    frame(6, 1, encoded(DEVICE_GET_REGION_IO_FDS.reply, { subRegions: [part] })),
    frame(
      16,
      1,
      encoded(DEVICE_FEATURE.reply, { flags: 0x1_0001, dataLength: 8 }, [5, 0, 0, 0, 0, 0, 0, 0]),
    ),
    frame(16, 0, encoded(DEVICE_FEATURE.request, { flags: 0x1_0008, dataLength: 24 })),
    frame(16, 1, encoded(DEVICE_FEATURE.reply, { flags: 0x1_0008, dataLength: 32 })),
  ];
}

judged(
  "dissector.lua shows every byte of every message, by the tables' names and places",
  async () => {
    const frames = [...exampleFrames(), ...furtherFrames()];
    const packets = await dissect(frames);
    assertEquals(packets.length, frames.length);
    const seen = new Set<string>();
    packets.forEach((fields, index) => {
      const bytes = frames[index]?.bytes ?? new Uint8Array();
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      let covered = 0;
      for (const { name, at, size, show, isPart } of fields) {
        if (size === 0 || isPart || /^vfio_user\.(data|version\.data)$/.test(name)) {
          if (!isPart) covered += size;
          continue;
        }
        covered += size;
        const [, prefix, field] = name.match(/^vfio_user\.(.*\.)?(\w+)$/) ?? [];
        const structure = STRUCTURES[prefix ?? ""];
        assert(structure !== undefined && field !== undefined, `${name} is in no table`);
        seen.add(prefix ?? "");
        // The structure starts where its first field stands, the last time that was seen.
        const offset = structure.at[field];
        assert(offset !== undefined, `${name} is in no table`);
        const start = fields.findLast((other) =>
          other.at <= at &&
          structure.at[other.name.slice(`vfio_user.${prefix ?? ""}`.length)] === 0 &&
          other.name.startsWith(`vfio_user.${prefix ?? ""}`) && !other.isPart
        );
        assertEquals(at - (start?.at ?? 0), offset, name);
        const value = size === 8
          ? view.getBigUint64(at, true)
          : BigInt(size === 4 ? view.getUint32(at, true) : view.getUint16(at, true));
        assertEquals(BigInt(show), value, name);
      }
      assertEquals(covered, bytes.length, `frame ${index + 1}`);
    });
    assertEquals([...seen].sort(), Object.keys(STRUCTURES).sort());
  },
);

judged("dissector.lua sums each message up in a line", async () => {
  const text = await tshark(exampleFrames(), [
    "-T",
    "fields",
    ...["frame.number", "_ws.col.Source", "_ws.col.Info", "frame.comment", "vfio_user.time"]
      .flatMap(
        (name) => ["-e", name],
      ),
    "-E",
    "separator=|",
  ]);
  const lines = text.trimEnd().split("\n");
  assertEquals(lines.slice(0, 8), [
    "1|client|Command VFIO_USER_VERSION, ID 0x0000||",
    "2|server|Reply VFIO_USER_VERSION, ID 0x0000||0.000010000",
    "3|client|Command VFIO_USER_DMA_MAP, ID 0x0001|descriptors: 1|",
    "4|server|Reply VFIO_USER_DMA_MAP, ID 0x0001||0.000010000",
    "5|client|Command VFIO_USER_DEVICE_GET_INFO, ID 0x0002||",
    "6|server|Reply VFIO_USER_DEVICE_GET_INFO, ID 0x0002||0.000010000",
    "7|client|Command VFIO_USER_DEVICE_GET_REGION_INFO, ID 0x0003||",
    "8|server|Reply VFIO_USER_DEVICE_GET_REGION_INFO, ID 0x0003|descriptors: 1|0.000010000",
  ]);
  assertEquals(lines.slice(17, 19), [
    "18|server|Command VFIO_USER_DMA_READ, ID 0x0009||",
    "19|client|Reply VFIO_USER_DMA_READ, ID 0x0009||0.000010000",
  ]);
  assertEquals(
    lines[28],
    "29|server|Reply VFIO_USER_MIG_DATA_WRITE, ID 0x000e, error EINVAL||0.000010000",
  );
  assertEquals(lines[36], "37|client|Command command 14, ID 0x0013||");
});

async function matching(filter: string, ...more: readonly string[]): Promise<number[]> {
  const args = [...more, "-Y", filter, "-T", "fields", "-e", "frame.number"];
  const text = await tshark(exampleFrames(), args);
  return text.trim().split("\n").filter((line) => line !== "").map(Number);
}

judged("dissector.lua's fields can be filtered by", async () => {
  const dlt = 'uat:user_dlts:"User 0 (DLT=147)","vfio_user","0","","0",""';
  const map = "vfio_user.dma_map.flags.writeable == 1 && vfio_user.dma_map.address == 0x100000";
  const each: readonly (readonly [filter: string, frames: readonly number[]])[] = [
    ["vfio_user.response_to == 3", [4]],
    ["vfio_user.irq_set.flags.action_trigger == 1", [13]],
    ["vfio_user.flags.no_reply == 1", [17]],
    ["frame.packet_flags_direction == 2 && vfio_user.flags.type == 0", [18, 20]],
    ["vfio_user.data contains de:ad:be:ef", [20]],
    ["vfio_user.error == 22", [29]],
    ["vfio_user.device_feature.index == 6", [34]],
    ["vfio_user.unknown_command", [37]],
    ["vfio_user.short", [38]],
  ];
  const any = each.map(([filter]) => `(${filter})`).join(" || ");
  const found = await Promise.all([
    matching(map),
    matching(map, "-o", dlt),
    matching("vfio_user.response_in == 4", "-2"),
    matching(any),
  ]);
  const expected = [...new Set(each.flatMap(([, frames]) => frames))];
  assertEquals(found, [[3], [3], [3], expected]);
});

judged("tshark reads times, interface and a frame of 1 MiB, of which a part is kept", async () => {
  const bytes = new Uint8Array(0x10_0020);
  const head = new DataView(bytes.buffer);
  head.setUint16(2, 10, true);
  head.setUint32(4, bytes.length, true);
  head.setUint32(16 + 12, 0x10_0000, true);
  const text = await tshark([{ timeNs: 1_234_567_891, direction: ">", bytes }], [
    "-T",
    "fields",
    ...["frame.time_epoch", "frame.interface_name", "frame.len", "frame.cap_len", "vfio_user.size"]
      .flatMap((name) => ["-e", name]),
  ]);
  assertEquals(text.trim().split("\t"), [
    "1700000001.234567891",
    "edu.sock",
    "1048608",
    "262144",
    "1048608",
  ]);
});

judged("dissector.lua has no error on hostile messages", async () => {
  // A fixed generator, so that a failure repeats: xorshift32.
  let state = 0x1234_5678;
  const random = (bound: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
  const frames: Frame[] = [];
  const examples = exampleFrames();
  for (let count = 0; count < 2000; count++) {
    const bytes = examples[random(examples.length)]?.bytes.slice() ?? new Uint8Array(16);
    const cut = random(4) === 0 ? random(bytes.length) : bytes.length;
    for (let changes = random(4); changes > 0; changes--) {
      bytes[random(bytes.length)] = random(2) === 0 ? 0xff : random(256);
    }
    frames.push({ timeNs: count, direction: count % 2 ? ">" : "<", bytes: bytes.subarray(0, cut) });
  }
  // Capability lists that point at themselves, and back: tshark would never end.
  for (const next of [32, 8, 1]) {
    const looping = examples[7]?.bytes.slice() ?? new Uint8Array(16);
    new DataView(looping.buffer).setUint32(16 + 36, next, true);
    frames.push({ timeNs: frames.length, direction: "<", bytes: looping });
  }
  const text = await tshark(frames, ["-O", "vfio_user"]);
  assertEquals(/Lua Error|Dissector bug/i.exec(text)?.[0], undefined);
  assertEquals(text.match(/^Frame /gm)?.length, frames.length);
});

/**
 * `deno task vm --dashboard`: DMA that a Linux guest drives, seen by the page's API.
 * @module
 */

import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { Access } from "../../core/address.ts";
import { EDU_BUFFER, EduDmaCommand, EduRegister } from "../../devices/edu/spec.ts";
import { PCI_COMMAND, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY } from "../../devices/pci/spec.ts";
import type {
  EndpointDetail,
  FaultsPage,
  MappingsPage,
  MessagesPage,
  RunDetail,
  Snapshot,
  TranslateResult,
} from "../../web/api.ts";
import { ask, clientOf, Process } from "../web/_command.ts";
import { vmTest } from "./_machine.ts";

/** RAM that Linux leaves alone, below 1 MiB, and where the guest's driver maps it; nothing is at the other. */
const RAM = 0x1_0000, MAPPED = 0x10_0000, UNMAPPED = 0x20_0000;
const PAGE = 0x1000, BYTES = 64;

/** Commands of the guest's program for one transfer to edu. */
function transfer(source: number): string[] {
  const write = (register: number, value: number) => `bw 0 0 ${register} 8 ${value}`;
  return [
    write(EduRegister.DMA_SOURCE, source),
    write(EduRegister.DMA_DESTINATION, EDU_BUFFER.start),
    write(EduRegister.DMA_COUNT, BYTES),
    write(EduRegister.DMA_COMMAND, EduDmaCommand.RUN),
  ];
}

vmTest("deno task vm --dashboard shows the DMA that a program in the guest drives", async () => {
  const args = ["--offline", "--iommu", "intel", "--dashboard=0"];
  const process = new Process(["--no-check", "web/vm.ts", ...args], {}, "piped");
  const input = process.stdin.getWriter();
  const type = (line: string) => input.write(new TextEncoder().encode(`${line}\n`));
  try {
    const [, link] = await process.until("stderr", /^dashboard (http:\S+)$/m);
    const api = clientOf(link!);
    const before = await api.json<Snapshot>("/api/state");
    assertEquals(before.run?.machine, "guest");
    assertMatch(
      before.run!.title,
      /^Linux guest in QEMU, 512 MiB, .*intel IOMMU in front: edu at 00:04\.0$/,
    );
    await process.until("stderr", /^Linux with edu at /m);

    // Linux's VFIO is the driver, in the guest's user space; the device takes 100 ms for a transfer.
    const begin = [
      `ram ${RAM} ${PAGE}`,
      "open vfio 0000:00:04.0",
      `cw 0 ${PCI_COMMAND} 2 ${PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER}`,
      `map 0 ${MAPPED} ${RAM} ${PAGE} ${Access.READ}`,
      ...transfer(MAPPED),
    ];
    const say = (commands: readonly string[]) => `printf '${commands.join("\\n")}\\n'`;
    await type(`(${say(begin)}; sleep 1; ${say(transfer(UNMAPPED))}; read stay) | pci_agent`);
    const { faults } = await ask<FaultsPage>(api, "/api/faults", ({ total }) => total > 0);
    assertEquals(faults.map(({ bdf, iova, reason }) => [bdf, iova, reason]), [
      ["00:04.0", UNMAPPED, "unmapped"],
    ]);
    const { totals, endpoints, domains, timeline } = await api.json<Snapshot>("/api/state");
    assertEquals([totals.dmaReadBytes, totals.faults, totals.translations], [BYTES, 1, 2]);
    const [edu] = endpoints;
    assertEquals([edu!.bdf, edu!.device, edu!.client?.state], ["00:04.0", "edu", "connected"]);
    // What the guest's driver has mapped, QEMU's IOMMU has handed on.
    assertEquals(domains[0]!.mappings, 1);
    const page = await api.json<MappingsPage>("/api/endpoints/00:04.0/mappings");
    assertEquals(page.mappings.map(({ iova, length, access }) => [iova, length, access]), [
      [MAPPED, PAGE, "r"],
    ]);
    assert(timeline.events.some(({ kind, iova }) => kind === "map" && iova === MAPPED));
    const way = await api.json<TranslateResult>(`/api/endpoints/00:04.0/translate?iova=${MAPPED}`);
    assertEquals([way.fault, way.walk.at(-1)!.step], [null, "region"]);
    const mapped = await api.json<MessagesPage>("/api/messages?filter=command:DMA_MAP");
    assertGreater(mapped.total, 1);
    const detail = await api.json<EndpointDetail>("/api/endpoints/00:04.0");
    assert(detail.config?.commandFlags.includes("bus-master"));
    assertEquals(detail.bars?.map(({ size }) => size), [0x10_0000]);
    const { log, rerun } = await api.json<RunDetail>("/api/runs/1");
    assertEquals(log, ["edu: A client has connected"]);
    assertEquals(rerun, "npx -y deno@2.9.6 task vm --offline --iommu intel --dashboard=0");
  } catch (error) {
    process.signal("SIGINT");
    throw new Error(`With the guest, which said ${process.stderr}${process.stdout}`, {
      cause: error,
    });
  } finally {
    // The program ends, and at the end of its input the guest switches itself off.
    await type("");
    await input.close();
    await process.code();
  }
  assertEquals(await process.code(), 0, process.stderr);
});

/**
 * Served devices as a {@linkcode LiveSource}. Counters, timeline and messages are read from shared
 * memory when somebody looks; the rest comes as the serving thread tells it.
 * @module
 */

import type {
  DeviceDetail,
  EventTuple,
  MappingTuple,
  RegionReport,
} from "../harness/observe/observation.ts";
import type { Around } from "../harness/observe/observation.ts";
import type { KeptFrame } from "../harness/observe/frame_ring.ts";
import type { ServerObservation } from "../harness/observe/server_observation.ts";
import { connectionOf } from "../harness/observe/server_watch.ts";
import type { MessageRow } from "./api.ts";
import type { FaultStore } from "./fault_store.ts";
import { MessageStore, type StoredMessage } from "./message_store.ts";
import { RunSource } from "./run_source.ts";
import type { LatencyBuckets, LiveSource, Picture } from "./source.ts";

/** Milliseconds of silence after which a server counts as paused: it wakes four times a second. */
const SILENCE_MS = 1000;

/** See the module. */
export class ServerSource implements LiveSource {
  readonly #observation: ServerObservation;
  readonly #gathered: RunSource;
  readonly #messages = new MessageStore();
  #ended = false;

  /** `logged` gets lines for people. */
  constructor(observation: ServerObservation, logged: (line: string) => void) {
    this.#observation = observation;
    this.#gathered = new RunSource((ask) => observation.ask(ask));
    observation.listen({
      reported: (report) => this.#gathered.take(report),
      logged,
    });
  }

  /** The server is over. */
  end(): void {
    this.#look();
    this.#ended = true;
    this.#gathered.end();
  }

  get state(): "live" | "paused" | "ended" {
    if (this.#ended) return "ended";
    return this.#observation.silentMs > SILENCE_MS ? "paused" : "live";
  }

  picture(): Picture {
    this.#look();
    const picture = this.#gathered.picture();
    const clients = new Map(
      this.#observation.clients.map(({ endpoint, state, accepted }) => [
        endpoint,
        { state, accepted },
      ]),
    );
    return {
      ...picture,
      endpoints: picture.endpoints.map((endpoint) => ({
        ...endpoint,
        client: clients.get(endpoint.id) ?? { state: "none", accepted: 0 },
      })),
    };
  }

  timeline(from: number, limit: number): readonly EventTuple[] {
    this.#look();
    return this.#gathered.timeline(from, limit);
  }

  get timelineEnd(): number {
    return this.#gathered.timelineEnd;
  }

  get faults(): FaultStore {
    return this.#gathered.faults;
  }

  get latencies(): readonly LatencyBuckets[] {
    return this.#gathered.latencies;
  }

  get regions(): readonly RegionReport[] {
    return this.#gathered.regions;
  }

  get messages(): readonly MessageRow[] {
    this.#lookAtMessages();
    return this.#messages.rows;
  }

  get messagesDropped(): number {
    this.#lookAtMessages();
    return this.#messages.dropped;
  }

  detail(endpoint: number): Promise<DeviceDetail | null> {
    return this.#gathered.detail(endpoint);
  }

  mappings(domain: number, from: number, limit: number): Promise<readonly MappingTuple[]> {
    return this.#gathered.mappings(domain, from, limit);
  }

  mappingsLeftOut(domain: number): number {
    return this.#gathered.mappingsLeftOut(domain);
  }

  around(domain: number, iova: number): Promise<Around> {
    return this.#gathered.around(domain, iova);
  }

  #look(): void {
    if (!this.#ended) this.#gathered.take(this.#observation.sample());
  }

  #lookAtMessages(): void {
    if (this.#ended) return;
    const { frames, missed } = this.#observation.frames();
    if (missed > 0) this.#messages.miss(missed);
    if (frames.length > 0) this.#messages.add(frames.map((frame) => this.#message(frame)));
  }

  #message(frame: KeptFrame): StoredMessage {
    const { timeNs, direction, descriptors, length, bytes } = frame;
    const { device, client } = connectionOf(frame.connection);
    const type = this.#observation.devices.get(device)?.type ?? `device ${device}`;
    return {
      // A client that comes after another has message IDs of its own.
      connection: client > 1 ? `${type} client ${client}` : type,
      timeNs,
      direction,
      descriptors,
      bytes: bytes.toBase64(),
      length,
    };
  }
}

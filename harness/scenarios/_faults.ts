/**
 * Checks of the fault records that a scenario has, or has not, brought about.
 * @module
 */

import type { FaultReport, ScenarioContext } from "../scenario.ts";

/** A fault as a scenario foresees it. */
export type ExpectedFault = Pick<FaultReport, "endpoint" | "iova" | "access" | "reason">;

/** Checks that nothing has faulted since the last look. */
export async function noFaults(
  t: ScenarioContext,
  name = "no access has faulted",
): Promise<void> {
  t.equal(name, await t.faults(), []);
}

/** Checks that just these accesses have faulted since the last look, oldest first, none with a PASID. */
export async function faulted(
  t: ScenarioContext,
  name: string,
  expected: readonly { [Field in keyof ExpectedFault]: ExpectedFault[Field] | number }[],
): Promise<void> {
  const found = (await t.faults()).map(({ endpoint, pasid, iova, access, reason }) => ({
    endpoint,
    pasid,
    iova: iova as number,
    access,
    reason,
  }));
  t.equal(name, found, expected.map((fault) => ({ pasid: null, ...fault })) as typeof found);
}

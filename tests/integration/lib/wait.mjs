// Waiting for conditions: never for time to pass.
import { setTimeout as pause } from 'node:timers/promises';

/** Asks `condition` until it gives something true, and gives that. Fails after `ms` with what was waited for, and what it
 * said last. */
export async function until(what, condition, ms = 20_000) {
  const deadline = performance.now() + ms;
  let last;
  for (;;) {
    try {
      last = await condition();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) {
      const said = last instanceof Error ? last.stack : JSON.stringify(last);
      throw new Error(`waited ${ms} ms for: ${what}; last: ${said}`);
    }
    await pause(20);
  }
}

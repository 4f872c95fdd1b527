// What a service does about streams before it starts, as `nats.provision` says: makes them, or waits until somebody has.
//
// Fails: ProvisionError as `provision` says; with `check` only when the server is too old.
import { type Layout, layoutOf } from './layout.ts';
import type { Link } from './link.ts';
import { checkLevel, inspect, provision, wordsOf } from './provision.ts';
import { hindranceOf } from './stream-plan.ts';
import { type StreamConfig, streamsOf } from './streams.ts';

const AGAIN_MS = 500;
const SAY_EVERY_MS = 10_000;

/** The part of the configuration that says it. */
export interface StreamSettings extends Layout {
  provision: 'auto' | 'check';
}

interface WaitOptions {
  say: (words: string) => void;
  /** Those that this service uses, by a pattern of their names; absent means all. */
  only?: RegExp;
}

/** Resolves to the layout when its streams can be used. With `auto` all are made, whatever `only` says. */
export async function prepareStreams(
  link: Link,
  settings: StreamSettings,
  options: WaitOptions,
): Promise<Layout> {
  const layout = layoutOf(settings);
  if (settings.provision === 'auto') await provision(link, layout, options.say);
  else await awaitStreams(link, settings, options);
  return layout;
}

/** Resolves when somebody else has made them. Waits for ever; says at once, and then every ten seconds, for what. Needs no right but to look. */
export async function awaitStreams(
  link: Link,
  settings: StreamSettings,
  { say, only }: WaitOptions,
): Promise<void> {
  const layout = layoutOf(settings);
  checkLevel(link);
  let saidAtMs = Number.NEGATIVE_INFINITY;
  for (const wanted of streamsOf(layout).filter(({ name }) => only?.test(name) ?? true)) {
    for (;;) {
      const hindrance = await hindranceAt(link, wanted);
      if (hindrance === undefined) break;
      const nowMs = performance.now();
      if (nowMs - saidAtMs >= SAY_EVERY_MS) {
        saidAtMs = nowMs;
        say(`waiting for stream ${wanted.name} (nats.provision is ${settings.provision}): ${hindrance}`);
      }
      await new Promise((done) => setTimeout(done, AGAIN_MS));
    }
  }
}

async function hindranceAt(link: Link, wanted: StreamConfig): Promise<string | undefined> {
  const info = await inspect(link, wanted.name);
  if (info.kind === 'unavailable') return 'JetStream does not answer';
  return info.kind === 'error' ? wordsOf(info.error) : hindranceOf(wanted, info.value.config);
}

// What the configuration says about NATS, as options of a link.
import type { DialOptions } from './dial.ts';

/** The part of the configuration that a connection needs. */
export type NatsSettings = DialOptions;

/** NATS_URL in `env` comes before nats.url. */
export function linkOptions(
  settings: NatsSettings,
  env: Readonly<Record<string, string | undefined>>,
): DialOptions {
  const { url, credentials, tls } = settings;
  return { url: env.NATS_URL || url, credentials, tls };
}

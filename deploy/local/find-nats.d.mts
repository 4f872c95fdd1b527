export const NATS_VERSION_MIN: readonly [number, number];
export function natsVersionOf(path: string): [number, number, number] | undefined;
export function cachedNatsServer(): string | undefined;
export function findNatsServer(options: { log: (line: string) => void }): Promise<{ path: string }>;

export function findJaeger(options: { log: (line: string) => void }): Promise<{ path: string }>;

export interface FetchOptions {
  cacheDir: string;
  target: string;
  log: (line: string) => void;
}

export function fetchOfficialRelease(
  options: FetchOptions,
  from?: { releases: string; sums: Record<string, string> },
): Promise<void>;

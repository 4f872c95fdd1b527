export function findPrometheus(): Promise<{ prometheus: string; promtool: string }>;

export function debianMirrors(aptDir?: string): string[];

export interface JaegerPorts {
  otlp: number;
  query: number;
  queryGrpc: number;
  health: number;
}
export function jaegerSettings(ports: JaegerPorts, tracesMax?: number): string;

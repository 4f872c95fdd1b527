// The configuration of a Jaeger for one machine: OTLP/HTTP in, memory, the query API out, nothing but loopback. Pure.

/** A whole configuration file (JSON is YAML); ports by what listens there. The oldest traces give way to new ones. */
export function jaegerSettings({ otlp, query, queryGrpc, health }, tracesMax = 100_000) {
  const at = (port) => ({ endpoint: `127.0.0.1:${port}` });
  return JSON.stringify({
    service: {
      extensions: ['jaeger_storage', 'jaeger_query', 'healthcheckv2'],
      pipelines: { traces: { receivers: ['otlp'], exporters: ['jaeger_storage_exporter'] } },
      telemetry: { metrics: { level: 'none' }, logs: { level: 'warn' } },
    },
    extensions: {
      healthcheckv2: { use_v2: true, http: at(health) },
      jaeger_storage: { backends: { memory: { memory: { max_traces: tracesMax } } } },
      // Otherwise it traces itself to a collector that is not there.
      jaeger_query: {
        storage: { traces: 'memory' },
        http: at(query),
        grpc: at(queryGrpc),
        enable_tracing: false,
      },
    },
    receivers: { otlp: { protocols: { http: at(otlp) } } },
    exporters: { jaeger_storage_exporter: { trace_storage: 'memory' } },
  });
}

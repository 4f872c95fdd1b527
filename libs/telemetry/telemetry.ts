// Everything a service shows of itself: spans to an OTLP receiver (when one is configured), metrics on a Prometheus
// endpoint, log lines on standard output. No recipient addresses in any of them by default.
//
// Fails: the receiver is away -> spans are dropped, mail is not; the metrics port is taken -> see metrics-endpoint.
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { AlwaysOnSampler, BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import type { Logger } from 'pino';
import type { Config } from '#libs/config/schema.ts';
import { logSdkTrouble, makeLogger } from './logger.ts';
import { Metrics } from './metrics.ts';
import { serveMetrics } from './metrics-endpoint.ts';
import { placeAttributes, releaseVersion } from './place.ts';
import { registerProcessGauges } from './process-gauges.ts';
import { Tracing } from './tracing.ts';

const SCOPE = 'postrider';
/** Spans that wait for export; more are dropped and counted. About 1 KB each. */
const SPANS_WAITING_MAX = 16_384;
const SPANS_PER_EXPORT_MAX = 1_024;
const EXPORT_EVERY_MS = 1_000;
/** How long one export may take, retries included; a stop waits so long for the last one. */
const EXPORT_MS_MAX = 5_000;

export interface Telemetry {
  tracing: Tracing;
  metrics: Metrics;
  logger: Logger;
  /** Port of the Prometheus endpoint. */
  metricsPort: number;
  stop(): Promise<void>;
}

export interface ServiceName {
  name: string;
  instance: string;
}

type Resource = ReturnType<typeof resourceFromAttributes>;

function startTracing(config: Config, resource: Resource, meterProvider: MeterProvider) {
  const { otlpEndpoint, sampleRatio } = config.telemetry;
  if (otlpEndpoint === undefined) return { tracing: Tracing.off(), stop: async () => {} };
  const exporter = new OTLPTraceExporter({
    url: `${otlpEndpoint.replace(/\/+$/, '')}/v1/traces`,
    timeoutMillis: EXPORT_MS_MAX,
  });
  const processor = new BatchSpanProcessor({
    exporter,
    maxQueueSize: SPANS_WAITING_MAX,
    maxExportBatchSize: SPANS_PER_EXPORT_MAX,
    scheduledDelayMillis: EXPORT_EVERY_MS,
    exportTimeoutMillis: EXPORT_MS_MAX,
    selfObsMeterProvider: meterProvider,
  });
  const provider = new TracerProvider({
    resource,
    sampler: new AlwaysOnSampler(),
    spanProcessors: [processor],
  });
  return {
    tracing: new Tracing(provider.getTracer(SCOPE), { sampleRatio }),
    stop: () => provider.shutdown(),
  };
}

/** Settles when `work` did, or after `ms`; never throws. */
async function atMost(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work.catch(() => {}), late]);
  clearTimeout(timer);
}

function metricsPortOf(config: Config, name: string): number {
  const ports: Record<string, number> = config.telemetry.metricsPorts;
  return ports[name] ?? 0;
}

export async function startTelemetry(config: Config, service: ServiceName): Promise<Telemetry> {
  const logger = makeLogger({
    service: service.name,
    instance: service.instance,
    level: config.telemetry.logLevel,
  });
  logSdkTrouble(logger);
  const resource = resourceFromAttributes({
    'service.namespace': SCOPE,
    'service.name': `${SCOPE}-${service.name}`,
    'service.instance.id': service.instance,
    'service.version': releaseVersion(),
    ...placeAttributes(process.env),
  });
  const exporter = new PrometheusExporter({ preventServerStart: true, withoutScopeInfo: true });
  const meterProvider = new MeterProvider({ resource, readers: [exporter] });
  const metrics = new Metrics(meterProvider.getMeter(SCOPE));
  const stopGauges = registerProcessGauges(metrics);
  const spans = startTracing(config, resource, meterProvider);
  const endpoint = await serveMetrics({
    address: config.telemetry.metricsAddress,
    port: metricsPortOf(config, service.name),
    respond: (request, response) => exporter.getMetricsRequestHandler(request, response),
    onTrouble: (reason) => logger.warn(reason),
  });
  return {
    tracing: spans.tracing,
    metrics,
    logger,
    metricsPort: endpoint.port,
    stop: async () => {
      await atMost(spans.stop(), EXPORT_MS_MAX + 100);
      await endpoint.stop();
      stopGauges();
      await atMost(meterProvider.shutdown(), EXPORT_MS_MAX + 100);
    },
  };
}

import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** A process may hold several roles that count the same thing: whoever comes second finds the figure. */

interface About<Label extends string> {
  readonly name: `leasehold_${string}`
  readonly help: string
  readonly labelNames?: readonly Label[]
}

export const counter = <Label extends string = never>(registry: Registry, about: About<Label>): Counter<Label> =>
  (registry.getSingleMetric(about.name) as Counter<Label> | undefined) ?? new Counter({ ...about, labelNames: about.labelNames ?? [], registers: [registry] })

export const gauge = <Label extends string = never>(registry: Registry, about: About<Label>): Gauge<Label> =>
  (registry.getSingleMetric(about.name) as Gauge<Label> | undefined) ?? new Gauge({ ...about, labelNames: about.labelNames ?? [], registers: [registry] })

/** Buckets from 1 ms, where a deciding transaction lies, to 10 s, where every limit of ours has struck. */
const buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export const durations = <Label extends string = never>(registry: Registry, about: About<Label>): Histogram<Label> =>
  (registry.getSingleMetric(about.name) as Histogram<Label> | undefined) ??
  new Histogram({ ...about, labelNames: about.labelNames ?? [], buckets, registers: [registry] })

/** Every point of the code where a part may die while a lease ends and its rotation runs, by the process that comes there. */
export const pointsOf: Readonly<Record<string, readonly string[]>> = {
  'api-1': ['checkout committed', 'checkin committed'],
  'worker-1': ['duty delivered', 'value made', 'value staged', 'jobs opened'],
  bridge: ['job offered', 'claim committed', 'result checked', 'result committed'],
  connector: ['job received', 'job claimed', 'job applying', 'job changed', 'job applied', 'job proven', 'job verified', 'job acknowledged'],
}

/** Everything that can die. */
export const victims = ['api-1', 'worker-1', 'bridge', 'connector', 'postgres', 'openbao', 'nats', 'temporal'] as const

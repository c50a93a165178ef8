import { anyBody } from './refusals.ts'
import { z } from 'zod'
import { BreakGlassLogin, BreakGlassToken } from '#schemas/break-glass.ts'
import { JoinPending, JoinRequest } from '#schemas/connector.ts'
import { JoinAnswer } from '#schemas/connector-message.ts'
import { headersNamed, problemResponses } from './openapi-problems.ts'

type Json = Record<string, unknown>

const jsonOf = (schema: z.ZodType, io: 'input' | 'output'): Json => {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io, target: 'draft-2020-12', unrepresentable: 'any' }) as Json
  return { 'application/json': { schema: json } }
}
const answer = (description: string, schema: z.ZodType): Json => ({ description, headers: headersNamed('X-Correlation-ID'), content: jsonOf(schema, 'output') })

const state = z.enum(['ok', 'down'])
const Readiness = z.strictObject({ status: z.enum(['ready', 'not-ready']), dependencies: z.record(z.string(), state) })

/** Operations without an access token: they are no actions of a caller, so no route describes them. */
export const openPaths: Json = {
  '/v1/connectors/join': {
    post: {
      operationId: 'postV1ConnectorsJoin',
      summary: 'First contact of a connector: its join token is the credential',
      security: [],
      requestBody: { required: true, content: jsonOf(JoinRequest, 'input') },
      responses: {
        200: answer('What the connector needs to connect', JoinAnswer),
        202: answer('Accepted; ask again', JoinPending),
        ...problemResponses(['invalid-request', 'invalid-join-token', ...anyBody]),
      },
    },
  },
  '/v1/break-glass/login': {
    post: {
      operationId: 'postV1BreakGlassLogin',
      summary: 'Log in for break-glass alone while the identity provider is down, where an organization allows it',
      security: [],
      requestBody: { required: true, content: jsonOf(BreakGlassLogin, 'input') },
      responses: {
        200: answer('A token that is good for break-glass only', BreakGlassToken),
        ...problemResponses(['invalid-request', 'break-glass-credential-refused', 'break-glass-rate-limited', ...anyBody]),
      },
    },
  },
  '/healthz': {
    get: {
      operationId: 'getHealthz',
      summary: 'Whether the process lives',
      security: [],
      responses: { 200: answer('It does', z.strictObject({ status: z.literal('ok') })), ...problemResponses(['invalid-request']) },
    },
  },
  '/readyz': {
    get: {
      operationId: 'getReadyz',
      summary: 'Whether the servers that the API needs answer',
      security: [],
      responses: { 200: answer('They do', Readiness), 503: answer('Some do not', Readiness), ...problemResponses(['invalid-request']) },
    },
  },
  '/v1/openapi.json': {
    get: {
      operationId: 'getV1OpenapiJson',
      summary: 'This document',
      security: [],
      responses: { 200: answer('OpenAPI 3.1', z.looseObject({ openapi: z.string() })), ...problemResponses(['invalid-request']) },
    },
  },
}
